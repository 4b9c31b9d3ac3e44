"""The last closed candles of symbols, read from the exchange once per bar and kept.

For what looks at the market beside the engine: it must see the same candles, and must not take
requests from those that trade.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from shared.clock import iso
from shared.errors import MarketDataError
from shared.market.timeframe import duration_ms, last_closed
from shared.strategies.window import CandleWindow

if TYPE_CHECKING:
    from shared.clock import Clock
    from shared.execution.exchange import Exchange
    from shared.market.candle import Columns


class RecentCandles:
    """Windows of closed candles by symbol and time frame.

    Parameters
    ----------
    exchange : Exchange
    clock : Clock
    """

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock
        self._kept: dict[tuple[str, str], CandleWindow] = {}
        self._lock = threading.Lock()

    def columns(self, symbol: str, timeframe: str, bars: int) -> Columns:
        """The last ``bars`` closed candles, or as many as the contract has.

        Raises
        ------
        ExchangeError, MarketDataError
            When the candles cannot be had, or the exchange's newest is older than it should be.
        """
        step = duration_ms(timeframe)
        newest = last_closed(self._clock.now_ms(), timeframe)
        with self._lock:
            window = self._kept.get((symbol, timeframe))
            if window is None or window.size < bars:
                window = self._read(symbol, timeframe, bars)
            last = window.last_open_time or 0
            if last < newest:
                missing = (newest - last) // step
                try:
                    for candle in self._exchange.candles(symbol, timeframe, limit=missing + 1):
                        window.append(candle)
                except MarketDataError:
                    # A hole, or the same bar with other values: the venue's as they are now.
                    window = self._read(symbol, timeframe, max(bars, window.size))
                last = window.last_open_time or 0
            if last < newest - step:
                del self._kept[symbol, timeframe]
                raise MarketDataError(
                    f"{symbol} {timeframe}: the newest candle of the exchange is of "
                    f"{iso(last)}, that of {iso(newest)} has closed"
                )
            found = window.columns()
        return found.window(max(0, len(found) - bars), len(found))

    def _read(self, symbol: str, timeframe: str, bars: int) -> CandleWindow:
        candles = self._exchange.candles(symbol, timeframe, limit=bars)
        if not candles:
            raise MarketDataError(f"{symbol} {timeframe}: the exchange has no candles")
        window = CandleWindow(symbol, timeframe, bars)
        for candle in candles:
            window.append(candle)
        self._kept[symbol, timeframe] = window
        return window
