"""The last candles of one symbol and time frame, as arrays, in order and without holes."""

from __future__ import annotations

from math import isfinite

import numpy as np

from shared.errors import InvalidInput, MarketDataError
from shared.market.candle import Candle, Columns
from shared.market.timeframe import duration_ms

_PRICES = ("open", "high", "low", "close", "volume")


class CandleGap(MarketDataError):
    """Candles are missing between the last one held and the one that came.

    Parameters
    ----------
    start, end : int
        Open times in UTC milliseconds: first missing candle, and the one that came.
    """

    def __init__(self, symbol: str, timeframe: str, start: int, end: int) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self.start = start
        self.end = end
        bars = (end - start) // duration_ms(timeframe)
        super().__init__(
            f"{symbol} {timeframe}: {bars} candle(s) missing from {start} to before {end}"
        )


class CandleWindow:
    """A growing run of consecutive candles that keeps the last ``size``.

    Parameters
    ----------
    symbol, timeframe : str
    size : int
        How many candles are kept.
    """

    def __init__(self, symbol: str, timeframe: str, size: int) -> None:
        if size < 1:
            raise InvalidInput(f"a window holds at least one candle, not {size}")
        self.symbol = symbol
        self.timeframe = timeframe
        self.size = size
        self._step = duration_ms(timeframe)
        self._start = 0
        self._stop = 0
        self._allocate()

    def _allocate(self) -> None:
        room = 2 * self.size
        self._times = np.empty(room, dtype=np.int64)
        self._values = np.empty((len(_PRICES), room))

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def last_open_time(self) -> int | None:
        """Open time of the newest candle, ``None`` when empty."""
        return int(self._times[self._stop - 1]) if self._stop else None

    def append(self, candle: Candle) -> bool:
        """Take the next closed candle; ``False`` when it was already there.

        Raises
        ------
        CandleGap
            When candles are missing before it; the window is unchanged and can still be filled.
        MarketDataError
            When the candle belongs elsewhere, contradicts one held, is older than all of them,
            or is not a possible candle; the window is unchanged.
        """
        row = self._row(candle)
        last = self.last_open_time
        if last is not None and candle.open_time != last + self._step:
            if candle.open_time > last:
                raise CandleGap(self.symbol, self.timeframe, last + self._step, candle.open_time)
            self._compare(candle.open_time, row, last)
            return False
        if self._stop == len(self._times):
            # Fresh arrays instead of moving within the old ones: views handed out stay as they are.
            times, values = self._times, self._values
            keep = slice(self._stop - (self.size - 1), self._stop)
            self._allocate()
            self._start, self._stop = 0, self.size - 1
            self._times[: self._stop] = times[keep]
            self._values[:, : self._stop] = values[:, keep]
        self._times[self._stop] = candle.open_time
        self._values[:, self._stop] = row
        self._stop += 1
        self._start = max(self._start, self._stop - self.size)
        return True

    def columns(self) -> Columns:
        """The candles held, as contiguous views that later appends do not change."""
        part = slice(self._start, self._stop)
        return Columns(
            self.symbol, self.timeframe, self._times[part], *(v[part] for v in self._values)
        )

    def _row(self, candle: Candle) -> tuple[float, float, float, float, float]:
        where = f"{candle.symbol} {candle.timeframe} {candle.open_time}"
        if candle.symbol != self.symbol or candle.timeframe != self.timeframe:
            raise MarketDataError(f"{where}: does not belong to {self.symbol} {self.timeframe}")
        if candle.open_time % self._step:
            raise MarketDataError(f"{where}: no candle of this time frame opens then")
        row = (candle.open, candle.high, candle.low, candle.close, candle.volume)
        if not isfinite(sum(row)):
            raise MarketDataError(f"{where}: a value is not finite")
        low, high = min(candle.open, candle.close), max(candle.open, candle.close)
        if not 0.0 < candle.low <= low <= high <= candle.high or candle.volume < 0.0:
            raise MarketDataError(f"{where}: no candle can have these values: {row}")
        return row

    def _compare(self, open_time: int, row: tuple[float, ...], last: int) -> None:
        """An event delivered twice is harmless only if it says the same."""
        at = self._stop - 1 - (last - open_time) // self._step
        where = f"{self.symbol} {self.timeframe} {open_time}"
        if at < self._start:
            raise MarketDataError(f"{where}: older than every candle held; out of order")
        held = tuple(self._values[:, at].tolist())
        if held != row:
            raise MarketDataError(f"{where}: came as {row}, is held as {held}")
