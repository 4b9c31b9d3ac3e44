"""``./run patterns``: chart patterns of candle files, drawn on the price in one HTML file."""

from __future__ import annotations

import argparse
import sys

import msgspec

from local.cli.chosen_candles import chosen
from shared.errors import ConfigurationError, InvalidInput
from shared.indicators.chart_found import Found, found, tally
from shared.indicators.chart_patterns import Rules


def run(options: argparse.Namespace) -> int:
    """0 when the file was written."""
    from shared.research.charts.pattern_page import page

    try:
        rules = msgspec.convert(
            {"reversal": options.reversal, "ranges": options.ranges, "span": options.span}, Rules
        )
    except msgspec.ValidationError as error:
        raise ConfigurationError([f"patterns: {error}"]) from error
    columns = chosen(options, rules.history)
    if len(columns) <= rules.history:
        raise InvalidInput(
            f"{columns.symbol} {columns.timeframe}: {len(columns)} bars, patterns need "
            f"{rules.history} and some to look at; choose a longer range"
        )
    rows = found(columns, rules)
    if options.start is not None:
        rows = [one for one in rows if one.known >= options.start]
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(page(columns, rows, rules, options.latest), "utf-8")
        beside = options.out.with_suffix(".json")
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n")
    except OSError as error:
        raise InvalidInput(f"{options.out} cannot be written: {error.strerror}") from error
    _tell(rows)
    print(f"{options.out}, {beside.name}", file=sys.stderr)
    return 0


def _tell(rows: list[Found]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("pattern", no_wrap=True)
    for name in ("known", "up", "down", "at once", "target", "failure", "neither"):
        table.add_column(name, justify="right")
    for one in tally(rows):
        if one.known:
            table.add_row(
                one.kind.replace("_", " "),
                *(
                    str(count)
                    for count in (
                        one.known,
                        one.up,
                        one.down,
                        one.at_once,
                        one.target,
                        one.failure,
                        one.neither,
                    )
                ),
            )
    Console().print(table)
