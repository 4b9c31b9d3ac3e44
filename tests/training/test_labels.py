"""Triple-barrier labels: worked out by hand, against a plain loop, and against looking ahead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learnable import candles, tides

from shared.errors import InvalidInput
from shared.intelligence.labels import DOWN, FLAT, NONE, UP, Barriers, outcomes, triple_barrier
from shared.market.candle import Columns

Row = tuple[float, float, float, float]

#: The decided bar; what follows is entered at the open of the first row, 100.
_DECIDED: Row = (99.0, 99.5, 98.5, 99.0)
_CALM: Row = (100.0, 100.5, 99.5, 100.0)


def label(rows: list[Row], barriers: Barriers, atr: float = 1.0) -> tuple[int, int]:
    """Outcome of the first bar, and the last bar that was looked at."""
    columns = candles([_DECIDED, *rows])
    found = outcomes(columns, np.full(len(columns), atr), barriers)
    return int(found.outcome[0]), int(found.end[0])


# Horizon 3, take 2 and stop 1 ATR of 1: a long has 102 and 99, a short 98 and 101.
WIDE = Barriers(take_atr=2.0, stop_atr=1.0, horizon_bars=3)
# Take and stop 2: a long has 102 and 98, a short the reverse.
EVEN = Barriers(take_atr=2.0, stop_atr=2.0, horizon_bars=3)


@pytest.mark.parametrize(
    ("case", "barriers", "rows", "wanted"),
    [
        ("the take is reached", EVEN, [_CALM, (100, 102, 100, 102), _CALM], (UP, 2)),
        ("down to the short's take", EVEN, [_CALM, (100, 100, 98, 98), _CALM], (DOWN, 2)),
        ("in the bar of the entry", EVEN, [(100, 102.5, 99, 102), _CALM, _CALM], (UP, 1)),
        ("a hair is missing", EVEN, [_CALM, (100, 101.99, 98.01, 100), _CALM], (FLAT, 3)),
        (
            "both in one bar: either is stopped",
            EVEN,
            [(100, 102, 98, 100)] + [_CALM] * 2,
            (FLAT, 1),
        ),
        ("opens beyond the take", EVEN, [_CALM, (105, 106, 104, 105), _CALM], (UP, 2)),
        ("reached after the horizon", EVEN, [_CALM] * 3 + [(100, 103, 100, 103)], (FLAT, 3)),
        ("in the last bar of the horizon", EVEN, [_CALM] * 2 + [(100, 103, 100, 103)], (UP, 3)),
        # The short was stopped at 101 on the way; the long had not touched 99.
        (
            "uneven: take before stop",
            WIDE,
            [_CALM, (100, 101.5, 99.5, 101), (101, 102, 100, 102)],
            (UP, 3),
        ),
        (
            "uneven: stopped on the way",
            WIDE,
            [(100, 100.5, 99, 100), (100, 102, 100, 102), _CALM],
            (FLAT, 2),
        ),
        ("uneven: take and stop in one bar", WIDE, [_CALM, (100, 102, 99, 101), _CALM], (FLAT, 2)),
        ("uneven: the short's take", WIDE, [_CALM, (100, 100, 98, 98), _CALM], (DOWN, 2)),
    ],
)
def test_worked_out_by_hand(
    case: str, barriers: Barriers, rows: list[Row], wanted: tuple[int, int]
) -> None:
    assert label(rows, barriers) == wanted, case


def test_no_label_without_the_whole_horizon() -> None:
    # The take is reached at once, but what the other bars of the horizon were is not known.
    assert label([(100, 103, 100, 103), _CALM], EVEN) == (NONE, 0)


def test_no_label_without_atr() -> None:
    assert label([_CALM] * 3, EVEN, atr=float("nan")) == (NONE, 0)
    found = triple_barrier(tides(40), EVEN)
    # ATR(14) needs 15 bars; the last three have no horizon.
    assert (found.outcome == NONE).tolist() == [True] * 14 + [False] * 23 + [True] * 3


def by_hand(columns: Columns, atr: np.ndarray, barriers: Barriers, bar: int) -> int:
    """Each side walked bar by bar, the stop looked at first."""
    entry = columns.open[bar + 1]
    won = []
    for side in (1, -1):
        take = entry + side * barriers.take_atr * atr[bar]
        stop = entry - side * barriers.stop_atr * atr[bar]
        result = False
        for at in range(bar + 1, bar + 1 + barriers.horizon_bars):
            worst, best = (columns.low[at], columns.high[at])[::side]
            if side * (worst - stop) <= 0:
                break
            if side * (best - take) >= 0:
                result = True
                break
        won.append(result)
    assert won != [True, True]
    return UP if won[0] else DOWN if won[1] else FLAT


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    stop=st.floats(0.3, 3.0),
    farther=st.floats(1.0, 3.0),
    horizon=st.integers(1, 12),
)
def test_equals_a_walk_bar_by_bar(seed: int, stop: float, farther: float, horizon: int) -> None:
    columns = tides(60, seed=seed)
    barriers = Barriers(stop * farther, stop, horizon)
    atr = np.random.default_rng(seed).uniform(0.2, 1.0, 60)
    found = outcomes(columns, atr, barriers)
    for bar in range(60 - horizon):
        assert found.outcome[bar] == by_hand(columns, atr, barriers, bar)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), bar=st.integers(20, 50))
def test_a_label_depends_on_nothing_behind_its_end(seed: int, bar: int) -> None:
    columns = tides(80, seed=seed)
    barriers = Barriers(1.5, 1.0, 10)
    before = triple_barrier(columns, barriers)
    end = int(before.end[bar])
    assert bar < end <= bar + 10
    for name in ("open", "high", "low", "close"):
        getattr(columns, name)[end + 1 :] *= 3.0
    after = triple_barrier(columns, barriers)
    assert (after.outcome[bar], after.end[bar]) == (before.outcome[bar], end)


@pytest.mark.parametrize(
    ("take", "stop", "horizon", "told"),
    [
        (1.0, 2.0, 24, "stop must be above 0"),
        (2.0, 0.0, 24, "stop must be above 0"),
        (float("nan"), 1.0, 24, "stop must be above 0"),
        (2.0, 2.0, 0, "horizon of 0 bars"),
    ],
)
def test_barriers_that_cannot_be(take: float, stop: float, horizon: int, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        Barriers(take, stop, horizon)
