"""Challenger against champion: figures by hand, the error against a plain sum, and the verdict."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from shared.intelligence.comparison import LAGS, LEAST_HORIZONS, compare, quantile
from shared.intelligence.features import FEATURE_SET
from shared.intelligence.scores import BarScore, Row
from shared.intelligence.uncertainty import mean_with_error

HOUR = 3_600_000
START = 1_746_316_800_000
OLD, NEW = "a" * 12, "b" * 12


def score(
    bar: int, label: int | None, old: Row | None, new: Row | None, symbol: str = "BTCUSDT"
) -> BarScore:
    rows = {f"mlp:{OLD}": old, f"mlp:{NEW}": new, f"gru:{NEW}": (0.2, 0.3, 0.5)}
    return BarScore(
        symbol=symbol,
        timeframe="1h",
        closed_at=START + bar * HOUR,
        features=(),
        feature_set=FEATURE_SET,
        atr=1.0,
        horizon_bars=2,
        take_atr=2.0,
        stop_atr=2.0,
        probabilities={key: row for key, row in rows.items() if row is not None},
        label=label,
    )


def compared(scores: list[BarScore], horizon: int = 2) -> Any:
    return compare(scores, "mlp", OLD, NEW, horizon)


def test_figures_worked_out_by_hand() -> None:
    even, sure = (0.25, 0.5, 0.25), (0.125, 0.125, 0.75)
    found = compared(
        [
            score(0, 2, even, sure),
            score(1, 0, even, sure),
            # None of these counts: no label yet, or one of the two was not asked.
            score(2, None, even, sure),
            score(3, 2, None, sure),
            score(4, 2, even, None),
        ]
    )
    assert (found.bars, found.rows, found.least_bars) == (2, 2, 2 * LEAST_HORIZONS)
    assert (found.since, found.until) == ("2025-05-04T00:00:00.000Z", "2025-05-04T01:00:00.000Z")
    # Natural logarithms of 1/4 twice; of 3/4 and 1/8.
    assert found.champion.log_loss == pytest.approx(math.log(4))
    assert found.challenger.log_loss == pytest.approx((math.log(4 / 3) + math.log(8)) / 2)
    assert found.gain == pytest.approx((math.log(3) - math.log(2)) / 2)
    # (1/16 + 1/4 + 9/16) for either label; 1/64 + 1/64 + 1/16, and 49/64 + 1/64 + 9/16.
    assert found.champion.brier == pytest.approx(0.875)
    assert found.challenger.brier == pytest.approx((0.09375 + 1.34375) / 2)
    assert found.brier_gain == pytest.approx(0.875 - (0.09375 + 1.34375) / 2)
    assert (found.champion.votes, found.champion.hit_rate) == (0, None)
    assert (found.challenger.votes, found.challenger.hit_rate) == (2, 0.5)
    assert found.verdict == "not known"
    assert found.why.startswith("2 bars of 40 that a verdict needs")
    assert (found.gain_error, found.low, found.high) == (None, None, None)


def test_nothing_in_common_says_so() -> None:
    found = compared([score(0, 2, (0.2, 0.3, 0.5), None), score(1, 1, None, (0.2, 0.3, 0.5))])
    assert (found.bars, found.gain, found.verdict) == (0, None, "not known")
    assert "no bar with a label has both" in found.why


def test_without_lags_the_quantile_is_that_of_the_normal_distribution() -> None:
    assert quantile(0.0) == pytest.approx(1.959964, abs=1e-4)
    assert quantile(1.0) > quantile(0.5) > quantile(0.1) > quantile(0.0)


def many(bars: int, edge: float, seed: int = 1) -> list[BarScore]:
    """The challenger gives what comes that much more than a third, on average; both are noisy."""
    random = np.random.default_rng(seed)
    found = []
    for bar in range(bars):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            label = int(random.integers(3))
            rows = []
            for more in (0.0, edge):
                p = np.full(3, 1 / 3) + random.uniform(-0.1, 0.1, 3)
                p[label] += more
                rows.append(tuple((p / p.sum()).tolist()))
            found.append(score(bar, label, *rows, symbol=symbol))
    return found


@pytest.mark.parametrize(
    ("bars", "edge", "verdict"),
    [
        (40, 0.2, "better"),
        (39, 0.2, "not known"),
        (300, 0.05, "better"),
        (300, -0.05, "worse"),
        (300, 0.0, "not known"),
    ],
)
def test_a_verdict_needs_bars_and_a_difference_beyond_its_error(
    bars: int, edge: float, verdict: str
) -> None:
    found = compared(many(bars, edge))
    assert found.verdict == verdict, found.why
    assert (found.bars, found.rows) == (bars, 2 * bars)
    reach = quantile((LAGS * 2 + 1) / bars) * found.gain_error
    assert (found.low, found.high) == pytest.approx((found.gain - reach, found.gain + reach))


def test_two_that_say_the_same_are_not_told_apart() -> None:
    same = [score(bar, bar % 3, (0.2, 0.3, 0.5), (0.2, 0.3, 0.5)) for bar in range(200)]
    found = compared(same)
    assert (found.gain, found.gain_error, found.verdict) == (0.0, 0.0, "not known")


def test_overlapping_labels_make_the_error_larger() -> None:
    """The same differences, once of bars far apart and once of neighbours whose labels overlap."""
    random = np.random.default_rng(3)
    shared = np.convolve(random.normal(size=623), np.ones(24), "valid")
    _, apart = mean_with_error(shared, np.arange(600) * 100, LAGS * 24)
    _, close = mean_with_error(shared, np.arange(600), LAGS * 24)
    # Sums of 24 independent ones: the true error of the mean is nearly 24 / sqrt(600).
    assert apart == pytest.approx(math.sqrt(24 / 600), rel=0.2)
    assert close == pytest.approx(24 / math.sqrt(600), rel=0.4)
