"""Options of ``./run backtest``."""

from __future__ import annotations

import argparse
from decimal import Decimal
from pathlib import Path

from local.cli.config_option import add_config
from local.cli.data_options import Commands, amount
from local.cli.dates import count, end_moment, hours, moment, names
from local.cli.market_options import add_market, add_set
from local.configuration import SHIPPED
from shared.research.switch import CLEAR_AFTER_HOURS


def add_backtest(commands: Commands[argparse.ArgumentParser]) -> None:
    """``./run backtest``."""
    one = commands.add_parser(
        "backtest",
        help="strategies, gate, stops and all costs on years of candles, in seconds",
        description="Runs the same decisions as live on recorded candles: signals, gate, sizing, "
        "entries, every layer of the stop, fees, spread, depth, funding, liquidation, limits and "
        "kill switch. Writes report.html, report.json, trades and equity.",
    )
    add_market(one)
    add_config(one, SHIPPED)
    one.add_argument("--symbols", type=names, default=(), metavar="A,B")
    one.add_argument("--from", dest="start", type=moment, required=True, metavar="DATE")
    one.add_argument("--to", dest="end", type=end_moment, required=True, metavar="DATE")
    one.add_argument(
        "--timeframe",
        type=names,
        default=(),
        metavar="1h",
        help="bars that are decided upon; several separated by commas (default: as configured)",
    )
    one.add_argument(
        "--strategies",
        type=names,
        default=(),
        metavar="A,B:2",
        help="instead of the configured ones, with weights where given",
    )
    add_set(one)
    one.add_argument("--deposit", type=amount, default=Decimal(5000), metavar="USDT")
    one.add_argument(
        "--costs", type=amount, default=Decimal(1), metavar="FACTOR", help="on fees and spread"
    )
    one.add_argument(
        "--clear-after",
        type=hours,
        default=CLEAR_AFTER_HOURS,
        metavar="HOURS",
        help="a person clears the kill switch after that time (default %(default)g); 0: never",
    )
    one.add_argument(
        "--paths",
        type=count,
        default=0,
        metavar="N",
        help="also on N markets of the same bars redrawn",
    )
    one.add_argument("--exact", action="store_true", help="the decision code itself, much slower")
    one.add_argument(
        "--portfolio-gate",
        action="store_true",
        help="judge value at risk, clusters and heat as live; with the decision code itself",
    )
    one.add_argument("--out", type=Path, required=True, metavar="DIR", help="results go here")
    one.add_argument("--quiet", action="store_true", help="no progress bar")
    one.set_defaults(module="local.cli.backtest")
