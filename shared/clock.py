"""Time as a port: everything in ``shared`` asks a clock, never the operating system."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the application takes its time from."""

    def now_ms(self) -> int:
        """UTC milliseconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that long on this clock (a virtual clock simply advances)."""
        ...


class SystemClock:
    """The operating system's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def utc(ms: int) -> datetime:
    """UTC milliseconds as an aware ``datetime``."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def iso(ms: int) -> str:
    """UTC milliseconds as ``2025-05-04T00:00:00.000Z``."""
    return utc(ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def day(ms: int) -> str:
    """The UTC day of a time in milliseconds, ``2025-05-04``."""
    return utc(ms).strftime("%Y-%m-%d")
