"""Time as a port: everything in ``shared`` asks a clock, never the operating system."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Protocol

DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1)


class Clock(Protocol):
    """Where the application takes its time from."""

    def now_ms(self) -> int:
        """UTC milliseconds since the epoch."""
        ...

    def steady_ms(self) -> int:
        """Milliseconds that nobody sets: only differences within one process mean anything."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that long on this clock (a virtual clock simply advances)."""
        ...


class SystemClock:
    """The operating system's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def steady_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def utc(ms: int) -> datetime:
    """UTC milliseconds as an aware ``datetime``."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def iso(ms: int) -> str:
    """UTC milliseconds as ``2025-05-04T00:00:00.000Z``."""
    # By arithmetic: times are written several times for every minute that is simulated.
    seconds, millis = divmod(ms % DAY_MS, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{day(ms)}T{hours:02d}:{minutes:02d}:{seconds:02d}.{millis:03d}Z"


def day(ms: int) -> str:
    """The UTC day of a time in milliseconds, ``2025-05-04``."""
    return _day_name(ms // DAY_MS)


@lru_cache(maxsize=64)
def _day_name(number: int) -> str:
    """The n-th day since the epoch."""
    return (_EPOCH + timedelta(days=number)).isoformat()
