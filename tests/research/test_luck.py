"""Luck: the papers' own numbers, brute force, and properties that must hold by construction."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import START, daily_result, random_result, row

from shared.errors import InvalidInput
from shared.research.montecarlo import (
    QUANTILES,
    block_bootstrap,
    break_even_multiple,
    cost_stress,
    resampled,
    shuffled,
    stationary,
    trade_returns,
)
from shared.research.overfitting import overfitting
from shared.research.sharpe import (
    deflated_sharpe,
    expected_best,
    minimum_observations,
    probabilistic_sharpe,
)

# Bailey and Lopez de Prado (2014), section "A numerical example": an annual ratio of 2.5 on five
# years of 250 days, the best of 100 trials whose ratios have an annual variance of 1/2.
DAILY = 2.5 / math.sqrt(250)
VARIANCE = 1 / 2 / 250


def test_the_deflated_ratio_of_the_paper() -> None:
    assert expected_best(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)
    found = deflated_sharpe(
        DAILY, 1250, trials=100, variance=VARIANCE, skewness=-3.0, kurtosis=10.0
    )
    assert found == pytest.approx(0.9004, abs=5e-5)
    # "Should the strategist have made his discovery after running only N=46 ... 0.9505"
    found = deflated_sharpe(DAILY, 1250, trials=46, variance=VARIANCE, skewness=-3.0, kurtosis=10.0)
    assert found == pytest.approx(0.9505, abs=5e-5)
    # "If the strategy had exhibited normal returns, DSR = 0.9505 after N = 88"
    assert deflated_sharpe(DAILY, 1250, trials=88, variance=VARIANCE) == pytest.approx(
        0.9505, abs=5e-5
    )


def test_the_probabilistic_ratio_of_the_paper() -> None:
    # Bailey and Lopez de Prado (2012), section 4: monthly ratio 0.458 over two years.
    assert probabilistic_sharpe(0.458, 24) == pytest.approx(0.982, abs=5e-4)
    found = probabilistic_sharpe(0.458, 24, skewness=-2.448, kurtosis=10.164)
    assert found == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(
    ("a_year", "skewness", "kurtosis", "years"),
    [(252, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_minimum_track_record_of_the_paper(
    a_year: int, skewness: float, kurtosis: float, years: float
) -> None:
    # The same, section 6: an annual ratio of 2 against a benchmark of 1 at 95 %.
    found = minimum_observations(
        2 / math.sqrt(a_year), benchmark=1 / math.sqrt(a_year), skewness=skewness, kurtosis=kurtosis
    )
    assert found is not None
    assert found / a_year == pytest.approx(years, abs=0.005)


def test_the_minimum_record_is_where_the_probability_reaches_the_confidence() -> None:
    need = minimum_observations(0.1, skewness=-1.0, kurtosis=8.0)
    assert need is not None
    low, high = (
        probabilistic_sharpe(0.1, n, skewness=-1.0, kurtosis=8.0)
        for n in (math.floor(need), math.ceil(need))
    )
    assert low < 0.95 <= high
    assert minimum_observations(0.0) is None


def test_the_best_of_useless_trials_by_simulation() -> None:
    draws = np.random.default_rng(5).normal(0.0, 0.2, (20_000, 50)).max(axis=1)
    assert expected_best(50, 0.04) == pytest.approx(draws.mean(), abs=0.01)
    assert expected_best(1, 0.04) == 0.0


def test_impossible_moments_are_refused() -> None:
    with pytest.raises(InvalidInput, match="any distribution"):
        probabilistic_sharpe(1.0, 100, skewness=5.0, kurtosis=3.0)


def brute_force(returns: np.ndarray, blocks: int) -> tuple[float, float]:
    """CSCV as the paper writes it, block by block, without sums."""
    length = len(returns) // blocks
    parts = np.split(returns[len(returns) - length * blocks :], blocks)
    overfit, lost, total = 0, 0, 0
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        own = np.concatenate([parts[b] for b in chosen])
        other = np.concatenate([parts[b] for b in range(blocks) if b not in chosen])
        best = int(np.argmax(own.mean(axis=0) / own.std(axis=0)))
        outside = other.mean(axis=0) / other.std(axis=0)
        rank = int((outside < outside[best]).sum()) + 1
        share = rank / (returns.shape[1] + 1)
        overfit += math.log(share / (1 - share)) <= 0.0
        lost += other[:, best].sum() < 0.0
        total += 1
    return overfit / total, lost / total


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([4, 6, 8]), st.integers(2, 9))
def test_overfitting_against_brute_force(seed: int, blocks: int, trials: int) -> None:
    returns = np.random.default_rng(seed).normal(0.0, 0.01, (blocks * 7 + 3, trials))
    found = overfitting(returns, blocks=blocks)
    assert (found.probability, found.loss_probability) == pytest.approx(
        brute_force(returns, blocks)
    )
    assert found.combinations == math.comb(blocks, blocks // 2)


def test_noise_overfits_and_a_real_edge_does_not() -> None:
    rng = np.random.default_rng(11)
    noise = [overfitting(rng.normal(0.0, 0.01, (512, 40))).probability for _ in range(12)]
    assert 0.35 < float(np.mean(noise)) < 0.75
    returns = rng.normal(0.0, 0.01, (512, 40))
    returns[:, 7] += 0.005
    found = overfitting(returns)
    assert found.probability < 0.01
    assert found.loss_probability == 0.0


def test_trials_that_mirror_each_other_always_overfit() -> None:
    # What one half gains the other loses: the best of one is the worst of the other.
    days = np.arange(64)
    first = np.where(days < 32, 0.01, -0.01) + 0.001 * (-1.0) ** days
    found = overfitting(np.column_stack([first, -first]), blocks=2)
    assert found.probability == 1.0


@pytest.mark.parametrize(
    ("shape", "blocks", "says"),
    [((100, 1), 4, "two trials"), ((100, 3), 5, "even"), ((20, 3), 16, "too few")],
)
def test_overfitting_needs_enough(shape: tuple[int, int], blocks: int, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        overfitting(np.zeros(shape), blocks=blocks)


RETURNS = np.random.default_rng(2).normal(0.001, 0.02, 240)


def test_a_shuffle_changes_the_way_and_not_the_end() -> None:
    found = shuffled(RETURNS, paths=500)
    end = float(np.prod(1.0 + RETURNS))
    assert found.final == pytest.approx([end] * len(QUANTILES))
    assert found.own_final == pytest.approx(end)
    assert found.drawdown == sorted(found.drawdown)
    assert found.drawdown[0] < found.drawdown[-1]
    assert all(low <= high for low, high in itertools.pairwise(f[-1] for f in found.fan))


def test_every_order_of_three_trades() -> None:
    # Six orders of +50 %, -40 %, -10 %: where the losses are neighbours (four of six) the fall is
    # 1 - 0.6 * 0.9 = 0.46, in the two others the gain is between them and it is 0.4.
    found = shuffled(np.array([0.5, -0.4, -0.1]), paths=6000, ruin=0.55)
    assert found.drawdown == pytest.approx([0.4, 0.4, 0.46, 0.46, 0.46])
    assert (found.falls["30%"], found.falls["50%"]) == (1.0, 0.0)
    # Ruin at 0.55: only the orders that begin with both losses, 0.6 * 0.9 = 0.54.
    assert found.ruin_probability == pytest.approx(2 / 6, abs=0.03)


def test_resampling_agrees_with_the_law_of_the_mean() -> None:
    found = resampled(RETURNS, paths=4000)
    logs = np.log1p(RETURNS)
    middle = math.exp(logs.mean() * len(logs))
    assert found.final[2] == pytest.approx(middle, rel=0.05)
    half = 1.645 * logs.std() * math.sqrt(len(logs))
    assert math.log(found.final[4] / found.final[2]) == pytest.approx(half, rel=0.1)


def test_blocks_have_the_mean_length_and_keep_the_order() -> None:
    places = stationary(np.random.default_rng(1), 400, 300, 12.0)
    follows = (places[:, 1:] - places[:, :-1]) % 300 == 1
    # Continued with probability 11/12, or by chance to the next one.
    assert float(follows.mean()) == pytest.approx(11 / 12 + 1 / 12 / 300, abs=0.004)
    assert places.min() == 0
    assert places.max() == 299


def test_blocks_of_one_day_are_the_plain_bootstrap() -> None:
    a, b = block_bootstrap(RETURNS, mean_block=1.0, paths=4000), resampled(RETURNS, paths=4000)
    assert a.final == pytest.approx(b.final, rel=0.08)


def test_blocks_keep_streaks_together() -> None:
    streaky = np.repeat([0.01, -0.01], 30)
    together = block_bootstrap(np.tile(streaky, 4), mean_block=30.0, paths=1000)
    apart = block_bootstrap(np.tile(streaky, 4), mean_block=1.0, paths=1000)
    assert together.drawdown[2] > 1.5 * apart.drawdown[2]


def test_the_same_seed_gives_the_same_paths() -> None:
    for method in (shuffled, resampled, block_bootstrap):
        assert method(RETURNS, paths=300, seed=4) == method(RETURNS, paths=300, seed=4)
        assert method(RETURNS, paths=300, seed=4) != method(RETURNS, paths=300, seed=5)


def test_a_lost_account_stays_lost() -> None:
    found = resampled(np.array([0.1, -1.0, 0.1]), paths=500)
    assert found.ruin_probability > 0.5
    assert found.drawdown[-1] == 1.0
    assert found.final[0] == 0.0


def test_trades_as_shares_of_what_was_there() -> None:
    rows = [row(100.0, START + 1), row(-110.0, START + 2), row(99.0, START + 3)]
    trades = daily_result([1.0], rows).trades
    assert trade_returns(trades, 1000.0) == pytest.approx([0.1, -0.1, 0.1])
    with pytest.raises(InvalidInput, match="lost before"):
        trade_returns(trades, 5.0)
    with pytest.raises(InvalidInput, match="no trade"):
        trade_returns(trades.where(np.array([], dtype=int)), 1000.0)


def test_costs_multiplied() -> None:
    rows = [
        row(10.0, START + 1, fees=2.0, slippage=1.0),
        row(-5.0, START + 2, fees=2.0, slippage=1.0),
    ]
    trades = daily_result([1.0], rows).trades
    found = {s.multiple: (s.net, s.profit_factor, s.won) for s in cost_stress(trades)}
    assert found[1.0] == (5.0, 2.0, 1)
    assert found[2.0] == (-1.0, 7 / 8, 1)
    multiple = break_even_multiple(trades)
    assert multiple == pytest.approx(1 + 5 / 6)
    assert cost_stress(trades, [multiple or 0.0])[0].net == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("returns", "paths", "says"),
    [
        ([0.1], 1000, "too few"),
        ([0.1, math.nan], 1000, "finite"),
        ([0.1, -1.5], 1000, "at least -1"),
        ([0.1, 0.2], 5, "tail"),
    ],
)
def test_draws_that_say_nothing_are_refused(returns: list[float], paths: int, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        resampled(np.array(returns), paths=paths)


def test_a_record_of_an_engine_goes_through() -> None:
    result = random_result(9, days=120, trades=80)
    found = shuffled(trade_returns(result.trades, result.start_equity), paths=200)
    assert found.own_final == pytest.approx(1 + result.trades.net.sum() / result.start_equity)
    assert 0.0 <= found.rank_of_drawdown <= 1.0
