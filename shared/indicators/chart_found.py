"""Chart patterns of a history as people read them: with times, prices and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from shared.indicators.chart_patterns import Breakout, Line, Pattern, Rules, Run, runs, scan
from shared.market.candle import PRICE_UNITS
from shared.market.timeframe import duration_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.market.candle import Columns

Side = Literal["up", "down"]
#: ``forming``: known and within its lines; ``broken``: closed beyond a line of it; ``ended``:
#: closed beyond the wrong line; ``expired``: too old.
State = Literal["forming", "broken", "ended", "expired"]
#: What came after a breakout: the target or the level of failure was touched first, or neither.
Outcome = Literal["target", "failure", "neither"]


class Point(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A price at a bar, ``time`` being its opening in UTC milliseconds."""

    time: int
    price: float


class Broken(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The breakout of a pattern.

    Parameters
    ----------
    time : int
        Close of the bar that closed beyond the line, UTC milliseconds.
    level, target, failure : float
        The line at that bar, where the move is expected to go, and where it has failed.
    outcome : str
        What was touched first by the bars after it, so far; a bar that touches both has failed.
    outcome_time : int or None
        Close of the bar that did, UTC milliseconds.
    """

    time: int
    side: Side
    close: float
    level: float
    target: float
    failure: float
    outcome: Outcome
    outcome_time: int | None


class Found(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One pattern.

    Parameters
    ----------
    side : str or None
        Where its breakout is; ``None``: on either side.
    known : int
        Close of the bar at which it was known, UTC milliseconds.
    swings : list of Point
        What it is made of.
    upper, lower : list of Point
        Both ends of each line: at the first swing, or where it begins, and where it is left.
    quality : float
        How well it meets its definition: 1 exactly, 0 just so.
    """

    kind: str
    state: State
    side: Side | None
    known: int
    swings: list[Point]
    upper: list[Point]
    lower: list[Point]
    quality: float
    breakout: Broken | None


def found(columns: Columns, rules: Rules) -> list[Found]:
    """Every pattern that is known at a bar with its history, the earliest first.

    What is said of a bar is what a live decision at it would have seen; only the state and the
    outcome look at the bars after it.
    """
    known: dict[tuple[str, int, int], tuple[Pattern, Run]] = {}
    broke: dict[tuple[str, int, int], tuple[Breakout, Run]] = {}
    ended: dict[tuple[str, int, int], int] = {}
    for run in runs(columns, rules):
        told = scan(run, rules)
        first = run.judged - run.start
        for place, pattern in enumerate(told.patterns):
            swings = pattern.swings
            key = (pattern.kind, run.start + swings[0].bar, run.start + swings[-1].bar)
            if pattern.known >= first:
                known.setdefault(key, (pattern, run))
            if place in told.broke and told.broke[place].bar >= first:
                broke.setdefault(key, (told.broke[place], run))
            elif place in told.ended and told.ended[place] >= first:
                ended.setdefault(key, run.start + told.ended[place])
    rows = []
    for key, (pattern, run) in known.items():
        breakout = None
        last = min(run.start + pattern.until, len(columns) - 1)
        state: State = "forming" if run.start + pattern.until >= len(columns) else "expired"
        if key in broke:
            state = "broken"
            breakout = _broken(*broke[key], columns, rules)
            last = broke[key][1].start + broke[key][0].bar
        elif key in ended:
            state, last = "ended", ended[key]
        rows.append(_row(pattern, run, columns, state, last, breakout))
    return sorted(rows, key=lambda row: (row.known, row.kind, row.swings[0].time))


def _row(
    pattern: Pattern,
    run: Run,
    columns: Columns,
    state: State,
    last: int,
    breakout: Broken | None,
) -> Found:
    step = duration_ms(columns.timeframe)
    times = columns.open_time
    first = pattern.swings[0].bar

    def ends(line: Line) -> list[Point]:
        return [
            Point(time=int(times[run.start + bar]), price=line.at(bar) / PRICE_UNITS)
            for bar in (first, last - run.start)
        ]

    return Found(
        kind=pattern.kind,
        state=state,
        side=None if pattern.side == 0 else "up" if pattern.side > 0 else "down",
        known=int(times[run.start + pattern.known]) + step,
        swings=[
            Point(time=int(times[run.start + s.bar]), price=s.price / PRICE_UNITS)
            for s in pattern.swings
        ],
        upper=ends(pattern.upper),
        lower=ends(pattern.lower),
        quality=pattern.quality,
        breakout=breakout,
    )


def _broken(one: Breakout, run: Run, columns: Columns, rules: Rules) -> Broken:
    step = duration_ms(columns.timeframe)
    at = run.start + one.bar
    target, failure = one.target / PRICE_UNITS, one.failure / PRICE_UNITS
    stop = min(len(columns), at + 1 + 2 * rules.span)
    outcome, when = _after(columns, at + 1, stop, one.side, target, failure)
    return Broken(
        time=int(columns.open_time[at]) + step,
        side="up" if one.side > 0 else "down",
        close=float(columns.close[at]),
        level=one.level / PRICE_UNITS,
        target=target,
        failure=failure,
        outcome=outcome,
        outcome_time=None if when is None else int(columns.open_time[when]) + step,
    )


def _after(
    columns: Columns, start: int, stop: int, side: int, target: float, failure: float
) -> tuple[Outcome, int | None]:
    """What bars ``start`` to before ``stop`` touched first."""
    high, low = columns.high, columns.low
    for bar in range(start, stop):
        up, down = float(high[bar]), float(low[bar])
        if (down <= failure) if side > 0 else (up >= failure):
            return "failure", bar
        if (up >= target) if side > 0 else (down <= target):
            return "target", bar
    return "neither", None


class Tally(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the patterns of a kind ended: known, broken out by side, and what came after."""

    kind: str
    known: int
    up: int
    down: int
    target: int
    failure: int
    neither: int
    #: Breakouts at the very bar at which the pattern was known.
    at_once: int


def tally(rows: Sequence[Found]) -> list[Tally]:
    """Counts by kind, in the order of :data:`shared.indicators.chart_shapes.KINDS`."""
    from shared.indicators.chart_shapes import KINDS

    told = []
    for kind in KINDS:
        own = [row for row in rows if row.kind == kind]
        broke = [row.breakout for row in own if row.breakout is not None]
        told.append(
            Tally(
                kind=kind,
                known=len(own),
                up=sum(b.side == "up" for b in broke),
                down=sum(b.side == "down" for b in broke),
                target=sum(b.outcome == "target" for b in broke),
                failure=sum(b.outcome == "failure" for b in broke),
                neither=sum(b.outcome == "neither" for b in broke),
                at_once=sum(
                    row.breakout is not None and row.breakout.time == row.known for row in own
                ),
            )
        )
    return told
