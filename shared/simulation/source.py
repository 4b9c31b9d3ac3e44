"""Where market data comes from: bars of one base time frame and funding settlements."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple, Protocol

from shared.market.candle import Columns
from shared.market.timeframe import TIMEFRAMES

HOUR_MS = TIMEFRAMES["1h"]
FUNDING_INTERVAL_MS = 8 * HOUR_MS
DEFAULT_FUNDING_RATE = Decimal("0.0001")


class Bar(NamedTuple):
    """A base bar of contract prices and of mark prices. Prices are path data, hence floats."""

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    mark_open: float
    mark_high: float
    mark_low: float
    mark_close: float

    def flat(self, open_time: int) -> Bar:
        """A later bar without trading at this bar's close."""
        p, m = self.close, self.mark_close
        return Bar(open_time, p, p, p, p, 0.0, m, m, m, m)


class Settlement(NamedTuple):
    """One funding settlement: UTC milliseconds and the rate that longs pay."""

    time: int
    rate: Decimal


class MarketSource(Protocol):
    """Deterministic market data. The same question has the same answer at any time."""

    #: Time frame of the base bars.
    timeframe: str

    @property
    def symbols(self) -> tuple[str, ...]: ...

    def bar(self, symbol: str, open_time: int) -> Bar:
        """The base bar at ``open_time``.

        Outside of the data the price stands still: at the first open before, at the last close
        after.
        """
        ...

    def columns(self, symbol: str, start: int, stop: int, *, mark: bool = False) -> Columns:
        """Base bars with ``start <= open_time < stop`` (mark price bars have no volume)."""
        ...

    def next_settlement(self, symbol: str, after: int) -> Settlement:
        """The first funding settlement later than ``after``."""
        ...

    def settlements(self, symbol: str, start: int, stop: int) -> list[Settlement]:
        """Funding settlements with ``start <= time < stop``, ascending."""
        ...

    def older(self, symbol: str, timeframe: str) -> Columns | None:
        """Candles of a longer time frame that open before the first base bar, if there are any."""
        ...

    def first_time(self, symbol: str) -> int:
        """Open time of the earliest bar."""
        ...


def scheduled_settlement(after: int) -> Settlement:
    """The next settlement of the plain 8-hour schedule at the interest rate."""
    time = after - after % FUNDING_INTERVAL_MS + FUNDING_INTERVAL_MS
    return Settlement(time, DEFAULT_FUNDING_RATE)
