"""Value at risk, expected shortfall and what moves together, against figures worked by hand."""

from __future__ import annotations

import math
from decimal import Decimal
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.market.candle import Candle
from shared.market.timeframe import DAY_MS
from shared.risk.correlation import beta, clusters, components
from shared.risk.history import (
    HISTORY_DAYS,
    MIN_DAYS,
    UNIT,
    MarketHistory,
    correlation,
    daily_returns,
    history,
)
from shared.risk.simulated_risk import (
    bootstrap,
    cornish_fisher,
    degrees_of_freedom,
    multivariate_t,
)
from shared.risk.value_at_risk import (
    UNKNOWN_SHORTFALL,
    UNKNOWN_VAR,
    RiskRules,
    historical,
    normal,
    normal_factors,
    portfolio_risk,
    profits,
)

D = Decimal
#: Printed tables of the standard normal: quantile, and density over tail probability.
TABLE = {"0.95": (1.6449, 2.0627), "0.975": (1.9600, 2.3378), "0.99": (2.3263, 2.6652)}


def made(**series: list[int]) -> MarketHistory:
    return history({s: (0, tuple(r)) for s, r in series.items()})


def random_returns(seed: int, days: int = 365, scale: float = 0.03) -> list[int]:
    drawn = np.random.default_rng(seed).normal(0, scale, days)
    return [round(x * UNIT) for x in drawn]


# ---------------------------------------------------------------- history


def candles(closes: list[float], *, missing: tuple[int, ...] = ()) -> list[Candle]:
    return [
        Candle(
            symbol="BTCUSDT",
            timeframe="1d",
            open_time=i * DAY_MS,
            open=c,
            high=c,
            low=c,
            close=c,
            volume=1.0,
        )
        for i, c in enumerate(closes)
        if i not in missing
    ]


def test_returns_of_closes() -> None:
    end, found = daily_returns(candles([100.0, 110.0, 99.0]))  # type: ignore[misc]
    assert (end, found) == (3 * DAY_MS, (10_000, -10_000))


def test_a_gap_ends_what_is_known() -> None:
    assert daily_returns(candles([1.0, 2.0, 4.0, 8.0], missing=(1,))) == (4 * DAY_MS, (100_000,))
    assert daily_returns(candles([1.0])) is None
    assert daily_returns([]) is None
    assert daily_returns(candles([0.0, 1.0])) is None


def test_no_more_than_a_year_is_kept() -> None:
    found = daily_returns(candles([1.0 + i for i in range(HISTORY_DAYS + 50)]))
    assert found is not None
    assert len(found[1]) == HISTORY_DAYS


def test_series_end_on_one_day_and_what_has_stopped_is_left_out() -> None:
    joined = history(
        {
            "A": (10 * DAY_MS, tuple(range(1, 201))),
            "B": (9 * DAY_MS, tuple(range(1, 201))),
            "GONE": (8 * DAY_MS, tuple(range(1, 201))),
        }
    )
    assert joined.end == 9 * DAY_MS
    assert set(joined.returns) == {"A", "B"}
    assert joined.series("A") == tuple(range(1, 200))
    assert joined.series("B") == tuple(range(1, 201))
    assert joined.series("GONE") is None


def test_too_short_a_series_says_nothing() -> None:
    assert made(A=[1] * (MIN_DAYS - 1)).series("A") is None
    assert made(A=[1] * MIN_DAYS).series("A") is not None
    with pytest.raises(InvalidInput):
        MarketHistory(end=0, returns={"A": "1 2 x"}).series("A")


def test_correlation_is_that_of_numpy() -> None:
    one = random_returns(1)
    other = [round(0.6 * a + 0.8 * b) for a, b in zip(one, random_returns(2), strict=True)]
    expected = float(np.corrcoef(one, other)[0, 1])
    found = correlation(one, other)
    assert found is not None
    assert float(found) == pytest.approx(expected, abs=1.01e-4)
    assert correlation(one, one) == 1
    assert correlation(one, [-x for x in one]) == -1
    assert correlation(one, [7] * len(one)) is None


