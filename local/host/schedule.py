"""Timer schedules: six-field NCRONTAB (seconds first, UTC) and constant time spans."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

from local.host.config import timespan
from shared.clock import iso

_DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1)
_MONTHS = (
    "",
    *["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
)
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LIMITS: tuple[tuple[int, int, Sequence[str]], ...] = (
    (0, 59, ()),
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, _MONTHS),
    (0, 6, _WEEKDAYS),
)
# Every day-of-month and weekday combination that exists at all occurs within 28 years
# (40 around a skipped leap day).
_HORIZON_DAYS = 366 * 41


class Schedule(Protocol):
    """When a timer is due."""

    adjust_for_dst: bool

    def next(self, after_ms: int) -> int:
        """The first occurrence later than ``after_ms``, UTC milliseconds."""
        ...


class CronSchedule:
    """NCRONTAB as Azure reads it: with a day of month and a weekday, both must hold.

    (Classic cron takes either. croniter is not used: it reads ``0-0`` as ``*``, and takes forms
    NCRONTAB does not have.)

    Raises
    ------
    ValueError
        If the expression is not NCRONTAB or can never occur.
    """

    adjust_for_dst = True

    def __init__(self, expression: str) -> None:
        fields = expression.split()
        if len(fields) == 5:
            fields.insert(0, "0")
        if len(fields) != 6:
            raise ValueError(f"The schedule expression '{expression}' was not recognized as valid.")
        seconds, minutes, hours, days, months, weekdays = (
            _values(text, *limits) for text, limits in zip(fields, _LIMITS, strict=True)
        )
        self._days, self._months, self._weekdays = set(days), set(months), set(weekdays)
        self._times = array(
            "I", [h * 3600 + m * 60 + s for h in hours for m in minutes for s in seconds]
        )
        self._day_cache: tuple[int, bool] = (-1, False)
        self.next(0)

    def next(self, after_ms: int) -> int:
        day, millis = divmod(after_ms, _DAY_MS)
        if self._on(day):
            index = bisect_right(self._times, millis // 1000)
            if index < len(self._times):
                return day * _DAY_MS + self._times[index] * 1000
        for later in range(day + 1, day + _HORIZON_DAYS):
            if self._on(later):
                return later * _DAY_MS + self._times[0] * 1000
        raise ValueError("The schedule never occurs.")

    def _on(self, day: int) -> bool:
        cached_day, on = self._day_cache
        if day != cached_day:
            when = _EPOCH + timedelta(days=day)
            on = (
                when.month in self._months
                and when.day in self._days
                and when.isoweekday() % 7 in self._weekdays
            )
            self._day_cache = (day, on)
        return on


class ConstantSchedule:
    """Every so many seconds, counted from the last occurrence."""

    adjust_for_dst = False

    def __init__(self, seconds: float) -> None:
        if seconds <= 0:
            raise ValueError("A constant schedule must be longer than zero.")
        self._ms = int(seconds * 1000)

    def next(self, after_ms: int) -> int:
        return after_ms + self._ms


def parse(expression: str) -> Schedule:
    """A schedule from a timer trigger's ``schedule`` (settings already resolved).

    Raises
    ------
    ValueError
        If it is neither NCRONTAB nor a time span.
    """
    if ":" in expression:
        return ConstantSchedule(timespan(expression))
    return CronSchedule(expression)


def interval_ms(schedule: Schedule, now_ms: int) -> int:
    """Shortest of the next few intervals, which decides whether the schedule is monitored."""
    times = [schedule.next(now_ms)]
    for _ in range(5):
        times.append(schedule.next(times[-1]))
    return min(b - a for a, b in pairwise(times))


@lru_cache(maxsize=64)
def iso_offset(ms: int | None) -> str:
    """A time as the timer extension writes it; ``None`` is .NET's smallest date."""
    if ms is None:
        return "0001-01-01T00:00:00+00:00"
    text, millis = iso(ms)[:19], ms % 1000
    return f"{text}.{millis:03d}000+00:00" if millis else f"{text}+00:00"


def _values(text: str, low: int, high: int, names: Sequence[str]) -> list[int]:
    """Numbers a field allows: ``*``, ``a``, ``a-b``, names, each with ``/step``, and lists."""
    allowed: set[int] = set()
    for part in text.split(","):
        body, slash, step = part.partition("/")
        first, dash, last = body.partition("-")
        start = low if body == "*" else _number(first, names)
        end = high if body == "*" or (slash and not dash) else _number(last or first, names)
        stride = int(step) if slash else 1
        if not (low <= start <= end <= high and stride > 0 and (last or not dash)):
            raise ValueError(f"The schedule field '{text}' was not recognized as valid.")
        allowed.update(range(start, end + 1, stride))
    return sorted(allowed)


def _number(text: str, names: Sequence[str]) -> int:
    if text.lower() in names:
        return names.index(text.lower())
    if not text.isdecimal():
        raise ValueError(f"'{text}' in a schedule is not a number.")
    return int(text)
