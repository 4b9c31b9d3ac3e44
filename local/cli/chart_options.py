"""Options of ``./run patterns`` and ``./run anomalies``."""

from __future__ import annotations

import argparse
from pathlib import Path

from local.cli.chosen_candles import add_candles
from local.cli.data_options import Commands
from local.cli.dates import count


def add_charts(commands: Commands[argparse.ArgumentParser]) -> None:
    """``./run patterns`` and ``./run anomalies``."""
    patterns = commands.add_parser(
        "patterns",
        help="chart patterns of candle files, in one HTML file",
        description="Double and triple tops, head and shoulders, triangles, wedges, rectangles, "
        "flags, pennants and cups, with the bar at which each was known, its breakout, target and "
        "level of failure, drawn on the candles, and how they ended; JSON beside it.",
    )
    add_candles(patterns)
    patterns.add_argument("--out", type=Path, default=Path("patterns.html"), metavar="FILE")
    patterns.add_argument(
        "--latest", type=count, default=24, metavar="N", help="drawn one by one (24)"
    )
    patterns.add_argument(
        "--reversal", type=float, default=3.0, help="mean true ranges that turn a swing (3)"
    )
    patterns.add_argument(
        "--ranges", type=count, default=48, metavar="BARS", help="of the mean true range (48)"
    )
    patterns.add_argument(
        "--span", type=count, default=144, metavar="BARS", help="of a pattern at most (144)"
    )
    patterns.set_defaults(module="local.cli.patterns")

    anomalies = commands.add_parser(
        "anomalies",
        help="bars of candle files that are out of the ordinary, in one HTML file",
        description="Jumps, returns, ranges and volumes far from those of the same hours of "
        "earlier weeks, silence and frozen prices, each judged by the bars before it; how many a "
        "month, on the price, and the strongest on candles of their own; JSON beside it.",
    )
    add_candles(anomalies)
    anomalies.add_argument("--out", type=Path, default=Path("anomalies.html"), metavar="FILE")
    anomalies.add_argument(
        "--strongest", type=count, default=12, metavar="N", help="drawn one by one (12)"
    )
    anomalies.set_defaults(module="local.cli.anomalies")
