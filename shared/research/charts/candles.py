"""A stretch of candles as inline SVG, with lines and marks on it; its text stands outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shared.market.timeframe import duration_ms
from shared.research.report.plot import calendar_ticks, nice_ticks
from shared.research.report.words import price, safe

if TYPE_CHECKING:
    from shared.market.candle import Columns

WIDTH, HEIGHT = 600.0, 260.0

STYLE = """
.cards{display:grid;gap:1.1rem;
  grid-template-columns:repeat(auto-fill,minmax(min(100%,30rem),1fr))}
.card{border:1px solid var(--line);border-radius:12px;padding:.8rem .9rem;min-width:0}
.card h3{margin:0 0 .2rem}.card p{margin:.15rem 0;font-size:.86rem}
.candles{position:relative;margin:.4rem 3.9rem 1.2rem 0}
.candles svg{display:block;width:100%;height:260px}
.candles span{position:absolute;font-size:.74rem;color:var(--dim);white-space:nowrap}
.candles .y span{left:100%;padding-left:.3rem;transform:translateY(-50%)}
.candles .x span{top:100%;transform:translateX(-50%)}
.wick{stroke:var(--tone);fill:none;stroke-width:1}.body{fill:var(--tone);stroke:none}
.drawn{stroke:var(--tone);fill:none;stroke-width:1.8}.drawn.dash{stroke-dasharray:5 4}
.zone{fill:var(--tone);opacity:.12;stroke:none}
"""


class Stroke(NamedTuple):
    """A path through (time in milliseconds, price); ``dash``: drawn in dashes."""

    points: Sequence[tuple[float, float]]
    look: str = "accent"
    dash: bool = False


def candles(
    columns: Columns, strokes: Sequence[Stroke], says: str, *, marked: Sequence[int] = ()
) -> str:
    """The candles with strokes over them; ``says`` is what the drawing shows, for who cannot see.

    Parameters
    ----------
    marked : sequence of int
        Open times of bars to stand out.
    """
    step = duration_ms(columns.timeframe)
    left, right = float(columns.open_time[0]), float(columns.open_time[-1]) + step
    prices = [p for stroke in strokes for _, p in stroke.points]
    low = min([float(np.min(columns.low)), *prices])
    high = max([float(np.max(columns.high)), *prices])
    room = 0.04 * (high - low) or abs(high) * 0.01
    low, high = low - room, high + room

    def x(time: float) -> float:
        return round((time - left) / (right - left) * WIDTH, 1)

    def y(value: float) -> float:
        return round((high - value) / (high - low) * HEIGHT, 1)

    wide = max(0.8, 0.7 * WIDTH / len(columns))
    wicks: dict[str, list[str]] = {"up": [], "down": []}
    bodies: list[str] = []
    for time, opened, top, bottom, close in zip(
        columns.open_time.tolist(),
        columns.open.tolist(),
        columns.high.tolist(),
        columns.low.tolist(),
        columns.close.tolist(),
        strict=True,
    ):
        look = "up" if close >= opened else "down"
        middle = x(time + step / 2)
        wicks[look].append(f"M{middle} {y(top)}V{y(bottom)}")
        edge, height = y(max(opened, close)), max(0.8, abs(y(opened) - y(close)))
        bodies.append(
            f'<rect class="body {look}" x="{middle - wide / 2:.1f}" y="{edge}" '
            f'width="{wide:.1f}" height="{height:.1f}"/>'
        )
    drawn = [
        f'<rect class="zone warm" x="{x(time)}" y="0" width="{max(2.0, x(left + step)):.1f}" '
        f'height="{HEIGHT:.0f}"/>'
        for time in marked
    ]
    drawn += [f'<path class="wick {look}" d="{"".join(path)}"/>' for look, path in wicks.items()]
    drawn += bodies
    for stroke in strokes:
        path = "L".join(f"{x(time + step / 2)} {y(value)}" for time, value in stroke.points)
        drawn.append(
            f'<path class="drawn {stroke.look}{" dash" if stroke.dash else ""}" d="M{path}"/>'
        )
    up = "".join(
        f'<span style="top:{100 * y(v) / HEIGHT:.1f}%">{safe(price(v))}</span>'
        for v in nice_ticks(low, high, 5)
        if low <= v <= high
    )
    along = "".join(
        f'<span style="left:{100 * x(t) / WIDTH:.1f}%">{safe(text)}</span>'
        for t, text in calendar_ticks(left, right, 5)
        if left <= t <= right
    )
    return (
        f'<div class="candles" role="img" aria-label="{safe(says)}"><svg '
        f'viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none" aria-hidden="true">'
        f'{"".join(drawn)}</svg><div class="y" aria-hidden="true">{up}</div>'
        f'<div class="x" aria-hidden="true">{along}</div></div>'
    )