# ---------------------------------------------------------------- historical and normal


def test_worked_by_hand() -> None:
    # Ten days, the losses 1 to 10: at 90 % one day may be worse. The tail is that day alone.
    gains = [-3, -1, -10, -2, -9, -4, -8, -5, -7, -6]
    found = historical(gains, D("0.9"))
    assert (found.value_at_risk, found.expected_shortfall) == (9, 10)
    # At 75 % the tail is 2.5 days: 10, 9 and half of 8; two days are worse than 8.
    found = historical(gains, D("0.75"))
    assert found.value_at_risk == 8
    assert found.expected_shortfall == D(10 + 9 + 4) / D("2.5")
    # At 99 % it is a tenth of the worst day.
    found = historical(gains, D("0.99"))
    assert (found.value_at_risk, found.expected_shortfall) == (10, 10)


def test_a_year_at_99_percent_is_the_fourth_worst_day() -> None:
    gains = [-i for i in range(365)]
    found = historical(gains, D("0.99"))
    assert found.value_at_risk == 361
    assert found.expected_shortfall == (364 + 363 + 362 + D("0.65") * 361) / D("3.65")


@pytest.mark.parametrize("confidence", TABLE)
def test_normal_is_that_of_printed_tables(confidence: str) -> None:
    z, mean = TABLE[confidence]
    found = normal([300, -400] * 100, D(confidence))
    deviation = math.sqrt((300**2 + 400**2) / 2)
    assert float(found.value_at_risk) == pytest.approx(z * deviation, rel=5e-5)
    assert float(found.expected_shortfall) == pytest.approx(mean * deviation, rel=5e-5)


def test_factors_are_those_of_the_distribution() -> None:
    for confidence in ("0.95", "0.975", "0.99", "0.995", "0.901"):
        z = NormalDist().inv_cdf(float(confidence))
        mean = NormalDist().pdf(z) / (1 - float(confidence))
        found = normal_factors(D(confidence))
        assert [float(x) for x in found] == pytest.approx([z, mean], abs=6e-7)


def test_a_portfolio_worked_by_hand() -> None:
    # Long 100 of A, short 50 of B: 100 * a - 50 * b. Worst of 200 days: -10 % and +6 %.
    a, b = [1000] * 200, [1000] * 200
    a[7], b[7] = -10_000, 6_000
    a[9], b[9] = -10_000, -6_000
    a[11] = -4_000
    found = portfolio_risk({"A": D(100), "B": D(-50)}, made(A=a, B=b), RiskRules())
    # The tail is two whole days: day 7 lost 13, day 9 lost 7; exceeded by two days is day 11's 4.5.
    assert found.historical.expected_shortfall == 10
    assert found.historical.value_at_risk == D("4.5")
    assert found.days == 200
    assert found.unknown == ()
    four = portfolio_risk({"A": D(100), "B": D(-50)}, made(A=a, B=b), RiskRules(horizon_days=4))
    assert four.historical.expected_shortfall == 20
    assert four.normal.value_at_risk == pytest.approx(2 * found.normal.value_at_risk, abs=D("1e-3"))


def test_too_little_history_is_assumed_and_said_so() -> None:
    known = made(A=random_returns(1), NEW=[10] * 20)
    alone = portfolio_risk({"A": D(500)}, known, RiskRules())
    both = portfolio_risk({"A": D(500), "NEW": D(-200), "OTHER": D(100)}, known, RiskRules())
    assert both.unknown == ("NEW", "OTHER")
    assert both.assumed.value_at_risk == 300 * UNKNOWN_VAR
    assert both.assumed.expected_shortfall == 300 * UNKNOWN_SHORTFALL
    # Added to the rest, whichever direction it is held in.
    assert both.value_at_risk == alone.value_at_risk + both.assumed.value_at_risk
    assert both.expected_shortfall == alone.expected_shortfall + both.assumed.expected_shortfall
    nothing = portfolio_risk({"NEW": D(100)}, MarketHistory(end=0), RiskRules())
    assert (nothing.days, nothing.value_at_risk) == (0, 20)
    assert portfolio_risk({}, known, RiskRules()).value_at_risk == 0


