"""Anomalies of candles as one HTML file: on the price, by year, and the strongest one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shared.clock import iso
from shared.indicators.anomalies import HISTORY, season
from shared.indicators.sensitivity import KINDS, Anomaly, Sensitivity
from shared.intelligence.anomaly_watch import AnomalousBar, in_words
from shared.market.timeframe import DAY_MS, duration_ms
from shared.research.charts.candles import STYLE, candles
from shared.research.report.parts import section, table, tiles
from shared.research.report.plot import Dots, Line, Panel, chart, plain
from shared.research.report.shell import shell
from shared.research.report.words import day, minute, number, price, safe

if TYPE_CHECKING:
    from shared.market.candle import Columns

#: Rows of the list at most; the latest.
LISTED = 400
#: Bars to either side of an anomaly that is drawn.
AROUND = 36
MONTH_MS = 365.25 / 12 * DAY_MS


def page(
    columns: Columns, rows: Sequence[AnomalousBar], sensitivity: Sensitivity, strongest: int = 12
) -> str:
    """The file. ``strongest``: how many bars are drawn on candles of their own."""
    step = duration_ms(columns.timeframe)
    judged = max(0, len(columns) - HISTORY + 1)
    months = max(judged * step / MONTH_MS, 1e-9)
    drawn = sorted(rows, key=lambda row: (-strength(row), row.time))[:strongest]
    body = (
        f"<style>{STYLE}</style>"
        + _headline(rows, sensitivity, judged, months)
        + section("price", "On the price", _price(columns, rows))
        + section("years", "By year", _years(rows), "Bars with an anomaly of the kind.")
        + section(
            "strongest",
            f"The strongest {len(drawn)}" if drawn else "The strongest",
            f'<div class="cards">{"".join(_card(columns, one) for one in drawn)}</div>'
            if drawn
            else '<p class="dim">None.</p>',
            "By how far the figures are beyond their thresholds.",
        )
        + section("list", "All of them", _listing(rows), _left_out(rows))
    )
    period, periods, around = season(columns.timeframe)
    lead = (
        f"{safe(columns.symbol)} \u00b7 {safe(columns.timeframe)} \u00b7 "
        f"{day(int(columns.open_time[0]) + step)} to {day(int(columns.open_time[-1]) + step)} "
        f"\u00b7 {judged:,} bars judged, each against {periods} times {2 * around + 1} bars, every "
        f"{period} bars back"
    )
    return shell(
        f"Anomalies of {columns.symbol}",
        lead,
        body,
        "Borsa Quantum Bot. A bar is judged by itself and those before it.",
    )


def strength(row: AnomalousBar) -> float:
    """The largest figure of a bar in its thresholds."""
    return max(one.figure / one.threshold for one in row.anomalies)


def _headline(
    rows: Sequence[AnomalousBar], sensitivity: Sensitivity, judged: int, months: float
) -> str:
    counts = Counter(one.kind for row in rows for one in row.anomalies)
    found = [
        (
            "Anomalous bars",
            f"{len(rows):,}",
            "",
            f"{number(len(rows) / months, 1)} a month of {judged:,} bars",
        )
    ]
    found += [
        (
            kind.capitalize(),
            f"{counts[kind]:,}",
            "",
            f"from {number(sensitivity.threshold(kind), 1)} on",
        )
        for kind in sensitivity.kinds
    ]
    return tiles(found[:6])


def _price(columns: Columns, rows: Sequence[AnomalousBar]) -> str:
    step = duration_ms(columns.timeframe)
    times = columns.open_time.astype(float) + step
    panels = []
    dots = []
    if rows:
        looks = ["down" if _fell(row) else "up" for row in rows]
        dots.append(
            Dots(
                np.array([float(row.time) for row in rows]),
                np.array([row.close for row in rows]),
                looks,
            )
        )
    panels.append(
        Panel(
            "price",
            plain,
            height=340,
            lines=[Line("close", times, columns.close, "accent", told="price")],
            dots=dots,
        )
    )
    return chart(
        f"{columns.symbol} with its anomalies",
        panels,
        (float(times[0]), float(times[-1])),
        says="Closes of anomalous bars: red where the bar fell, green where it did not. Drag over "
        "a stretch, or press plus, to look closer.",
    )


def _fell(row: AnomalousBar) -> bool:
    return any(one.kind in ("jump", "return") and one.value < 0.0 for one in row.anomalies)


def _years(rows: Sequence[AnomalousBar]) -> str:
    years = sorted({iso(row.time - 1)[:4] for row in rows})
    body = []
    for year in years:
        own = [row for row in rows if iso(row.time - 1)[:4] == year]
        counts = Counter(one.kind for row in own for one in row.anomalies)
        body.append([year, f"{len(own):,}", *(f"{counts[kind]:,}" for kind in KINDS)])
    return table(["year", "bars", *KINDS], body)


def _card(columns: Columns, one: AnomalousBar) -> str:
    step = duration_ms(columns.timeframe)
    at = int(np.searchsorted(columns.open_time, one.time - step))
    part = columns.window(max(0, at - AROUND), min(len(columns), at + AROUND + 1))
    name = ", ".join(a.kind for a in one.anomalies)
    text = "; ".join(in_words(a) for a in one.anomalies)
    return (
        f'<div class="card"><h3>{minute(one.time)}: {safe(name)}</h3><p class="dim">{safe(text)}'
        "</p>"
        + candles(part, [], f"{minute(one.time)}: {text}", marked=[one.time - step])
        + "</div>"
    )


def _left_out(rows: Sequence[AnomalousBar]) -> str:
    return f"The latest {LISTED:,} of {len(rows):,}." if len(rows) > LISTED else ""


def _listing(rows: Sequence[AnomalousBar]) -> str:
    def cell(one: Anomaly) -> str:
        return f"{safe(one.kind)} {number(one.figure, 1)}"

    return table(
        ["closed", "anomalies", "close"],
        [
            [minute(row.time), ", ".join(map(cell, row.anomalies)), price(row.close)]
            for row in rows[-LISTED:][::-1]
        ],
        text=2,
        tall=True,
    )
