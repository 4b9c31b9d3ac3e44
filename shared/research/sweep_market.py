"""The market of a sweep: a folder of candle files, or the venue's own history."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol

import numpy as np

from shared.clock import iso
from shared.errors import InvalidInput
from shared.market.candle import Columns
from shared.market.files import Funding, SymbolMarket, load_market
from shared.market.timeframe import duration_ms
from shared.research import market as files
from shared.research.config import BacktestConfig
from shared.research.data.series import Rows, Series, joined
from shared.research.sealed import Market

#: Bars of each time frame before the range that are asked for at the venue: what the slowest
#: moving average takes until its beginning is forgotten, and that of the shipped plan is as slow.
WARMUP_BARS = 6_000
#: Candles of one symbol and time frame that are asked for at the venue: 40 pages.
MOST_FROM_VENUE = 60_000


class History(Protocol):
    """Public market history in pages, oldest rows first."""

    def page(self, series: Series, start_ms: int, end_ms: int) -> Rows: ...


class Markets:
    """Markets of sweeps, the last one kept: the chunks of a sweep all have the same.

    Parameters
    ----------
    folder : str
        Candle files; empty: the venue is asked.
    history : callable
        The venue's history, made when it is needed.
    """

    def __init__(self, folder: str, history: History) -> None:
        self._folder = folder
        self._history = history
        self._lock = threading.Lock()
        self._kept: tuple[object, Market] | None = None

    def of(self, config: BacktestConfig) -> Market:
        """The market that a backtest needs.

        Raises
        ------
        InvalidInput, MarketDataError, ExchangeError
            When it cannot be had.
        """
        key = (config.symbols, config.timeframes, config.start_ms, config.end_ms)
        with self._lock:
            if self._kept is None or self._kept[0] != key:
                self._kept = None  # two markets at once may be too much for the instance
                self._kept = (key, self._load(config))
            return self._kept[1]

    def _load(self, config: BacktestConfig) -> Market:
        if self._folder:
            return load_market(
                Path(self._folder),
                config.symbols,
                config.start_ms,
                config.end_ms,
                warmup_bars=files.WARMUP_BARS,
            )
        return {symbol: self._of_venue(symbol, config) for symbol in config.symbols}

    def _of_venue(self, symbol: str, config: BacktestConfig) -> SymbolMarket:
        frames = sorted(config.timeframes, key=duration_ms)
        step = duration_ms(frames[0])
        end = config.end_ms // step * step  # a candle that is not closed yet is left out
        first = config.start_ms // step * step - WARMUP_BARS * step
        bars = (end - first) // step
        if bars > MOST_FROM_VENUE:
            raise InvalidInput(
                f"{symbol}: {bars:,} candles of {frames[0]} are too many to ask the venue for "
                f"(at most {MOST_FROM_VENUE:,}); take a shorter range or longer bars, or set "
                "RESEARCH_DATA to a folder of candle files"
            )
        candles = self._candles(Series(symbol, "candles", frames[0]), first, end)
        low = int(candles.open_time[0]) if len(candles) else end
        if low > config.start_ms:
            raise InvalidInput(
                f"{symbol}: the venue has no candles between {iso(config.start_ms)} and {iso(low)}"
            )
        longer = {}
        for timeframe in frames[1:]:
            long = duration_ms(timeframe)
            edge = -(-low // long) * long
            before = Series(symbol, "candles", timeframe)
            longer[timeframe] = self._candles(before, edge - WARMUP_BARS * long, edge)
        mark = self._candles(Series(symbol, "mark", frames[0]), low, end)
        rates = self._rows(Series(symbol, "funding"), low, end)
        return SymbolMarket(
            symbol=symbol,
            candles=candles,
            start_ms=-(-config.start_ms // step) * step,
            end_ms=int(candles.open_time[-1]) + step,
            longer={name: columns for name, columns in longer.items() if len(columns)},
            mark=mark if len(mark) else None,
            funding=Funding(rates.time, rates.values[:, 0]) if len(rates) else None,
        )

    def _rows(self, series: Series, start: int, end: int) -> Rows:
        parts = []
        at = start
        while at < end:
            page = self._history.page(series, at, end)
            if not len(page):
                break
            parts.append(page)
            at = int(page.time[-1]) + max(1, series.step)
        return joined(series, parts)

    def _candles(self, series: Series, start: int, end: int) -> Columns:
        rows = self._rows(series, start, end)
        holes = np.flatnonzero(np.diff(rows.time) != series.step)
        if len(holes):
            at = iso(int(rows.time[holes[0]]))
            raise InvalidInput(f"{series.stem}: the venue's history has a gap after {at}")
        values = rows.values if series.kind == "candles" else _with_volume(rows.values)
        return Columns(
            series.symbol,
            series.timeframe,
            rows.time,
            *(np.ascontiguousarray(values[:, i]) for i in range(5)),
        )


def _with_volume(
    values: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Mark prices have no volume."""
    return np.column_stack((values, np.zeros(len(values))))