SERIES = st.lists(st.integers(-60_000, 120_000), min_size=MIN_DAYS, max_size=MIN_DAYS + 40)
NOTIONAL = st.decimals(-500, 500, places=2)
CONFIDENCE = st.sampled_from([D("0.95"), D("0.975"), D("0.99"), D("0.995")])


@given(SERIES, SERIES, NOTIONAL, NOTIONAL, CONFIDENCE)
def test_shortfall_is_coherent(
    a: list[int], b: list[int], x: Decimal, y: Decimal, confidence: Decimal
) -> None:
    days = min(len(a), len(b))
    known, rules = made(A=a[-days:], B=b[-days:]), RiskRules(confidence=confidence)
    one = portfolio_risk({"A": x}, known, rules)
    other = portfolio_risk({"B": y}, known, rules)
    both = portfolio_risk({"A": x, "B": y}, known, rules)
    near = D("0.001")
    for method in ("historical", "normal"):
        parts = [getattr(r, method) for r in (one, other, both)]
        assert parts[2].expected_shortfall <= (
            parts[0].expected_shortfall + parts[1].expected_shortfall + near
        )
        assert parts[2].expected_shortfall >= parts[2].value_at_risk - near
    # Twice the portfolio has twice the risk.
    double = portfolio_risk({"A": 2 * x, "B": 2 * y}, known, rules)
    assert abs(double.expected_shortfall - 2 * both.expected_shortfall) <= near
    assert abs(double.value_at_risk - 2 * both.value_at_risk) <= near
    # What loses at least as much every day is at least as risky.
    worse = portfolio_risk({"A": x}, made(A=[r - (r > 0) * 2 * r for r in a]), rules)
    if x > 0:
        same = portfolio_risk({"A": x}, made(A=a), rules)
        assert worse.historical.value_at_risk >= same.historical.value_at_risk
        assert worse.historical.expected_shortfall >= same.historical.expected_shortfall


# ---------------------------------------------------------------- models for reports


def test_monte_carlo_comes_to_the_closed_form_on_normal_returns() -> None:
    drawn = np.random.default_rng(5).multivariate_normal(
        [0, 0], [[0.0009, 0.0006], [0.0006, 0.0016]], 4000
    )
    returns = drawn.T
    assert degrees_of_freedom(returns) > 50
    weights = [400.0, -150.0]
    sigma = math.sqrt(np.mean((returns.T @ np.array(weights)) ** 2))
    for days in (1, 10):
        found = multivariate_t(weights, returns, 0.99, days, seed=3, paths=200_000)
        assert found.value_at_risk == pytest.approx(2.3263 * sigma * math.sqrt(days), rel=0.02)
        assert found.expected_shortfall == pytest.approx(2.6652 * sigma * math.sqrt(days), rel=0.02)


def test_a_fat_tail_costs_more_than_the_normal_one() -> None:
    random = np.random.default_rng(8)
    returns = 0.02 * random.standard_t(4, (1, 3000))
    sigma = math.sqrt(float(np.mean(returns**2)))
    found = multivariate_t([1000.0], returns, 0.99, 1, seed=1)
    assert found.expected_shortfall > 1000 * 2.6652 * sigma * 1.1
    expanded = cornish_fisher(list(1000 * returns[0][:400]), 0.99)
    assert expanded is None or expanded.value_at_risk > 0


