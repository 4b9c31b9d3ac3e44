"""Options of ``./run patterns``."""

from __future__ import annotations

import argparse
from pathlib import Path

from local.cli.chosen_candles import add_candles
from local.cli.data_options import Commands
from local.cli.dates import count


def add_charts(commands: Commands[argparse.ArgumentParser]) -> None:
    """``./run patterns``."""
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
