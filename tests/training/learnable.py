"""Candles made for training: a rule one can learn, and shapes one can work out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.market.candle import Columns

HOUR = 3_600_000
START = 1_704_067_200_000  # 2024-01-01T00:00:00Z, a Monday


def tides(bars: int, *, symbol: str = "BTCUSDT", seed: int = 1, strength: float = 0.6) -> Columns:
    """Hourly candles that drift up for half a day and down for the other half, under noise.

    Parameters
    ----------
    strength : float
        The largest drift of a bar, in deviations of its noise.
    """
    rng = np.random.default_rng(seed)
    time = START + HOUR * np.arange(bars, dtype=np.int64)
    tide = np.sin(2.0 * np.pi * (time % (24 * HOUR)) / (24 * HOUR))
    close = 100.0 * np.exp(0.004 * np.cumsum(strength * tide + rng.normal(0.0, 1.0, bars)))
    opened = np.concatenate(([100.0], close[:-1]))
    reach = 1.0 + np.abs(rng.normal(0.0, 0.001, (2, bars)))
    return Columns(
        symbol,
        "1h",
        time,
        opened,
        np.maximum(opened, close) * reach[0],
        np.minimum(opened, close) / reach[1],
        close,
        np.exp(rng.normal(3.0, 0.5, bars)),
    )


def candles(rows: Sequence[tuple[float, float, float, float]]) -> Columns:
    """Hourly candles from open, high, low and close."""
    opened, high, low, close = np.array(rows, dtype=np.float64).T
    time = START + HOUR * np.arange(len(rows), dtype=np.int64)
    return Columns("BTCUSDT", "1h", time, opened, high, low, close, np.ones(len(rows)))
