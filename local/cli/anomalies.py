"""``./run anomalies``: bars of candle files that are out of the ordinary, in one HTML file."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import msgspec

from local.cli.chosen_candles import chosen
from shared.errors import InvalidInput
from shared.indicators.anomalies import HISTORY
from shared.indicators.sensitivity import KINDS, Sensitivity
from shared.intelligence.anomaly_watch import AnomalousBar, anomalous
from shared.market.timeframe import duration_ms


def run(options: argparse.Namespace) -> int:
    """0 when the file was written."""
    from shared.research.charts.anomaly_page import MONTH_MS, page

    columns = chosen(options, HISTORY - 1)
    if len(columns) < HISTORY:
        raise InvalidInput(
            f"{columns.symbol} {columns.timeframe}: {len(columns)} bars, a bar is judged by "
            f"{HISTORY}; choose a longer range"
        )
    sensitivity = Sensitivity()
    rows = anomalous(columns, sensitivity)
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(page(columns, rows, sensitivity, options.strongest), "utf-8")
        beside = options.out.with_suffix(".json")
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n")
    except OSError as error:
        raise InvalidInput(f"{options.out} cannot be written: {error.strerror}") from error
    judged = len(columns) - HISTORY + 1
    _tell(rows, judged * duration_ms(columns.timeframe) / MONTH_MS)
    print(f"{options.out}, {beside.name}", file=sys.stderr)
    return 0


def _tell(rows: list[AnomalousBar], months: float) -> None:
    from rich.console import Console
    from rich.table import Table

    counts = Counter(one.kind for row in rows for one in row.anomalies)
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("anomaly", no_wrap=True)
    for name in ("bars", "a month"):
        table.add_column(name, justify="right")
    for kind in KINDS:
        table.add_row(kind, str(counts[kind]), f"{counts[kind] / months:.2f}")
    table.add_row("any", str(len(rows)), f"{len(rows) / months:.2f}")
    Console().print(table)
