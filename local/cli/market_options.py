"""Options that say which market is run, and under which settings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from local.cli.dates import count
from shared.errors import InvalidInput
from shared.simulation.source import MarketSource

#: A market, the range it covers, and what a reader of the result should know.
Market = tuple[MarketSource, int, int, list[str]]


def add_market(
    command: argparse.ArgumentParser,
    *,
    detail: str = "bars whose extremes are met in order; default: the finest there are",
    seed: str = "of the generator",
) -> None:
    """``--data`` or ``--synthetic``, and what belongs to them.

    Parameters
    ----------
    detail, seed : str
        What the command says of ``--detail`` and ``--seed``.
    """
    market = command.add_mutually_exclusive_group(required=True)
    market.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="candle files: SYMBOL-1m.parquet or .csv, SYMBOL-1h-mark, SYMBOL-funding",
    )
    market.add_argument("--synthetic", action="store_true", help="the seeded generator instead")
    command.add_argument("--seed", type=count, default=7, help=seed)
    command.add_argument("--detail", default="", metavar="1h", help=detail)


def add_set(
    command: argparse.ArgumentParser,
    text: str = "an application setting, for example MAX_LEVERAGE=3",
) -> None:
    """``--set NAME=VALUE``, as often as wanted."""
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help=f"{text} (may be repeated)"
    )


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """What was given with ``--set``.

    Raises
    ------
    InvalidInput
        For anything that is not ``NAME=VALUE``.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidInput(f"--set {text!r}: write NAME=VALUE")
        found[name] = value
    return found


def market_of(
    options: argparse.Namespace, symbols: tuple[str, ...], start: int, end: int
) -> Market:
    """The market that was chosen.

    Raises
    ------
    InvalidInput, MarketDataError
        Saying which option, file, column, range or row is the trouble, and what to do.
    """
    if options.synthetic:
        from shared.simulation.synthetic import SyntheticMarket

        if options.detail and options.detail != "1m":
            raise InvalidInput("--detail: the synthetic market has bars of 1m only")
        return SyntheticMarket(options.seed, symbols), start, end, []
    from shared.research.market import from_files

    return from_files(options.data, symbols, start, end, detail=options.detail)
