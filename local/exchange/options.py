"""Options of the exchange alone, shared by ``./run exchange`` and ``python -m local.exchange``."""

from __future__ import annotations

import argparse
from decimal import Decimal
from pathlib import Path

DEFAULT_SYMBOLS = "BTCUSDT,ETHUSDT,XRPUSDT,ADAUSDT"
#: The start that stands for the machine's own time, so that clients need no other clock.
NOW = "now"


def add_options(parser: argparse.ArgumentParser, *, start: str, port: int) -> None:
    """Add the exchange's options to a parser.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    start : str
        Default of ``--start``: ISO, or ``now``.
    port : int
        Default of ``--port``.
    """
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument(
        "--port", type=int, default=port, help="0 takes a free port (default: %(default)s)"
    )
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="SQLite file; without it nothing is kept"
    )
    parser.add_argument(
        "--recording",
        type=Path,
        metavar="FILE",
        help="a recorded combined stream (trade, bookTicker, depth; may be gzipped) as the market, "
        "from its beginning; then symbols and start are its own",
    )
    parser.add_argument("--seed", type=int, default=7, help="of the market (default: %(default)s)")
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        help="simulated per real seconds; clients' own clocks only agree with 1 (the default)",
    )
    parser.add_argument(
        "--start",
        default=start,
        metavar="TIME",
        help="simulated start in ISO, or 'now' for this machine's time (default: %(default)s)",
    )
    parser.add_argument(
        "--symbols", default=DEFAULT_SYMBOLS, metavar="A,B", help="default: %(default)s"
    )
    parser.add_argument(
        "--deposit", type=Decimal, default=Decimal(5000), metavar="USDT", help="default: 5000"
    )
    parser.add_argument("--key", default="local-key", help="API key that is accepted")
    parser.add_argument("--secret", default="local-secret", help="its secret")
    parser.add_argument(
        "--address-file", type=Path, metavar="FILE", help="where to write the address"
    )
