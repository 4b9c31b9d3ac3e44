"""Candle files: real history for replay, backtest and tests.

A folder holds, as parquet or CSV with the same columns:

=========================  ==============================================================
``BTCUSDT-1h``             candles: open_time, open, high, low, close, volume
``BTCUSDT-1m-2025``        candles, one of several files of a time frame (any suffix)
``BTCUSDT-1h-mark``        mark-price candles: open_time, open, high, low, close
``BTCUSDT-funding``        funding_time, funding_rate
=========================  ==============================================================

Times are UTC milliseconds, volume is in the base asset. Nothing is repaired: what cannot be used
is refused with the file, the row and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared.clock import iso
from shared.errors import InvalidInput
from shared.market.candle import Columns
from shared.market.candle_folder import CandleFile, Folder, end_of
from shared.market.candle_table import read_funding
from shared.market.timeframe import DAY_MS, duration_ms

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Funding:
    """Settled funding: ``rate`` at ``time`` (UTC ms), positive when longs pay."""

    time: NDArray[np.int64]
    rate: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SymbolMarket:
    """What the files say about one symbol.

    ``candles`` are of the finest time frame that covers the range and begin up to ``warmup``
    bars before ``start_ms``. ``longer`` are up to as many candles of each longer time frame in the
    folder that ``candles`` cannot make because they open before them, for decisions on longer
    bars right from the start; the last of them may close after ``candles`` begin. ``mark`` and
    ``funding`` are ``None`` where there is no file; else they cover the span of ``candles`` as
    far as they reach.
    """

    symbol: str
    candles: Columns
    start_ms: int
    end_ms: int
    longer: dict[str, Columns]
    mark: Columns | None
    funding: Funding | None

    @property
    def warmup(self) -> int:
        """Number of candles before ``start_ms``."""
        return int(np.searchsorted(self.candles.open_time, self.start_ms))


def load_market(
    folder: Path | str,
    symbols: Sequence[str],
    start_ms: int,
    end_ms: int,
    *,
    warmup_bars: int = 0,
) -> dict[str, SymbolMarket]:
    """Candles, mark prices and funding of several symbols for ``start_ms <= time < end_ms``.

    The finest time frame whose files hold candles on the first and on the last day (UTC) of the
    range is taken, for each symbol by itself; files of one time frame are joined. Trading can
    begin later on the first day, or end earlier on the last, than the range says: the result's
    ``start_ms`` and ``end_ms`` are what the candles really cover.

    Parameters
    ----------
    folder : path
    symbols : sequence of str
    start_ms, end_ms : int
        UTC milliseconds, end exclusive.
    warmup_bars : int
        Candles wanted before the range; as many as there are are given.

    Raises
    ------
    InvalidInput
        When the folder, a symbol or the range is not there, saying what is.
    MarketDataError
        When a file cannot be used as it is, or has a hole in the range, saying where and why.
    """
    if end_ms <= start_ms:
        raise InvalidInput(f"the range ends ({iso(end_ms)}) before it begins ({iso(start_ms)})")
    if not symbols:
        raise InvalidInput("name at least one symbol")
    listing = Folder(Path(folder))
    return {symbol: _load(listing, symbol, start_ms, end_ms, warmup_bars) for symbol in symbols}


def _load(
    folder: Folder, symbol: str, start_ms: int, end_ms: int, warmup_bars: int
) -> SymbolMarket:
    frames = folder.frames(symbol, "candles")
    if not frames:
        known = ", ".join(sorted({f.symbol for f in folder.files if f.kind == "candles"}))
        raise InvalidInput(f"{folder.path}: no candles of {symbol}; there are candles of {known}")
    held: list[str] = []
    for timeframe in frames:
        folder.refuse_hole(symbol, "candles", timeframe, start_ms, end_ms)
        runs = folder.runs(symbol, "candles", timeframe)
        for run in runs:
            if _covers(run, start_ms, end_ms):
                return _market(folder, run, start_ms, end_ms, warmup_bars)
        held += [f"{timeframe} {iso(int(r.open_time[0]))} to {iso(end_of(r))}" for r in runs]
    raise InvalidInput(
        f"{folder.path}: no candles of {symbol} cover {iso(start_ms)} to {iso(end_ms)}; "
        f"there are {'; '.join(held)}"
    )


def _covers(run: Columns, start_ms: int, end_ms: int) -> bool:
    first, end = int(run.open_time[0]), end_of(run)
    on_first_day = first < (start_ms // DAY_MS + 1) * DAY_MS
    on_last_day = end > (end_ms - 1) // DAY_MS * DAY_MS
    return on_first_day and on_last_day and first < end_ms and end > start_ms


def _market(
    folder: Folder, run: Columns, start_ms: int, end_ms: int, warmup_bars: int
) -> SymbolMarket:
    step = duration_ms(run.timeframe)
    start = int(np.searchsorted(run.open_time, start_ms))
    stop = int(np.searchsorted(run.open_time, end_ms - step, side="right"))
    if stop <= start:
        raise InvalidInput(
            f"{run.symbol}: no whole {run.timeframe} candle "
            f"between {iso(start_ms)} and {iso(end_ms)}"
        )
    candles = run.window(max(0, start - warmup_bars), stop)
    low, high = int(candles.open_time[0]), end_of(candles)
    longer = {}
    for timeframe in folder.frames(run.symbol, "candles"):
        if duration_ms(timeframe) > step:
            before = _before(folder, run.symbol, timeframe, low, warmup_bars)
            if before is not None:
                longer[timeframe] = before
    return SymbolMarket(
        symbol=run.symbol,
        candles=candles,
        start_ms=int(run.open_time[start]),
        end_ms=high,
        longer=longer,
        mark=_mark(folder, run.symbol, low, high),
        funding=_funding(folder.of(run.symbol, "funding"), low, high),
    )


def _before(folder: Folder, symbol: str, timeframe: str, low: int, bars: int) -> Columns | None:
    """The last candles of a longer time frame that candles from ``low`` on cannot make."""
    step = duration_ms(timeframe)
    first_whole = -(-low // step) * step
    for run in folder.runs(symbol, "candles", timeframe):
        stop = int(np.searchsorted(run.open_time, first_whole))
        if bars and stop and int(run.open_time[stop - 1]) == first_whole - step:
            return run.window(max(0, stop - bars), stop)
    return None


def _mark(folder: Folder, symbol: str, low: int, high: int) -> Columns | None:
    """The finest mark-price candles that overlap the span."""
    for timeframe in folder.frames(symbol, "mark"):
        folder.refuse_hole(symbol, "mark", timeframe, low, high)
        for run in folder.runs(symbol, "mark", timeframe):
            start = int(np.searchsorted(run.open_time, low - duration_ms(timeframe), side="right"))
            stop = int(np.searchsorted(run.open_time, high))
            if stop > start:
                return run.window(start, stop)
    return None


def _funding(files: list[CandleFile], low: int, high: int) -> Funding | None:
    if not files:
        return None
    time, rate = read_funding([f.path for f in files])
    start, stop = (int(np.searchsorted(time, edge)) for edge in (low, high))
    return Funding(time[start:stop], rate[start:stop])
