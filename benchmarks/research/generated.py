"""Generated candles: geometric Brownian motion with GARCH(1,1) volatility."""

from __future__ import annotations

import numpy as np

from shared.market.candle import Columns
from shared.market.timeframe import duration_ms

#: 2024-01-01
START = 1_704_067_200_000
ANNUAL_VOLATILITY = 0.60
ALPHA, BETA = 0.05, 0.94
YEAR_MS = 365 * 86_400_000


def candles(symbol: str, bars: int, *, timeframe: str = "1m", seed: int = 7) -> Columns:
    """Candles whose open is the close before; 60 % volatility a year."""
    step = duration_ms(timeframe)
    rng = np.random.default_rng(seed)
    usual = ANNUAL_VOLATILITY**2 * step / YEAR_MS
    shocks = rng.standard_normal(bars).tolist()
    variance, moves = usual, []
    for shock in shocks:
        move = shock * variance**0.5
        moves.append(move)
        variance = (1 - ALPHA - BETA) * usual + ALPHA * move * move + BETA * variance
    close = 30_000.0 * np.exp(np.cumsum(moves))
    opened = np.concatenate(([30_000.0], close[:-1]))
    reach = np.abs(rng.standard_normal((2, bars))) * usual**0.5 * 0.5
    return Columns(
        symbol,
        timeframe,
        START + step * np.arange(bars, dtype=np.int64),
        opened,
        np.maximum(opened, close) * (1 + reach[0]),
        np.minimum(opened, close) * (1 - reach[1]),
        close,
        rng.lognormal(3.0, 0.5, bars),
    )
