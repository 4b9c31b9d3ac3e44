"""Signals by the seed instead of by indicators: many decisions, at real prices."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from shared.market.candle import Candle, Columns
from shared.market.timeframe import MINUTE_MS
from shared.strategies.signal import SIGNAL_VERSION, Signal, signal_id

#: Bars of a window: enough for what is usual, and what is recent.
WINDOW = 100


class SeededSignals:
    """Takes the engine's place behind ``on_market``; saving is the engine's own.

    Parameters
    ----------
    seed : str
        The signal of a bar depends on it and on the bar alone.
    save : callable
        :meth:`shared.strategies.engine.Engine.save`.
    closes : callable, optional
        Symbol, open time of the last bar and a number of bars to their closes; without it no
        window is kept, so that how wild the market is cannot be judged.
    """

    def __init__(
        self,
        seed: str,
        save: Callable[[Signal], Signal],
        closes: Callable[[str, int, int], list[float]] | None = None,
    ) -> None:
        self._seed = seed
        self._save = save
        self._closes = closes
        self._last: dict[str, int] = {}

    def on_candle(self, candle: Candle) -> Signal:
        self._last[candle.symbol] = candle.open_time
        draw = random.Random(f"{self._seed}|{candle.symbol}|{candle.open_time}")
        side: Any = draw.choice(("BUY", "SELL"))
        strength = draw.uniform(0.2, 1.0)
        return Signal(
            id=signal_id(candle.symbol, candle.timeframe, candle.close_time, SIGNAL_VERSION),
            symbol=candle.symbol,
            timeframe=candle.timeframe,
            bar_open_time=candle.open_time,
            bar_close_time=candle.close_time,
            side=side,
            strength=strength if side == "BUY" else -strength,
            threshold=0.3,
            close=candle.close,
            atr=candle.close * draw.uniform(0.004, 0.02),
            volatility=0.002,
            votes=[],
            window_digest="0" * 64,
        )

    def candles(self, symbol: str, timeframe: str) -> Columns | None:
        """The bars up to the one that was taken in last."""
        if self._closes is None:
            return None
        import numpy as np

        last = self._last[symbol]
        close = np.array(self._closes(symbol, last, WINDOW), dtype=np.float64)
        times = last - np.arange(WINDOW - 1, -1, -1, dtype=np.int64) * MINUTE_MS
        return Columns(symbol, timeframe, times, close, close, close, close, np.zeros_like(close))

    def save(self, signal: Signal) -> Signal:
        return self._save(signal)
