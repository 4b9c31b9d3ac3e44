"""Time frames as Binance names them, in milliseconds."""

from __future__ import annotations

from shared.errors import InvalidInput

MINUTE_MS = 60_000
DAY_MS = 86_400_000

#: Kline intervals of Binance USD-M that divide a day.
TIMEFRAMES: dict[str, int] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": DAY_MS,
}


def duration_ms(timeframe: str) -> int:
    """Length of one candle in milliseconds.

    Raises
    ------
    InvalidInput
        For a time frame Binance does not offer or that does not divide a day.
    """
    try:
        return TIMEFRAMES[timeframe]
    except KeyError:
        known = ", ".join(TIMEFRAMES)
        raise InvalidInput(f"unknown time frame {timeframe!r}; use one of {known}") from None


def open_time(ms: int, timeframe: str) -> int:
    """Open time of the candle that contains ``ms``."""
    step = duration_ms(timeframe)
    return ms - ms % step


def last_closed(ms: int, timeframe: str) -> int:
    """Open time of the newest candle that is closed at ``ms``."""
    return open_time(ms, timeframe) - duration_ms(timeframe)
