"""Charts as inline SVG that any width can stretch, with their text outside it, never stretched.

A chart is panels over one horizontal axis. The drawing is there without scripts; the values behind
it are embedded for the script that shows them under the pointer or the arrow keys.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.market.timeframe import DAY_MS
from shared.research.report.words import number, safe

Floats = NDArray[np.float64]

#: Width of the drawing's own coordinates.
WIDTH = 1000.0
#: Points of a line at most: two for every bucket, its lowest and highest.
BUCKETS = 700


@dataclass(frozen=True, eq=False)
class Line:
    """A series. ``look`` is its CSS class; with ``fill`` the area to that value is filled.

    ``told`` is the unit the script shows it in: ``usdt``, ``percent``, ``number`` or ``price``.
    """

    name: str
    x: Floats
    y: Floats
    look: str = "accent"
    fill: float | None = None
    told: str = "number"
    hidden: bool = False


@dataclass(frozen=True, eq=False)
class Band:
    """The area between two series."""

    x: Floats
    low: Floats
    high: Floats
    look: str = "accent"


@dataclass(frozen=True, eq=False)
class Bars:
    """Upright bars from zero. ``looks`` are their classes."""

    left: Floats
    right: Floats
    y: Floats
    looks: Sequence[str]


@dataclass(frozen=True, eq=False)
class Dots:
    """Round marks, and strokes between pairs of places (``x2``, ``y2``) where given."""

    x: Floats
    y: Floats
    looks: Sequence[str]
    x2: Floats | None = None
    y2: Floats | None = None


@dataclass(frozen=True, eq=False)
class Panel:
    """One plot of a chart. ``label`` says what goes up; ``ticks`` writes a value of its axis."""

    label: str
    ticks: Callable[[float], str]
    height: int = 220
    lines: Sequence[Line] = ()
    bands: Sequence[Band] = ()
    bars: Sequence[Bars] = ()
    dots: Sequence[Dots] = ()
    level: float | None = None
    include: Sequence[float] = field(default_factory=list)


def thinned(y: Floats, buckets: int = BUCKETS) -> NDArray[np.int64]:
    """Places of the lowest and highest value of each bucket: no peak or trough is lost."""
    count = len(y)
    if count <= 2 * buckets:
        return np.arange(count)
    edges = np.linspace(0, count, buckets + 1).astype(int)
    keep = {0, count - 1, int(np.argmax(y)), int(np.argmin(y))}
    for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = y[a:b]
        keep.add(a + int(np.argmin(part)))
        keep.add(a + int(np.argmax(part)))
    return np.array(sorted(keep))


def chart(
    name: str,
    panels: Sequence[Panel],
    x_range: tuple[float, float],
    *,
    times: bool = True,
    x_ticks: Sequence[tuple[float, str]] | None = None,
    says: str = "",
) -> str:
    """A chart as HTML.

    Parameters
    ----------
    name : str
        What it shows, for screen readers.
    times : bool
        Whether the horizontal axis is UTC milliseconds.
    says : str
        The caption under it.
    """
    low, high = x_range
    if high <= low:
        low, high = low - 0.5, high + 0.5
    marks = x_ticks if x_ticks is not None else calendar_ticks(low, high) if times else []
    drawn = "".join(_panel(panel, low, high, marks) for panel in panels)
    years = [text.isdigit() and len(text) == 4 for _, text in marks] if times else []
    minor = [not y for y in years] if sum(years) > 1 else [i % 2 > 0 for i in range(len(marks))]
    axis = "".join(
        f'<span class="{"minor" if minor[i] else ""}" style="left:{_part(x, low, high):.2f}%">'
        f"{safe(text)}</span>"
        for i, (x, text) in enumerate(marks)
    )
    zoom = " data-zoom" if times else ""
    return (
        f'<figure class="chart"{zoom} tabindex="0" role="group" aria-label="{safe(name)}; arrow '
        f'keys read the values{", plus and minus zoom" if zoom else ""}">'
        f'<div class="plots">{drawn}<i class="cross" hidden></i>'
        '<output class="tip" hidden></output></div>'
        f'<div class="axis" aria-hidden="true">{axis}</div>'
        + (f"<figcaption>{says}</figcaption>" if says else "")
        + _values(panels, low, high, times=times)
        + "</figure>"
    )


def _values(panels: Sequence[Panel], low: float, high: float, *, times: bool) -> str:
    lines = [(place, line) for place, panel in enumerate(panels) for line in panel.lines]
    if not lines:
        return ""
    bounds = [_bounds(panel) for panel in panels]
    body: dict[str, Any] = {
        "low": low,
        "high": high,
        "times": times,
        "panels": [
            {"height": panel.height, "bottom": _short(bottom), "top": _short(top)}
            for panel, (bottom, top) in zip(panels, bounds, strict=True)
        ],
        "series": [
            {
                "panel": place,
                "name": line.name,
                "unit": line.told,
                "look": line.look,
                "x": [_short(v) for v in line.x.tolist()],
                "y": [_short(v) for v in line.y.tolist()],
            }
            for place, line in lines
        ],
    }
    text = json.dumps(body, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'


def _short(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    if value == int(value) and abs(value) < 1e15:
        return int(value)
    return float(f"{value:.6g}")


def _panel(p: Panel, low: float, high: float, marks: Sequence[tuple[float, str]]) -> str:
    bottom, top = _bounds(p)
    ticks = nice_ticks(bottom, top, max(2, p.height // 55))

    def x(values: Floats) -> list[float]:
        return [round(v, 1) for v in ((values - low) / (high - low) * WIDTH).tolist()]

    def y(values: Floats) -> list[float]:
        return [round(v, 1) for v in (p.height * (top - values) / (top - bottom)).tolist()]

    def at(value: float) -> float:
        return y(np.array([value]))[0]

    parts = [f'<path class="grid" d="M0 {at(v)}H1000"/>' for v in ticks if v != p.level]
    parts += [f'<path class="grid" d="M{x(np.array([v]))[0]} 0V{p.height}"/>' for v, _ in marks]
    for band in p.bands:
        there = [f"{a} {b}" for a, b in zip(x(band.x), y(band.high), strict=True)]
        back = [f"{a} {b}" for a, b in zip(x(band.x), y(band.low), strict=True)][::-1]
        parts.append(f'<path class="band {band.look}" d="M{"L".join(there + back)}Z"/>')
    for bars in p.bars:
        for a, b, v, look in zip(
            x(bars.left), x(bars.right), bars.y.tolist(), bars.looks, strict=True
        ):
            edges = sorted((at(v), at(max(min(0.0, top), bottom))))
            parts.append(
                f'<rect class="bar {look}" x="{a}" y="{edges[0]}" width="{max(b - a, 0.5):.1f}" '
                f'height="{max(edges[1] - edges[0], 0.0):.1f}"/>'
            )
    if p.level is not None and bottom <= p.level <= top:
        parts.append(f'<path class="level" d="M0 {at(p.level)}H1000"/>')
    for line in p.lines:
        if not line.hidden:
            parts.append(
                _line(line, x(line.x), y(line.y), None if line.fill is None else at(line.fill))
            )
    for dots in p.dots:
        parts.append(_dots(dots, x, y))
    labels = "".join(
        f'<span style="top:{100 * at(v) / p.height:.2f}%">{safe(p.ticks(v))}</span>' for v in ticks
    )
    return (
        f'<div class="plot"><small>{safe(p.label)}</small><div class="draw" '
        f'style="height:{p.height}px"><svg viewBox="0 0 1000 {p.height}" '
        f'preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}</svg></div>'
        f'<div class="scale" aria-hidden="true">{labels}</div></div>'
    )


def _line(line: Line, xs: list[float], ys: list[float], base: float | None) -> str:
    pieces: list[list[str]] = [[]]
    spans: list[list[float]] = [[]]
    for a, b, v in zip(xs, ys, line.y.tolist(), strict=True):
        if math.isfinite(v):
            pieces[-1].append(f"{a} {b}")
            spans[-1].append(a)
        elif pieces[-1]:
            pieces.append([])
            spans.append([])
    drawn = "".join("M" + "L".join(piece) for piece in pieces if piece)
    if base is None:
        return f'<path class="line {line.look}" d="{drawn}"/>'
    area = "".join(
        f"M{span[0]} {base}L{'L'.join(piece)}L{span[-1]} {base}Z"
        for piece, span in zip(pieces, spans, strict=True)
        if piece
    )
    return (
        f'<path class="area {line.look}" d="{area}"/><path class="line {line.look}" d="{drawn}"/>'
    )


def _dots(
    dots: Dots, x: Callable[[Floats], list[float]], y: Callable[[Floats], list[float]]
) -> str:
    found = []
    xs, ys = x(dots.x), y(dots.y)
    if dots.x2 is not None and dots.y2 is not None:
        ends = zip(xs, ys, x(dots.x2), y(dots.y2), strict=True)
        strokes = [f"M{a} {b}L{c} {d}" for a, b, c, d in ends]
        for look in sorted(set(dots.looks)):
            path = "".join(s for s, k in zip(strokes, dots.looks, strict=True) if k == look)
            found.append(f'<path class="stroke {look}" d="{path}"/>')
    for look in sorted(set(dots.looks)):
        path = "".join(
            f"M{a} {b}h0" for a, b, k in zip(xs, ys, dots.looks, strict=True) if k == look
        )
        found.append(f'<path class="dot {look}" d="{path}"/>')
    return "".join(found)


def _bounds(p: Panel) -> tuple[float, float]:
    values = [np.asarray(p.include, dtype=np.float64)]
    values += [line.y for line in p.lines if not line.hidden]
    values += [np.array([line.fill]) for line in p.lines if line.fill is not None]
    values += [edge for band in p.bands for edge in (band.low, band.high)]
    values += [np.append(bars.y, 0.0) for bars in p.bars]
    values += [d.y for d in p.dots] + [d.y2 for d in p.dots if d.y2 is not None]
    whole = np.concatenate(values)
    whole = whole[np.isfinite(whole)]
    if not len(whole):
        return 0.0, 1.0
    low, high = float(np.min(whole)), float(np.max(whole))
    if high - low < 1e-12 * max(1.0, abs(high)):
        reach = abs(high) * 0.05 or 1.0
        return low - reach, high + reach
    room = 0.04 * (high - low)
    # Zero stays the edge where it is one.
    return (low if low == 0.0 else low - room), (high if high == 0.0 else high + room)


def _part(value: float, low: float, high: float) -> float:
    return 100.0 * (value - low) / (high - low)


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Round values between two others, about so many and at least two: one tells no scale."""
    found: list[float] = []
    for wanted in (max(count, 1), max(count, 1) + 1, max(count, 1) + 2):
        raw = (high - low) / wanted
        size = 10.0 ** math.floor(math.log10(raw))
        step = next(size * m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if size * m >= raw * 0.999)
        first = math.ceil(low / step - 1e-9)
        last = math.floor(high / step + 1e-9)
        found = [round(i * step, 12) for i in range(first, last + 1)]
        if len(found) > 1:
            break
    return found


