"""Chart patterns of swing highs and lows: when one is known, and when the price breaks out of it.

Nothing is drawn by eye: the definitions of :mod:`shared.indicators.chart_shapes` look at the last
swings each time a swing becomes known. A pattern has an upper and a lower line; the first close
beyond the line on its side, from the bar at which it is known on, is its breakout, a close beyond
the other one ends it. Where both sides are open, whichever line is closed beyond first decides.

A bar's patterns are those of a run that begins at a fixed place of the calendar at least
:attr:`Rules.settle` plus :attr:`Rules.span` bars before, so they do not depend on how much history
there is: a live window and all of history give the same ones, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import numpy as np

from shared.indicators.swings import Swing, mean_true_range, swings, whole
from shared.market.timeframe import duration_ms

if TYPE_CHECKING:
    from shared.market.candle import Columns


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a swing is, and how long a pattern may take.

    Parameters
    ----------
    reversal : float
        Mean true ranges that turn a swing; flags and pennants are looked for in swings of half.
    ranges : int
        Bars of the mean true range.
    span : int
        Bars from a pattern's first swing to its breakout at most.
    """

    reversal: Annotated[float, msgspec.Meta(ge=0.5, le=20)] = 3.0
    ranges: Annotated[int, msgspec.Meta(ge=2, le=400)] = 48
    span: Annotated[int, msgspec.Meta(ge=20, le=1000)] = 144

    @property
    def settle(self) -> int:
        """Bars after which swings no longer depend on where the run began, in practice."""
        return self.span // 2

    @property
    def history(self) -> int:
        """Bars, the last one included, that its patterns depend on."""
        return 2 * self.stride + self.ranges

    @property
    def stride(self) -> int:
        """Bars between the places of the calendar at which runs begin."""
        return self.span + self.settle


class Line(NamedTuple):
    """A straight line through a bar, in whole price units; ``slope`` is per bar."""

    bar: int
    price: float
    slope: float = 0.0

    def at(self, bar: int) -> float:
        return self.price + self.slope * (bar - self.bar)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that is known. Bars are places in the run, prices in whole units.

    Parameters
    ----------
    kind : str
        A name of :data:`shared.indicators.chart_shapes.KINDS`.
    side : int
        1 or -1: the side of its breakout; 0: either.
    swings : tuple of Swing
        Those it is made of, the earliest first.
    known : int
        Bar at whose close it is known.
    upper, lower : Line
    height : float
        Distance that the price is expected to go beyond the line.
    quality : float
        How well it meets its definition: 1 exactly, 0 just so.
    until : int
        Last bar at which it can break out.
    """

    kind: str
    side: int
    swings: tuple[Swing, ...]
    known: int
    upper: Line
    lower: Line
    height: float
    quality: float
    until: int


@dataclass(frozen=True, slots=True)
class Breakout:
    """The close beyond a line that makes a pattern complete.

    Parameters
    ----------
    bar : int
        The bar that closed beyond ``level``.
    side : int
        1 up, -1 down.
    level : float
        Price of the line at that bar.
    target : float
        Price at which the pattern has done what is expected of it; never below 0.
    failure : float
        Price beyond which it has failed: the opposite line at the breakout.
    """

    pattern: Pattern
    bar: int
    side: int
    level: float
    target: float
    failure: float


@dataclass(frozen=True, eq=False)
class Run:
    """Consecutive bars from a place of the calendar on, in whole units as plain lists.

    ``start`` is the place of the first bar in the columns, ``judged`` that of the first bar whose
    patterns are those of this run.
    """

    start: int
    judged: int
    high: list[int]
    low: list[int]
    close: list[int]
    ranges: list[float]

    def __len__(self) -> int:
        return len(self.high)


@dataclass(frozen=True, eq=False)
class Scan:
    """Patterns and breakouts of one run, in the order in which they become known."""

    run: Run
    patterns: list[Pattern]
    breakouts: list[Breakout]
    #: Breakout of a pattern by its place in ``patterns``, where there is one.
    broke: dict[int, Breakout]
    #: Bar at which a pattern ended without one, by its place: closed beyond the wrong line.
    ended: dict[int, int]


def runs(columns: Columns, rules: Rules, *, last: int | None = None) -> Iterator[Run]:
    """The runs that judge the bars with their history, the earliest first.

    Parameters
    ----------
    last : int, optional
        Only what judges this many bars at the end.
    """
    bars = len(columns)
    first = int(columns.open_time[0]) // duration_ms(columns.timeframe)
    # The bar before the first judged one has its history as well, whatever the calendar says.
    ready = rules.history - 1
    ready = ready if last is None else max(ready, bars - last)
    if ready >= bars:
        return
    cut = max(0, ready - rules.history + 1)
    part = columns.window(cut, bars)
    high, low, close = (whole(x).tolist() for x in (part.high, part.low, part.close))
    ranges = mean_true_range(part, rules.ranges).tolist()
    stride = rules.stride
    block = (first + ready) // stride
    while block * stride - first < bars:
        start = (block - 1) * stride - first
        stop = min(bars, (block + 1) * stride - first)
        piece = slice(start - cut, stop - cut)
        yield Run(
            start,
            max(ready, block * stride - first),
            high[piece],
            low[piece],
            close[piece],
            ranges[piece],
        )
        block += 1


def scan(run: Run, rules: Rules) -> Scan:
    """Every pattern of a run and what became of it."""
    from shared.indicators.chart_shapes import COARSE, FINE

    known: list[Pattern] = []
    for factor, shapes in ((1.0, COARSE), (0.5, FINE)):
        reversal = np.maximum(1, np.rint(np.array(run.ranges) * (rules.reversal * factor)))
        turns = swings(run.high, run.low, reversal.astype(np.int64).tolist())
        for i in range(len(turns)):
            known.extend(
                pattern
                for shape in shapes
                for pattern in shape(turns[: i + 1], run, rules)
                if pattern.until >= pattern.known
            )
    known.sort(key=lambda p: (p.known, p.kind, p.swings[0].bar))
    broke: dict[int, Breakout] = {}
    ended: dict[int, int] = {}
    for place, pattern in enumerate(known):
        outcome = _followed(pattern, run)
        if isinstance(outcome, Breakout):
            broke[place] = outcome
        elif outcome is not None:
            ended[place] = outcome
    return Scan(run, known, _distinct(broke.values()), broke, ended)


def _followed(pattern: Pattern, run: Run) -> Breakout | int | None:
    """Its breakout, or the bar at which it ended without one."""
    close, upper, lower = run.close, pattern.upper, pattern.lower
    for bar in range(pattern.known, min(pattern.until + 1, len(run))):
        above, below = close[bar] > upper.at(bar), close[bar] < lower.at(bar)
        if not above and not below:
            continue
        side = 1 if above else -1
        if pattern.side == -side or (above and below):
            return bar
        level, other = (upper, lower) if above else (lower, upper)
        return Breakout(
            pattern,
            bar,
            side,
            level.at(bar),
            max(0.0, level.at(bar) + side * pattern.height),
            max(0.0, other.at(bar)),
        )
    return None


def _distinct(breakouts: Iterable[Breakout]) -> list[Breakout]:
    """One for each bar, kind and side: that of the pattern that meets its definition best."""
    best: dict[tuple[int, str, int], Breakout] = {}
    for one in breakouts:
        key = (one.bar, one.pattern.kind, one.side)
        held = best.get(key)
        if held is None or one.pattern.quality > held.pattern.quality:
            best[key] = one
    return sorted(best.values(), key=lambda b: (b.bar, b.pattern.kind, b.side))