def test_bootstrap_of_a_day_is_the_past_itself() -> None:
    gains = [float(x) for x in random_returns(4)]
    exact = historical([int(g) for g in gains], D("0.99"))
    found = bootstrap(gains, 0.99, 1, seed=2, paths=200_000)
    assert found.value_at_risk == pytest.approx(float(exact.value_at_risk), rel=0.05)
    assert found.expected_shortfall == pytest.approx(float(exact.expected_shortfall), rel=0.05)


def test_bootstrap_keeps_what_days_have_to_do_with_each_other() -> None:
    # Losses come in runs of ten days: ten days cost far more than the root of ten.
    runs = [(-100.0 if (i // 10) % 2 else 100.0) + 0.001 * i for i in range(400)]
    one = bootstrap(runs, 0.95, 1, seed=1)
    ten = bootstrap(runs, 0.95, 10, seed=1)
    assert ten.value_at_risk > 1.5 * math.sqrt(10) * one.value_at_risk


@pytest.mark.parametrize("model", ["bootstrap", "t"])
def test_the_seed_decides(model: str) -> None:
    gains = [float(x) for x in random_returns(4)]

    def run(seed: int) -> object:
        if model == "bootstrap":
            return bootstrap(gains, 0.99, 5, seed=seed)
        return multivariate_t([1.0], np.array([gains]), 0.99, 1, seed=seed)

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_cornish_fisher_without_skewness_and_kurtosis_is_normal() -> None:
    # Third moment 0 and fourth moment 3: three points with the weights 1/6, 2/3, 1/6.
    gains = [-math.sqrt(3.0)] * 100 + [0.0] * 400 + [math.sqrt(3.0)] * 100
    found = cornish_fisher(gains, 0.99)
    assert found is not None
    assert found.value_at_risk == pytest.approx(2.3263, rel=1e-4)
    assert found.expected_shortfall == pytest.approx(2.6652, rel=2e-3)


def test_cornish_fisher_worked_by_hand() -> None:
    # Losses of 4 with probability 0.03 and gains of 4 with 0.02: mean 0.04, second moment 0.8.
    gains = [-4.0] * 30 + [4.0] * 20 + [0.0] * 950
    mean, variance = 0.04, 0.8 - 0.0016
    third = (0.64 - 3 * mean * 0.8 + 2 * mean**3) / variance**1.5
    fourth = (12.8 - 4 * mean * 0.64 + 6 * mean**2 * 0.8 - 3 * mean**4) / variance**2 - 3
    z = 2.326348
    expanded = z + (z**2 - 1) * third / 6 + (z**3 - 3 * z) * fourth / 24
    expanded -= (2 * z**3 - 5 * z) * third**2 / 36
    found = cornish_fisher(gains, 0.99)
    assert found is not None
    assert found.value_at_risk == pytest.approx(math.sqrt(0.8) * expanded, rel=1e-5)
    assert found.expected_shortfall > found.value_at_risk


def test_cornish_fisher_says_when_it_does_not_hold() -> None:
    # Losses of 3 in one of ten days, gains of 1/3 else: skewness 8/3. Beyond three deviations the
    # expansion falls, so a higher confidence would give a smaller loss.
    assert cornish_fisher([-3.0] * 100 + [1 / 3] * 900, 0.99) is None
    assert cornish_fisher([1.0] * 300, 0.99) is None


# ---------------------------------------------------------------- a forecast against what came


def kupiec(exceeded: int, days: int, probability: float) -> float:
    """Likelihood ratio of Kupiec (1995): chi-squared with one degree of freedom."""
    x, n, p = exceeded, days, probability
    rate = x / n

    def likelihood(q: float) -> float:
        return (n - x) * math.log(1 - q) + (x * math.log(q) if x else 0.0)

    return -2 * (likelihood(p) - likelihood(rate))


def test_exceptions_come_as_often_as_they_should() -> None:
    """Two years of forecasts, each from the year before; fat tails, two contracts, one short."""
    random = np.random.default_rng(21)
    common = random.standard_t(5, 365 + 730) * 0.02
    a = [round(x * UNIT) for x in common + random.normal(0, 0.01, len(common))]
    b = [round(x * UNIT) for x in 1.3 * common + random.normal(0, 0.015, len(common))]
    held = {"A": D(500), "B": D(-200)}
    rules = RiskRules(confidence=D("0.95"))
    exceeded = 0
    for day in range(365, 365 + 730, 1):
        past = MarketHistory(
            end=0,
            returns={
                "A": " ".join(map(str, a[day - 365 : day])),
                "B": " ".join(map(str, b[day - 365 : day])),
            },
        )
        lost = -(500 * a[day] - 200 * b[day]) / UNIT
        exceeded += lost > portfolio_risk(held, past, rules).historical.value_at_risk
    # 3.84 is the 95 % point of chi-squared with one degree of freedom.
    assert kupiec(exceeded, 730, 0.05) < 3.84, exceeded
    # And it would notice a forecast that is too small.
    assert kupiec(73, 730, 0.05) > 3.84


# ---------------------------------------------------------------- what moves together


def linked() -> MarketHistory:
    base = random_returns(1)
    near = [round(0.9 * x + 0.4 * y) for x, y in zip(base, random_returns(2), strict=True)]
    return made(BTC=base, ETH=near, GOLD=random_returns(3), SHORT=[-x for x in base])


def test_clusters_are_what_correlates() -> None:
    held = {"BTC": D(300), "ETH": D(200), "GOLD": D(100)}
    first, second = clusters(held, linked(), D("0.7"))
    assert (first.symbols, first.gross, first.net) == (("BTC", "ETH"), 500, 500)
    assert (second.symbols, second.gross, second.net) == (("GOLD",), 100, 100)
    hedged, _ = clusters(held | {"ETH": D(-200)}, linked(), D("0.7"))
    assert (hedged.gross, hedged.net) == (500, 100)
    assert len(clusters(held, linked(), D("0.99"))) == 3


def test_an_unknown_contract_is_taken_to_move_with_everything_against_us() -> None:
    held = {"BTC": D(300), "GOLD": D(100), "NEW": D(-50)}
    (only,) = clusters(held, linked(), D("0.7"))
    assert only.symbols == ("BTC", "GOLD", "NEW")
    assert (only.gross, only.net) == (450, 450)
    assert clusters({}, linked(), D("0.7")) == ()


@given(
    st.lists(NOTIONAL, min_size=3, max_size=3),
    st.integers(0, 50),
)
def test_components_add_up(notionals: list[Decimal], seed: int) -> None:
    known = made(A=random_returns(seed), B=random_returns(seed + 1), C=random_returns(seed + 2))
    held = dict(zip(("A", "B", "C"), notionals, strict=True))
    assume(any(abs(x) > 1 for x in notionals))
    rules = RiskRules(horizon_days=2)
    whole, parts = portfolio_risk(held, known, rules), components(held, known, rules)
    near = D("0.01")
    assert abs(sum(c.value_at_risk for c in parts) - whole.normal.value_at_risk) < near
    assert abs(sum(c.expected_shortfall for c in parts) - whole.historical.expected_shortfall) < (
        near
    )


def test_a_hedge_takes_risk_away() -> None:
    parts = {
        c.symbol: c for c in components({"BTC": D(300), "SHORT": D(100)}, linked(), RiskRules())
    }
    assert parts["SHORT"].value_at_risk < 0 < parts["BTC"].value_at_risk
    assert parts["SHORT"].expected_shortfall < 0


def test_beta_is_the_slope() -> None:
    base = random_returns(1)
    found = beta("X", "BTC", made(BTC=base, X=[2 * x for x in base]))
    assert found == 2
    assert beta("X", "BTC", made(BTC=base)) is None


def test_profits_are_in_cents_over_the_days_both_have() -> None:
    gains, unknown = profits({"A": D("1.50"), "B": D(1)}, made(A=[10] * 200, B=[1] * 190))
    assert gains == [150 * 10 + 100] * 190
    assert unknown == ()