def calendar_ticks(low: float, high: float, most: int = 9) -> list[tuple[float, str]]:
    """Days, months or years between two times (UTC ms), at most so many."""
    days = (high - low) / DAY_MS
    if days <= 1.5:
        step = next(h for h in (1, 2, 3, 4, 6, 12) if days * 24 / h <= most)
        first = math.ceil(low / (step * 3_600_000))
        last = math.floor(high / (step * 3_600_000))
        return [
            (i * step * 3_600_000, f"{_utc(i * step * 3_600_000):%H:%M}")
            for i in range(first, last + 1)
        ]
    if days <= 75:
        step = next(d for d in (1, 2, 3, 5, 7, 10, 14) if days / d <= most)
        first, last = math.ceil(low / DAY_MS), math.floor(high / DAY_MS)
        return [(i * DAY_MS, f"{_utc(i * DAY_MS):%-d %b}") for i in range(first, last + 1, step)]
    months = next((m for m in (1, 2, 3, 6) if days / 30.4 / m <= most), None)
    years = next(y for y in (1, 2, 5, 10, 20) if days / 365.25 / y <= most)
    found = []
    begin = _utc(low)
    for place in range(begin.year * 12 + begin.month - 1, begin.year * 12 + 2400):
        moment = datetime(place // 12, place % 12 + 1, 1, tzinfo=UTC)
        at = moment.timestamp() * 1000
        if at > high:
            break
        if at < low or (place % months if months else place % (12 * years)):
            continue
        found.append((at, f"{moment:%Y}" if moment.month == 1 or not months else f"{moment:%b}"))
    return found


def _utc(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def shares(value: float) -> str:
    """A tick in percent without needless decimals."""
    return plain(round(100.0 * value, 9)) + "\u202f%"


def plain(value: float) -> str:
    """A tick without needless decimals."""
    digits = 0 if value == round(value) else 1 if round(value, 1) == value else 2
    return number(value, digits)
