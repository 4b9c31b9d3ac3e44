"""Chart patterns of candles as one HTML file: on the price, one by one, and how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shared.indicators.chart_found import Found, Tally, tally
from shared.market.timeframe import duration_ms
from shared.research.charts.candles import STYLE, Stroke, candles
from shared.research.report.parts import section, table, tiles
from shared.research.report.plot import Dots, Line, Panel, chart, plain
from shared.research.report.shell import shell
from shared.research.report.words import day, minute, number, percent, price, safe

if TYPE_CHECKING:
    from shared.indicators.chart_patterns import Rules
    from shared.market.candle import Columns

#: Rows of the list of all patterns at most; the latest.
LISTED = 400

_ENDS = {
    "forming": "still forming",
    "broken": "broken out",
    "ended": "closed beyond the wrong line",
    "expired": "too old",
}


def page(columns: Columns, rows: Sequence[Found], rules: Rules, latest: int = 24) -> str:
    """The file. ``latest``: how many patterns are drawn on candles of their own."""
    step = duration_ms(columns.timeframe)
    told = [one for one in tally(rows) if one.known]
    drawn = list(rows[-latest:][::-1])
    body = (
        f"<style>{STYLE}</style>"
        + _headline(rows, told)
        + section("price", "On the price", _price(columns, rows))
        + section(
            "kinds",
            "How they ended",
            _kinds(told),
            "Target and failure: which level was touched first within "
            f"{2 * rules.span} bars after the breakout; a bar that touches both has failed. At "
            "once: the breakout was the very bar at which the last swing became known.",
        )
        + section(
            "latest",
            f"The latest {len(drawn)}" if drawn else "The latest",
            f'<div class="cards">{"".join(_card(columns, one) for one in drawn)}</div>'
            if drawn
            else '<p class="dim">None.</p>',
        )
        + section("list", "All of them", _listing(rows), _left_out(rows))
    )
    lead = (
        f"{safe(columns.symbol)} \u00b7 {safe(columns.timeframe)} \u00b7 "
        f"{day(int(columns.open_time[0]) + step)} to {day(int(columns.open_time[-1]) + step)} "
        f"\u00b7 {len(columns):,} bars \u00b7 swings of {number(rules.reversal, 1)} mean true "
        f"ranges of {rules.ranges} bars, patterns of at most {rules.span} bars"
    )
    return shell(
        f"Chart patterns of {columns.symbol}",
        lead,
        body,
        "Borsa Quantum Bot. A pattern is told as it was known at its bar; what came after it need "
        "not come again.",
    )


def _headline(rows: Sequence[Found], told: Sequence[Tally]) -> str:
    broke = sum(one.up + one.down for one in told)
    target, failure = sum(one.target for one in told), sum(one.failure for one in told)
    forming = sum(one.state == "forming" for one in rows)
    share = percent(target / broke if broke else None)
    return tiles(
        [
            ("Patterns", f"{len(rows):,}", "", "known at some bar"),
            ("Breakouts", f"{broke:,}", "", "a close beyond the line"),
            ("Target first", share, "", f"{target:,} of {broke:,}"),
            ("Failure first", percent(failure / broke if broke else None), "", f"{failure:,}"),
            ("At once", f"{sum(one.at_once for one in told):,}", "", "known as it broke"),
            ("Forming", f"{forming:,}", "", "at the last bar"),
        ]
    )


def _price(columns: Columns, rows: Sequence[Found]) -> str:
    step = duration_ms(columns.timeframe)
    times = columns.open_time.astype(float) + step
    lines: dict[str, list[tuple[float, float, float, float]]] = {"up": [], "down": [], "quiet": []}
    for one in rows:
        look = "quiet" if one.breakout is None else one.breakout.side
        for line in (one.upper, one.lower):
            a, b = line
            lines[look].append((a.time + step, a.price, b.time + step, b.price))
    dots = []
    for tone, found in lines.items():
        if found:
            x, y, x2, y2 = np.array(found).T
            dots.append(Dots(x, y, [tone] * len(found), x2, y2))
    panel = Panel(
        "price",
        plain,
        height=380,
        lines=[Line("close", times, columns.close, "accent", told="price")],
        dots=dots,
    )
    return chart(
        f"{columns.symbol} with its chart patterns",
        [panel],
        (float(times[0]), float(times[-1])),
        says="Lines of patterns, green where the breakout was up, red where it was down, grey "
        "where there was none. Drag over a stretch, or press plus, to look closer.",
    )


def _kinds(told: Sequence[Tally]) -> str:
    return table(
        ["pattern", "known", "broke up", "broke down", "at once", "target", "failure", "neither"],
        [
            [
                safe(one.kind.replace("_", " ")),
                *(f"{count:,}" for count in (one.known, one.up, one.down, one.at_once)),
                *(
                    f"{count:,} ({percent(count / (one.up + one.down), 0)})"
                    if one.up + one.down
                    else number(None)
                    for count in (one.target, one.failure, one.neither)
                ),
            ]
            for one in told
        ],
    )


def _card(columns: Columns, one: Found) -> str:
    step = duration_ms(columns.timeframe)
    first = int(np.searchsorted(columns.open_time, one.swings[0].time))
    last = max(one.known, one.upper[-1].time, one.breakout.time if one.breakout else 0)
    end = int(np.searchsorted(columns.open_time, last))
    room = max(10, (end - first) // 3)
    part = columns.window(max(0, first - room), min(len(columns), end + room))
    strokes = [
        Stroke([(p.time, p.price) for p in one.swings], "warm"),
        Stroke([(p.time, p.price) for p in one.upper]),
        Stroke([(p.time, p.price) for p in one.lower]),
    ]
    broke = one.breakout
    marked = []
    text = f"{_ENDS[one.state]}; known {minute(one.known)}, quality {number(one.quality)}"
    if broke is not None:
        ends = float(part.open_time[-1])
        strokes += [
            Stroke([(broke.time - step, broke.target), (ends, broke.target)], "up", dash=True),
            Stroke([(broke.time - step, broke.failure), (ends, broke.failure)], "down", dash=True),
        ]
        marked.append(broke.time - step)
        after = {
            "target": "the target was touched first",
            "failure": "the level of failure was touched first",
            "neither": "neither level was touched",
        }[broke.outcome]
        text = (
            f"broke {broke.side} {minute(broke.time)} at {price(broke.close)}, target "
            f"{price(broke.target)}, failure {price(broke.failure)}: {after}; quality "
            f"{number(one.quality)}"
        )
    name = one.kind.replace("_", " ")
    return (
        f'<div class="card"><h3>{safe(name)}</h3><p class="dim">{safe(text)}</p>'
        + candles(part, strokes, f"{name}: {text}", marked=marked)
        + "</div>"
    )


def _left_out(rows: Sequence[Found]) -> str:
    return f"The latest {LISTED:,} of {len(rows):,}." if len(rows) > LISTED else ""


def _listing(rows: Sequence[Found]) -> str:
    heads = ["known", "pattern", "state", "quality", "breakout", "level", "target", "failure", ""]
    body = []
    for one in rows[-LISTED:][::-1]:
        broke = one.breakout
        body.append(
            [
                minute(one.known),
                safe(one.kind.replace("_", " ")),
                _ENDS[one.state],
                number(one.quality),
                "" if broke is None else f"{broke.side} {minute(broke.time)}",
                "" if broke is None else price(broke.level),
                "" if broke is None else price(broke.target),
                "" if broke is None else price(broke.failure),
                "" if broke is None else broke.outcome,
            ]
        )
    return table(heads, body, text=3, tall=True)
