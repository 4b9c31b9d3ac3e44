"""Candles: single records at the edges, numpy columns inside analytics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from shared.market.timeframe import duration_ms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.float64]


#: Prices on the exchange have at most eight decimals, so times this they are whole numbers and
#: sums of them are exact in any order.
PRICE_UNITS = 1e8


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One closed candle. Prices and volume are analytics, hence floats.

    ``open_time`` is in UTC milliseconds, ``volume`` in the base asset.
    """

    symbol: str
    timeframe: str
    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def close_time(self) -> int:
        """First millisecond after the candle (Binance's ``closeTime`` + 1)."""
        return self.open_time + duration_ms(self.timeframe)


@dataclass(frozen=True, eq=False)
class Columns:
    """Consecutive closed candles of one symbol and time frame as arrays of shape ``(n,)``."""

    symbol: str
    timeframe: str
    open_time: NDArray[np.int64]
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column

    def __len__(self) -> int:
        return len(self.open_time)

    def window(self, start: int, stop: int) -> Columns:
        """Rows ``start:stop`` as views, no copies."""
        part = slice(start, stop)
        return Columns(
            self.symbol,
            self.timeframe,
            self.open_time[part],
            self.open[part],
            self.high[part],
            self.low[part],
            self.close[part],
            self.volume[part],
        )


def to_columns(candles: Sequence[Candle]) -> Columns:
    """Arrays from a non-empty run of candles of one symbol and time frame."""
    import numpy as np

    first = candles[0]
    return Columns(
        first.symbol,
        first.timeframe,
        np.array([c.open_time for c in candles], dtype=np.int64),
        np.array([c.open for c in candles]),
        np.array([c.high for c in candles]),
        np.array([c.low for c in candles]),
        np.array([c.close for c in candles]),
        np.array([c.volume for c in candles]),
    )
