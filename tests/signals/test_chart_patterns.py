"""Charts drawn from a definition are recognised, and drawn just beside it they are not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from candle_series import series
from drawn import BASE, UNIT, Corner, draw
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.indicators.chart_found import found, tally
from shared.indicators.chart_patterns import Rules
from shared.indicators.chart_shapes import FAMILIES, KINDS
from shared.indicators.swings import mean_true_range, swings, whole
from shared.market.candle import PRICE_UNITS, Columns
from shared.strategies.frame import Frame
from shared.strategies.registry import strategy

#: Kind upright, mirrored, its corners from the definition, what comes after, side of the breakout.
Case = tuple[str, str, Sequence[Corner], Sequence[Corner], int]

FALLS: Sequence[Corner] = ((20, -1.5),)
RISES: Sequence[Corner] = ((20, 2.5),)

MATCHING: list[Case] = [
    ("double_top", "double_bottom", [(1, -1.0), (14, 1.0), (10, 0.0), (10, 1.05)], FALLS, -1),
    (
        "triple_top",
        "triple_bottom",
        [(1, -1.0), (14, 1.0), (9, 0.0), (9, 1.1), (9, 0.1), (9, 1.0)],
        FALLS,
        -1,
    ),
    (
        "head_and_shoulders",
        "inverse_head_and_shoulders",
        [(1, -1.0), (14, 1.0), (9, 0.0), (12, 2.0), (12, 0.1), (10, 1.1)],
        FALLS,
        -1,
    ),
    (
        "ascending_triangle",
        "descending_triangle",
        [(20, 2.0), (16, 0.0), (16, 2.0), (14, 0.75), (14, 2.0)],
        [(6, 1.45), (14, 3.5)],
        1,
    ),
    (
        "symmetrical_triangle",
        "symmetrical_triangle",
        [(14, 3.0), (12, 0.0), (12, 2.6), (12, 0.6), (12, 2.2)],
        [(6, 1.2), (16, 4.0)],
        1,
    ),
    (
        "rising_wedge",
        "falling_wedge",
        [(14, 2.0), (10, 0.0), (12, 2.6), (10, 1.4), (12, 3.2)],
        [(20, -1.5)],
        -1,
    ),
    (
        "rectangle",
        "rectangle",
        [(14, 2.0), (10, 0.0), (10, 2.05), (10, 0.05), (10, 2.0)],
        [(20, -1.5)],
        -1,
    ),
    (
        "bull_flag",
        "bear_flag",
        [(2, -1.2), (9, 3.0), (5, 2.1), (5, 2.8), (5, 1.9)],
        [(9, 4.5)],
        1,
    ),
    (
        "bull_pennant",
        "bear_pennant",
        [(2, -1.2), (9, 3.0), (5, 1.8), (5, 2.75), (5, 2.0)],
        [(9, 4.5)],
        1,
    ),
]


@pytest.mark.parametrize("mirrored", [False, True], ids=["upright", "mirrored"])
@pytest.mark.parametrize("case", MATCHING, ids=[case[0] for case in MATCHING])
def test_a_drawn_pattern_is_found_with_its_breakout(case: Case, mirrored: bool) -> None:
    upright, other, corners, after, side = case
    chart = draw(corners, after=after, mirrored=mirrored)
    (one,) = chart.found(other if mirrored else upright)
    assert one.breakout is not None
    assert one.breakout.side == ("up" if (side > 0) != mirrored else "down")
    # Known only after its last corner, never at it; the breakout not before that.
    last = int(chart.bars.open_time[chart.corners[-1]])
    assert one.known > last + 3_600_000
    assert one.breakout.time >= one.known
    assert one.breakout.failure < one.breakout.level < one.breakout.target or (
        one.breakout.failure > one.breakout.level > one.breakout.target
    )


#: Beside the definition: kind, corners, what comes after, what is wrong with them.
NEAR: list[tuple[str, Sequence[Corner], Sequence[Corner], str]] = [
    ("double_top", [(1, -1.0), (14, 1.0), (10, 0.0), (12, 1.35)], FALLS, "second top too high"),
    ("double_top", [(1, -1.0), (14, 1.0), (10, 0.0), (10, 0.6)], FALLS, "second top too low"),
    (
        "double_top",
        [(1, 0.0), (12, 1.0), (14, -0.6), (12, 1.0)],
        FALLS,
        "no rise as high as the pattern before it",
    ),
    (
        "triple_top",
        [(1, -1.0), (14, 1.0), (9, 0.0), (9, 1.4), (9, 0.1), (9, 1.0)],
        FALLS,
        "the middle is a head",
    ),
    (
        "triple_top",
        [(1, -1.2), (14, 1.0), (9, 0.0), (9, 1.0), (6, 0.62), (6, 1.0)],
        FALLS,
        "valleys at different levels",
    ),
    (
        "head_and_shoulders",
        [(1, -1.0), (14, 1.0), (9, 0.0), (9, 1.1), (9, 0.1), (9, 1.0)],
        FALLS,
        "no head",
    ),
    (
        "head_and_shoulders",
        [(1, -1.0), (14, 0.8), (9, 0.0), (12, 2.0), (12, 0.1), (12, 1.6)],
        FALLS,
        "shoulders at different levels",
    ),
    (
        "head_and_shoulders",
        [(1, -1.4), (14, 1.2), (9, 0.0), (12, 2.0), (9, 0.85), (6, 1.5)],
        FALLS,
        "a steep neckline",
    ),
    (
        "head_and_shoulders",
        [(1, -1.0), (14, 1.0), (5, 0.0), (5, 2.0), (12, 0.1), (22, 1.1)],
        FALLS,
        "one side much longer than the other",
    ),
    (
        "ascending_triangle",
        [(14, 2.0), (12, 0.0), (12, 2.0), (10, 0.3), (10, 2.0)],
        [(8, 1.0), (14, 3.5)],
        "the lower line hardly rises",
    ),
    (
        "ascending_triangle",
        [(14, 2.0), (12, 0.0), (14, 2.6), (14, 0.9), (14, 3.0)],
        [(8, 1.9), (14, 4.5)],
        "the upper line rises",
    ),
    (
        "symmetrical_triangle",
        [(14, 3.0), (12, 0.0), (12, 3.0), (12, 0.9), (12, 3.0)],
        [(6, 1.9), (16, 4.0)],
        "the upper line is flat",
    ),
    (
        "symmetrical_triangle",
        [(14, 3.0), (12, 0.0), (12, 1.9), (12, 0.6), (12, 2.2)],
        [(6, 1.2), (16, 4.0)],
        "the middle top is far from the line",
    ),
    (
        "rising_wedge",
        [(14, 2.0), (10, 0.0), (12, 2.6), (10, 0.6), (12, 3.2)],
        [(20, -1.5)],
        "the lines run side by side",
    ),
    (
        "rectangle",
        [(14, 2.0), (10, 0.0), (10, 2.3), (10, 0.05), (10, 2.6)],
        [(20, -1.5)],
        "the upper line rises",
    ),
    (
        "bull_flag",
        [(2, -1.2), (9, 3.0), (6, 0.6), (6, 2.5), (6, 0.5)],
        [(12, 4.5)],
        "more than half of the pole is given back",
    ),
    (
        "bull_pennant",
        [(2, -1.2), (9, 3.0), (5, 2.1), (5, 2.8), (5, 1.9)],
        [(9, 4.5)],
        "the lines run side by side",
    ),
]


@pytest.mark.parametrize(
    ("kind", "corners", "after"), [case[:3] for case in NEAR], ids=[f"{c[0]}: {c[3]}" for c in NEAR]
)
def test_what_is_beside_the_definition_is_not_found(
    kind: str, corners: Sequence[Corner], after: Sequence[Corner]
) -> None:
    assert draw(corners, after=after).found(kind) == []


@pytest.mark.parametrize(("bars", "there"), [(9, True), (80, False)])
def test_a_pole_is_steep_for_the_market_it_is_in(bars: int, there: bool) -> None:
    corners = [(2, -1.2), (bars, 3.0), (5, 2.1), (5, 2.8), (5, 1.9)]
    assert bool(draw(corners, after=[(9, 4.5)], calm=0.6).found("bull_flag")) == there


def cup(points: int, power: float, handle: float = 0.75) -> Sequence[Corner]:
    """Left lip, a bottom whose sides are |x|**power, right lip and the low of the handle."""
    rows: list[Corner] = [(2, -1.2), (12, 1.0)]
    for i in range(1, 2 * points + 1):
        rows.append((1, abs((i - points) / points) ** power))
    return [*rows, (4, handle)]


@pytest.mark.parametrize(
    ("power", "handle", "there"),
    [(2.5, 0.75, True), (0.7, 0.75, False), (2.5, 0.3, False)],
    ids=["round", "a narrow notch", "a deep handle"],
)
def test_a_cup_is_round_and_its_handle_small(power: float, handle: float, there: bool) -> None:
    chart = draw(cup(14, power, handle), after=[(8, 2.2)], noise=0.0)
    kinds = [one for one in found(chart.bars, Rules()) if one.kind == "cup_with_handle"]
    assert bool(kinds) == there
    if there:
        (broken,) = (one.breakout for one in kinds)
        assert broken is not None
        assert broken.side == "up"


@settings(max_examples=20, deadline=None)
@given(
    left=st.floats(0.8, 1.3),
    difference=st.floats(-0.4, 0.4),
    tilt=st.floats(-0.3, 0.3),
    head=st.floats(1.9, 2.4),
    seed=st.integers(0, 1000),
    shift=st.integers(0, 500),
    mirrored=st.booleans(),
)
def test_any_head_and_shoulders_within_the_definition(
    left: float,
    difference: float,
    tilt: float,
    head: float,
    seed: int,
    shift: int,
    mirrored: bool,
) -> None:
    """Wherever the calendar cuts the history, and whatever the noise."""
    corners = [(1, -1.2), (16, left), (9, 0.0), (12, head), (12, tilt), (9, left + difference)]
    chart = draw(corners, after=[(24, -2.0)], seed=seed, shift=shift, mirrored=mirrored)
    height = head - tilt / 2
    # Well inside the tolerances, in words of the definition: the candles reach a little further.
    inside = abs(difference) < 0.25 * height and abs(tilt) < 0.25 * height
    # The leg up to the right shoulder has to be a swing of this market.
    legs = left + difference - max(tilt, 0.0) > 0.7
    if inside and legs and head - max(left, left + difference) > 0.3 * height:
        kind = "inverse_head_and_shoulders" if mirrored else "head_and_shoulders"
        (one,) = chart.found(kind)
        assert one.breakout is not None
        neck = BASE + (-1 if mirrored else 1) * UNIT * tilt
        # The neckline goes on as it ran between the valleys; the target is as far beyond it as
        # the head was above.
        assert abs(one.breakout.level - neck) < 2.0 + UNIT * abs(tilt)
        expected = UNIT * height
        assert abs(one.breakout.target - one.breakout.level) == pytest.approx(expected, rel=0.15)


@settings(max_examples=20, deadline=None)
@given(second=st.floats(0.6, 1.4), seed=st.integers(0, 1000), shift=st.integers(0, 500))
def test_two_tops_are_a_double_top_where_they_are_level(
    second: float, seed: int, shift: int
) -> None:
    corners = [(1, -1.2), (14, 1.0), (12, 0.0), (12, second)]
    chart = draw(corners, after=[(24, -2.0)], seed=seed, shift=shift)
    apart = abs(second - 1.0) / ((1.0 + second) / 2.0)
    if apart < 0.15:
        assert len(chart.found("double_top")) == 1
    elif apart > 0.25:
        assert chart.found("double_top") == []


def reference_swings(high: list[int], low: list[int], reversal: list[int]) -> list[tuple[int, ...]]:
    """The definition read aloud: for every bar, is the last leg over?"""
    told: list[tuple[int, ...]] = []
    origin, rising = -1, None
    for i in range(1, len(high)):
        if rising is None:
            top = high.index(max(high[: i + 1]))
            bottom = low.index(min(low[: i + 1]))
            fell = top < i and high[top] - low[i] >= reversal[i]
            rose = bottom < i and high[i] - low[bottom] >= reversal[i]
            if fell != rose:
                rising, origin = rose, bottom if rose else top
            continue
        leg = (high if rising else low)[origin + 1 : i + 1]
        best = max(leg) if rising else min(leg)
        at = origin + 1 + leg.index(best)
        away = best - low[i] if rising else high[i] - best
        if at < i and away >= reversal[i]:
            told.append((at, best, rising, i))
            origin, rising = at, not rising
    return told


@pytest.mark.parametrize("seed", range(6))
def test_swings_by_their_definition(seed: int) -> None:
    bars = series(seed, 900)
    ranges = mean_true_range(bars, 20)
    part = bars.window(20, 900)
    high, low = whole(part.high).tolist(), whole(part.low).tolist()
    for factor in (1.0, 2.5, 4.0):
        reversal = np.maximum(1, np.rint(ranges[20:] * factor)).astype(int).tolist()
        got = [tuple(s) for s in swings(high, low, reversal)]
        assert got == reference_swings(high, low, reversal)
        assert len(got) > 5


def test_the_mean_true_range_by_plain_arithmetic() -> None:
    bars = series(3, 300)
    got = mean_true_range(bars, 14)
    assert np.isnan(got[:14]).all()
    for i in range(14, 300):
        spans = [
            max(bars.high[j], bars.close[j - 1]) - min(bars.low[j], bars.close[j - 1])
            for j in range(i - 13, i + 1)
        ]
        assert got[i] / PRICE_UNITS == pytest.approx(math.fsum(spans) / 14, rel=1e-12)


@pytest.mark.parametrize("cut", [1, 97, 333])
def test_patterns_do_not_depend_on_where_the_history_begins(cut: int) -> None:
    bars = series(11, 3000)
    ready = int(bars.open_time[cut + Rules().history])
    late = [one for one in found(bars.window(cut, 3000), Rules()) if one.known > ready]
    assert late == [one for one in found(bars, Rules()) if one.known > ready]
    assert len(late) > 20


def test_what_is_known_of_a_bar_does_not_change_with_later_bars() -> None:
    bars = series(12, 2000)
    whole_history = found(bars, Rules())
    for end in range(900, 2000, 83):
        now = int(bars.open_time[end - 1]) + 60_000
        then = found(bars.window(0, end), Rules())
        assert [(o.kind, o.known, o.swings, o.quality) for o in then] == [
            (o.kind, o.known, o.swings, o.quality) for o in whole_history if o.known <= now
        ]
        broken = [(o.kind, o.swings, o.breakout.time) for o in then if o.breakout]
        assert broken == [
            (o.kind, o.swings, o.breakout.time)
            for o in whole_history
            if o.breakout and o.breakout.time <= now
        ]


def test_a_tally_counts_every_pattern_once() -> None:
    rows = found(series(13, 4000), Rules())
    told = tally(rows)
    assert [one.kind for one in told] == list(KINDS)
    assert sum(one.known for one in told) == len(rows)
    for one in told:
        assert one.up + one.down == one.target + one.failure + one.neither <= one.known


def votes(bars: Columns, **params: Any) -> np.ndarray:
    bound = strategy("chart_patterns").with_params(params)
    return np.asarray(bound.votes(Frame(bars)).vote)


def test_the_vote_is_whole_at_the_breakout_and_fades() -> None:
    chart = draw(MATCHING[0][2], after=[(14, -0.1), (30, -0.5)], noise=0.0)
    (one,) = chart.found("double_top")
    assert one.breakout is not None
    got = votes(chart.bars, families=["double"], least=0.6, hold=10)
    at = int(np.searchsorted(chart.bars.open_time, one.breakout.time)) - 1
    full = -(0.6 + 0.4 * one.quality)
    assert not got[at - 30 : at].any()
    assert got[at : at + 10] == pytest.approx([full * (1 - i / 10) for i in range(10)])
    assert not got[at + 10 : at + 14].any()


def test_the_vote_ends_where_the_pattern_has_failed() -> None:
    chart = draw(MATCHING[0][2], after=[(14, -0.1), (3, 1.5), (20, 1.5)], noise=0.0)
    (one,) = chart.found("double_top")
    assert one.breakout is not None
    got = votes(chart.bars, families=["double"], hold=40)
    at = int(np.searchsorted(chart.bars.open_time, one.breakout.time)) - 1
    beyond = at + int(np.flatnonzero(chart.bars.close[at:] > one.breakout.failure)[0])
    assert (got[at:beyond] < 0.0).all()
    assert not got[beyond : beyond + 10].any()


@pytest.mark.parametrize("seed", range(2))
def test_a_mirrored_market_gets_the_opposite_vote(seed: int) -> None:
    bars = series(seed, 3000)
    middle = np.round(2 * float(bars.close.max()), 2)
    mirrored = Columns(
        bars.symbol,
        bars.timeframe,
        bars.open_time,
        middle - bars.open,
        middle - bars.low,
        middle - bars.high,
        middle - bars.close,
        bars.volume,
    )
    ours = votes(bars)
    np.testing.assert_allclose(ours, -votes(mirrored), atol=1e-9)
    assert np.nanmax(np.abs(ours)) > 0.5


def test_only_the_families_that_are_asked_for_vote() -> None:
    bars = series(2, 4000)
    assert not np.array_equal(votes(bars), votes(bars, families=["flag"]), equal_nan=True)
    figures = strategy("chart_patterns").with_params({"families": ["flag"]}).votes(Frame(bars))
    for name in FAMILIES:
        assert np.isfinite(figures.figures[name]).any() == (name == "flag")
