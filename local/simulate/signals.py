"""Signals by the seed instead of by indicators: many decisions, at real prices."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from shared.market.candle import Candle
from shared.strategies.signal import SIGNAL_VERSION, Signal, signal_id


class SeededSignals:
    """Takes the engine's place behind ``on_market``; saving is the engine's own.

    Parameters
    ----------
    seed : str
        The signal of a bar depends on it and on the bar alone.
    save : callable
        :meth:`shared.strategies.engine.Engine.save`.
    """

    def __init__(self, seed: str, save: Callable[[Signal], Signal]) -> None:
        self._seed = seed
        self._save = save

    def on_candle(self, candle: Candle) -> Signal:
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

    def candles(self, symbol: str, timeframe: str) -> None:
        """No window is kept, so how wild the market is cannot be judged."""

    def save(self, signal: Signal) -> Signal:
        return self._save(signal)
