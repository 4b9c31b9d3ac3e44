"""Options of ``./run download``, ``./run data`` and ``./run compare``."""

from __future__ import annotations

import argparse
from decimal import Decimal, InvalidOperation
from pathlib import Path

from local.cli.config_option import add_config
from local.cli.dates import end_moment, moment, names
from local.cli.market_options import add_market, add_set
from local.configuration import SHIPPED
from shared.research.data.hosts import ARCHIVE, REST

Commands = argparse._SubParsersAction  # argparse has no public name for it


def add_download(commands: Commands[argparse.ArgumentParser]) -> None:
    """``./run download``."""
    one = commands.add_parser(
        "download",
        help="market history from Binance's public archive and REST interface",
        description="Candles, mark prices and funding as parquet files that replay and backtest "
        "read. Fetches what is missing and nothing else: run it again after a break, or for newer "
        "candles. Exit code 1 when no source has some of what was asked for.",
    )
    one.add_argument("--symbols", type=names, default=(), metavar="A,B")
    one.add_argument("--from", dest="start", type=moment, metavar="DATE")
    one.add_argument("--to", dest="end", type=end_moment, metavar="DATE")
    one.add_argument("--timeframe", type=names, default=("1m",), metavar="1m,1h")
    one.add_argument(
        "--what", type=names, default=("candles", "mark", "funding"), metavar="candles,mark,funding"
    )
    one.add_argument("--out", type=Path, required=True, metavar="DIR", help="made when missing")
    one.add_argument("--source", type=names, default=("archive", "rest"), metavar="archive,rest")
    one.add_argument("--archive", default=ARCHIVE, metavar="URL", help="another archive")
    one.add_argument("--rest", default=REST, metavar="URL", help="another venue")
    one.add_argument(
        "--verify",
        action="store_true",
        help="fetch nothing: compare the files with their manifest, and that with the archive",
    )
    one.add_argument("--quiet", action="store_true", help="no progress bar")
    one.set_defaults(module="local.cli.download")


def add_data(commands: Commands[argparse.ArgumentParser]) -> None:
    """``./run data audit`` and ``./run data import``."""
    data = commands.add_parser(
        "data", help="audit or import candle files", description="Candle files on this machine."
    )
    actions = data.add_subparsers(dest="action", required=True, metavar="audit|import")
    audit = actions.add_parser(
        "audit",
        help="gaps, impossible candles and outliers, with their places",
        description="Reads every candle file of a folder and tells what is wrong or odd. Exit "
        "code 1 when a file holds something that replay or backtest would refuse.",
    )
    audit.add_argument("folder", type=Path, metavar="DIR")
    audit.add_argument("--json", type=Path, metavar="FILE", help="all findings as JSON")
    audit.add_argument("--all", action="store_true", help="tell every finding on the console")
    audit.set_defaults(module="local.cli.data")

    bring = actions.add_parser(
        "import",
        help="candles of any CSV file",
        description="Writes a CSV file of candles, mark prices or funding as the parquet file "
        "that replay and backtest read. Sorts and drops doubled rows; refuses what is "
        "contradictory.",
    )
    bring.add_argument("file", type=Path, metavar="FILE.csv")
    bring.add_argument("--symbol", required=True, metavar="BTCUSDT")
    bring.add_argument("--what", default="candles", metavar="candles|mark|funding")
    bring.add_argument("--timeframe", default="", metavar="1h", help="not for funding")
    bring.add_argument("--out", type=Path, required=True, metavar="DIR", help="made when missing")
    bring.add_argument(
        "--columns",
        type=names,
        default=(),
        metavar="open_time=Date,volume=Vol",
        help="which column is which; usual names are known",
    )
    bring.add_argument(
        "--time-format",
        default="",
        metavar="FORMAT",
        help="s, ms, us, ns, or for example %%d.%%m.%%Y %%H:%%M; else numbers and ISO 8601 are "
        "recognised",
    )
    bring.add_argument(
        "--timezone", default="UTC", metavar="ZONE", help="of times that do not say it themselves"
    )
    bring.add_argument("--delimiter", default=",", metavar="CHAR")
    bring.add_argument("--decimal", default=".", metavar="CHAR", help="decimal sign")
    bring.add_argument("--skip", type=int, default=0, metavar="N", help="lines before the header")
    bring.add_argument("--replace", action="store_true", help="overwrite an earlier import")
    bring.set_defaults(module="local.cli.data")


def add_compare(commands: Commands[argparse.ArgumentParser]) -> None:
    """``./run compare``."""
    one = commands.add_parser(
        "compare",
        help="executed trades against a backtest of the same period",
        description="Pairs the trades of a live, paper or replay run with those of a backtest on "
        "the same candles and settings, and takes their difference apart by cause. The parts add "
        "up to the difference exactly.",
    )
    one.add_argument(
        "--live",
        type=Path,
        required=True,
        metavar="PATH",
        help="an audit.jsonl, the folder of a replay or of a run (.local), or the JSON of "
        "GET /api/trades",
    )
    add_market(
        one,
        detail="bars inside which prices follow a path, as in the run; default: the finest",
    )
    one.add_argument("--symbols", type=names, default=(), metavar="A,B", help="of the trades")
    one.add_argument("--timeframes", type=names, default=(), metavar="1h", help="of the trades")
    one.add_argument("--from", dest="start", type=moment, metavar="DATE", help="of the trades")
    one.add_argument("--to", dest="end", type=end_moment, metavar="DATE")
    one.add_argument("--deposit", type=amount, default=Decimal(5000), metavar="USDT")
    add_set(one, "an application setting as it was in the run")
    add_config(one, SHIPPED)
    one.add_argument("--out", type=Path, required=True, metavar="DIR", help="results go here")
    one.set_defaults(module="local.cli.compare")


def amount(text: str) -> Decimal:
    """A decimal number of the command line."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount") from None
    return value
