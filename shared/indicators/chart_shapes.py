"""Definitions of chart patterns in figures: what the last swings have to look like.

Each definition is written for one direction and looked for in prices and in mirrored prices, so a
bottom is exactly a top upside down. Distances are parts of the pattern's own height, so a
definition means the same on every market and time frame. Sources: Edwards and Magee (1948) and
Bulkowski (2005) for what a pattern is, its breakout and its target; Lo, Mamaysky and Wang (2000)
for saying it as inequalities of consecutive extremes. Their tolerances are parts of a daily share
price; the figures here are parts of the height instead. None was fitted to results.
``docs/patterns.md`` has all of them in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from shared.indicators.chart_patterns import Line, Pattern, Rules, Run
from shared.indicators.swings import Swing

Shape = Callable[[Sequence[Swing], Run, Rules], Iterator[Pattern]]

#: Tops of a double or triple top apart, parts of its height.
LEVEL = 0.2
#: Least bars between the tops of a double top, and least bars of a cup.
APART = 10
#: Valleys of a triple top apart, parts of its height.
VALLEYS = 0.5
#: A head above both shoulders, shoulders above the neckline: parts of the head's height at least.
HEAD, SHOULDER = 0.2, 0.2
#: Shoulders apart, and valleys apart, parts of the head's height at most.
SHOULDERS, NECK = 0.3, 0.3
#: Bars from the head to one shoulder over bars to the other at most.
EVEN = 2.5
#: A line is flat when it moves less than this part of the first width; the middle of three swings
#: on it lies closer to it than this.
FLAT = 0.2
#: What the far line of a triangle closes at least, parts of the first width.
CLOSING = 0.35
#: What a wedge's lines come closer at least, and its least width at the end.
WEDGE, OPEN = 0.3, 0.1
#: A flagpole: mean true ranges in all and per bar; the flag: parts of the pole, and of its bars.
POLE, STEEP, FLAG, FLAG_BARS = 4.0, 0.4, 0.5, 3.0
#: A cup: lips apart, handle, bars of the handle, closes in the lower half.
LIPS, HANDLE, HANDLE_BARS, ROUND = 0.2, 0.5, 0.5, 0.55


@dataclass(frozen=True, slots=True)
class _View:
    """The last swings, mirrored where ``sign`` is -1; bars ``t`` and prices ``y``."""

    sign: int
    turns: tuple[Swing, ...]
    t: list[int]
    y: list[float]

    @property
    def known(self) -> int:
        return self.turns[-1].known


def _view(turns: Sequence[Swing], count: int, *, top: bool) -> _View | None:
    """The last ``count`` swings, seen so that the last is a top, or so that it is a bottom."""
    if len(turns) < count:
        return None
    last = tuple(turns[-count:])
    sign = 1 if last[-1].high == top else -1
    return _View(sign, last, [s.bar for s in last], [float(sign * s.price) for s in last])


def _through(t0: int, y0: float, t1: int, y1: float) -> Line:
    return Line(t0, y0, (y1 - y0) / (t1 - t0))


def _mirrored(line: Line) -> Line:
    return Line(line.bar, -line.price, -line.slope)


def _pattern(
    view: _View,
    kinds: tuple[str, str],
    side: int,
    upper: Line,
    lower: Line,
    height: float,
    quality: float,
    rules: Rules,
) -> Pattern:
    """A pattern of lines as the view shows them; ``kinds`` upright and mirrored."""
    upright = view.sign == 1
    return Pattern(
        kind=kinds[0] if upright else kinds[1],
        side=side * view.sign,
        swings=view.turns,
        known=view.known,
        upper=upper if upright else _mirrored(lower),
        lower=lower if upright else _mirrored(upper),
        height=height,
        quality=min(1.0, max(0.0, quality)),
        until=view.t[0] + rules.span,
    )


def double(turns: Sequence[Swing], run: Run, rules: Rules) -> Iterator[Pattern]:
    """Double top and bottom: two tops at one level after a rise at least as high as they are."""
    view = _view(turns, 4, top=True)
    if view is None:
        return
    begin, first, valley, second = view.y
    height = (first + second) / 2.0 - valley
    apart = abs(first - second) / (LEVEL * height) if height > 0.0 else 2.0
    if apart <= 1.0 and first - begin >= height and view.t[3] - view.t[1] >= APART:
        upper = Line(view.known, max(first, second))
        lower = Line(view.known, valley)
        kinds = ("double_top", "double_bottom")
        yield _pattern(view, kinds, -1, upper, lower, height, 1.0 - apart, rules)


def triple(turns: Sequence[Swing], run: Run, rules: Rules) -> Iterator[Pattern]:
    """Triple top and bottom: three tops at one level; its line is the lowest valley."""
    view = _view(turns, 6, top=True)
    if view is None:
        return
    begin, a, low_a, b, low_b, c = view.y
    base = min(low_a, low_b)
    height = (a + b + c) / 3.0 - base
    if height <= 0.0 or abs(low_a - low_b) > VALLEYS * height or a - begin < height:
        return
    apart = (max(a, b, c) - min(a, b, c)) / (LEVEL * height)
    if apart <= 1.0:
        upper, lower = Line(view.known, max(a, b, c)), Line(view.known, base)
        kinds = ("triple_top", "triple_bottom")
        yield _pattern(view, kinds, -1, upper, lower, height, 1.0 - apart, rules)


def head_and_shoulders(turns: Sequence[Swing], run: Run, rules: Rules) -> Iterator[Pattern]:
    """Head and shoulders, and inverse: a top between two lower ones, on a neckline."""
    view = _view(turns, 6, top=True)
    if view is None:
        return
    begin, left, low_a, head, low_b, right = view.y
    neck = _through(view.t[2], low_a, view.t[4], low_b)
    height = head - neck.at(view.t[3])
    if height <= 0.0 or head - max(left, right) < HEAD * height:
        return
    above = min(left - neck.at(view.t[1]), right - neck.at(view.t[5]))
    before, after = view.t[3] - view.t[1], view.t[5] - view.t[3]
    shoulders = abs(left - right) / (SHOULDERS * height)
    tilt = abs(low_a - low_b) / (NECK * height)
    if (
        above >= SHOULDER * height
        and shoulders <= 1.0
        and tilt <= 1.0
        and max(before, after) <= EVEN * min(before, after)
        and begin < min(low_a, low_b)
    ):
        kinds = ("head_and_shoulders", "inverse_head_and_shoulders")
        quality = 1.0 - (shoulders + tilt) / 2.0
        upper = Line(view.known, right)
        yield _pattern(view, kinds, -1, upper, neck, height, quality, rules)


def between_lines(turns: Sequence[Swing], run: Run, rules: Rules) -> Iterator[Pattern]:
    """Triangles, wedges and rectangles: five swings on two lines."""
    view = _view(turns, 5, top=True)
    if view is None:
        return
    # As the view shows it the first, third and last swing are tops.
    top = _through(view.t[0], view.y[0], view.t[4], view.y[4])
    bottom = _through(view.t[1], view.y[1], view.t[3], view.y[3])
    start, end = view.t[0], view.t[4]
    first, last = top.at(start) - bottom.at(start), top.at(end) - bottom.at(end)
    if first <= 0.0 or last < OPEN * first:
        return
    off = abs(view.y[2] - top.at(view.t[2])) / (FLAT * first)
    if off > 1.0:
        return
    up, down = (top.at(end) - top.at(start)) / first, (bottom.at(end) - bottom.at(start)) / first
    named = _named(up, down)
    if named is None:
        return
    kinds, side = named
    pattern = _pattern(view, kinds, side, top, bottom, first, 1.0 - off, rules)
    if top.slope < bottom.slope:
        apex = end + last / (bottom.slope - top.slope)
        if pattern.until > apex:
            pattern = replace(pattern, until=int(apex))
    yield pattern


def _named(up: float, down: float) -> tuple[tuple[str, str], int] | None:
    """What two lines are, by what each moves in parts of the first width; and its breakout."""
    if abs(up) < FLAT and abs(down) < FLAT:
        return ("rectangle", "rectangle"), 0
    if abs(up) < FLAT and down >= CLOSING:
        return ("ascending_triangle", "descending_triangle"), 0
    if abs(down) < FLAT and up <= -CLOSING:
        return ("descending_triangle", "ascending_triangle"), 0
    if up <= -FLAT and down >= FLAT:
        return ("symmetrical_triangle", "symmetrical_triangle"), 0
    if up >= FLAT and down >= up + WEDGE:
        return ("rising_wedge", "falling_wedge"), -1
    if down <= -FLAT and up <= down - WEDGE:
        return ("falling_wedge", "rising_wedge"), 1
    return None


def flag(turns: Sequence[Swing], run: Run, rules: Rules) -> Iterator[Pattern]:
    """Flags and pennants: a steep pole, and a short rest of at most half of it."""
    view = _view(turns, 5, top=False)
    if view is None:
        return
    foot, tip, low_a, high_b, low_b = view.y
    pole, bars = tip - foot, view.t[1] - view.t[0]
    ranges = run.ranges[view.t[0]]
    if pole < POLE * ranges or pole < STEEP * ranges * bars:
        return
    base = min(low_a, low_b)
    if tip - base > FLAG * pole or high_b > tip or view.t[4] - view.t[1] > FLAG_BARS * bars:
        return
    top = _through(view.t[1], tip, view.t[3], high_b)
    bottom = _through(view.t[2], low_a, view.t[4], low_b)
    start, end = view.t[1], view.t[4]
    first, last = top.at(start) - bottom.at(start), top.at(end) - bottom.at(end)
    if first <= 0.0 or last < OPEN * first:
        return
    up, down = (top.at(end) - top.at(start)) / first, (bottom.at(end) - bottom.at(start)) / first
    closing = down - up
    if abs(closing) < CLOSING and down < FLAT:
        kinds = ("bull_flag", "bear_flag")
    elif closing >= CLOSING and down > -FLAT:
        kinds = ("bull_pennant", "bear_pennant")
    else:
        return
    quality = 1.0 - (tip - base) / (FLAG * pole)
    yield _pattern(view, kinds, 1, top, Line(view.known, base), pole, quality, rules)


def cup(turns: Sequence[Swing], run: Run, rules: Rules) -> Iterator[Pattern]:
    """Cup with handle, and inverted: a round bottom between two lips, then a small dip."""
    view = _view(turns, 5, top=False)
    if view is None:
        return
    begin, left, bottom, right, dip = view.y
    depth = min(left, right) - bottom
    length = view.t[3] - view.t[1]
    if depth <= 0.0 or left - begin < depth or length < APART:
        return
    lips = abs(left - right) / (LIPS * depth)
    if lips > 1.0 or right - dip > HANDLE * depth or view.t[4] - view.t[3] > HANDLE_BARS * length:
        return
    middle = bottom + depth / 2.0
    inside = run.close[view.t[1] + 1 : view.t[3]]
    low = sum(view.sign * close < middle for close in inside)
    if low < ROUND * len(inside):
        return
    kinds = ("cup_with_handle", "inverted_cup_with_handle")
    upper, lower = Line(view.known, right), Line(view.known, dip)
    yield _pattern(view, kinds, 1, upper, lower, depth, 1.0 - lips, rules)


#: Looked for in swings of the whole reversal, and in those of half of it.
COARSE: tuple[Shape, ...] = (double, triple, head_and_shoulders, between_lines)
FINE: tuple[Shape, ...] = (flag, cup)

#: Every kind by the family it belongs to.
FAMILIES: dict[str, tuple[str, ...]] = {
    "double": ("double_top", "double_bottom"),
    "triple": ("triple_top", "triple_bottom"),
    "head_and_shoulders": ("head_and_shoulders", "inverse_head_and_shoulders"),
    "triangle": ("ascending_triangle", "descending_triangle", "symmetrical_triangle"),
    "wedge": ("rising_wedge", "falling_wedge"),
    "rectangle": ("rectangle",),
    "flag": ("bull_flag", "bear_flag"),
    "pennant": ("bull_pennant", "bear_pennant"),
    "cup": ("cup_with_handle", "inverted_cup_with_handle"),
}

KINDS: tuple[str, ...] = tuple(kind for kinds in FAMILIES.values() for kind in kinds)
FAMILY: dict[str, str] = {kind: name for name, kinds in FAMILIES.items() for kind in kinds}
