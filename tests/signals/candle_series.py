"""Seeded candle series on a price grid, with calm and wild stretches."""

from __future__ import annotations

import numpy as np

from shared.market.candle import Candle, Columns

START = 1_746_316_800_000  # 2025-05-04T00:00:00Z
MINUTE = 60_000


def series(seed: int, bars: int, *, price: float = 100.0, tick: float = 0.01) -> Columns:
    """A random walk whose volatility changes every few hundred bars, in whole ticks."""
    random = np.random.default_rng(seed)
    regime = np.repeat(np.exp(random.normal(0.0, 0.7, bars // 300 + 1)), 300)[:bars]
    step = 0.0015 * regime
    close = price * np.exp(np.cumsum(random.normal(0.0, 1.0, bars) * step))
    opened = np.concatenate(([price], close[:-1])) * (1 + random.normal(0, 0.1, bars) * step)
    top = np.maximum(opened, close) * (1 + np.abs(random.normal(0, 0.6, bars)) * step)
    bottom = np.minimum(opened, close) * (1 - np.abs(random.normal(0, 0.6, bars)) * step)

    def grid(values: np.ndarray) -> np.ndarray:
        return np.round(np.round(values / tick) * tick, 8)

    return Columns(
        "BTCUSDT",
        "1m",
        START + MINUTE * np.arange(bars, dtype=np.int64),
        grid(opened),
        grid(np.maximum(top, np.maximum(opened, close))),
        grid(np.minimum(bottom, np.minimum(opened, close))),
        grid(close),
        np.round(np.exp(random.normal(3.0, 0.8, bars)), 3),
    )


def from_closes(closes: list[float], *, reach: float = 0.2, volume: float = 10.0) -> Columns:
    """Candles through given closes: each opens at the close before it."""
    close = np.array(closes, dtype=np.float64)
    opened = np.concatenate((close[:1], close[:-1]))
    return Columns(
        "BTCUSDT",
        "1m",
        START + MINUTE * np.arange(len(close), dtype=np.int64),
        opened,
        np.maximum(opened, close) + reach,
        np.minimum(opened, close) - reach,
        close,
        np.full(len(close), volume),
    )


def candle(columns: Columns, at: int) -> Candle:
    return Candle(
        symbol=columns.symbol,
        timeframe=columns.timeframe,
        open_time=int(columns.open_time[at]),
        open=float(columns.open[at]),
        high=float(columns.high[at]),
        low=float(columns.low[at]),
        close=float(columns.close[at]),
        volume=float(columns.volume[at]),
    )


def joined(a: Columns, b: Columns) -> Columns:
    """``a`` and then ``b``, whose times continue those of ``a``."""
    times = a.open_time[0] + MINUTE * np.arange(len(a) + len(b), dtype=np.int64)
    return Columns(
        a.symbol,
        a.timeframe,
        times,
        *(
            np.concatenate((getattr(a, name), getattr(b, name)))
            for name in ("open", "high", "low", "close", "volume")
        ),
    )
