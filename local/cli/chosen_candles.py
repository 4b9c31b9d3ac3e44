"""Candles of one symbol and time frame out of a folder, for commands that look at charts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from local.cli.dates import end_moment, moment
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from shared.market.candle import Columns


def add_folder(command: argparse.ArgumentParser) -> None:
    """The option that says where candle files are."""
    command.add_argument(
        "--candles",
        type=Path,
        required=True,
        metavar="DIR",
        help="candle files, as ./run download writes them",
    )


def add_candles(command: argparse.ArgumentParser) -> None:
    """Options that say which candles."""
    add_folder(command)
    command.add_argument("--symbol", default="BTCUSDT", help="default: %(default)s")
    command.add_argument("--timeframe", default="1h", help="default: %(default)s")
    command.add_argument("--from", dest="start", type=moment, metavar="DATE")
    command.add_argument("--to", dest="end", type=end_moment, metavar="DATE")


def chosen(options: argparse.Namespace, before: int) -> Columns:
    """The candles of the range, and up to ``before`` bars before it.

    Made of shorter ones where the folder has none of that time frame. Of several runs with holes
    between them it is the last that reaches into the range.

    Raises
    ------
    InvalidInput
        When there are none.
    """
    import numpy as np

    from shared.market.timeframe import duration_ms

    step = duration_ms(options.timeframe)
    start = -(2**62) if options.start is None else options.start
    end = 2**62 if options.end is None else options.end
    for columns in reversed(_runs(options)):
        first = int(np.searchsorted(columns.open_time, start))
        stop = int(np.searchsorted(columns.open_time + step, end, side="right"))
        if first < stop:
            return columns.window(max(0, first - before), stop)
    raise InvalidInput(
        f"{options.candles}: no {options.timeframe} candles of {options.symbol} in that range"
    )


def _runs(options: argparse.Namespace) -> list[Columns]:
    from shared.market.candle_folder import candle_runs
    from shared.market.resample import resample
    from shared.market.timeframe import TIMEFRAMES, duration_ms

    step = duration_ms(options.timeframe)
    try:
        return candle_runs(options.candles, options.symbol, options.timeframe)
    except InvalidInput as error:
        finer = [t for t, ms in TIMEFRAMES.items() if ms < step and step % ms == 0]
        for timeframe in reversed(finer):
            try:
                runs = candle_runs(options.candles, options.symbol, timeframe)
            except InvalidInput:
                continue
            return [resample(run, options.timeframe) for run in runs]
        raise error
