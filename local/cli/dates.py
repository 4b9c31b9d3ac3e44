"""Values of the command line: times, counts and lists of names."""

from __future__ import annotations

import argparse
import math
from datetime import UTC, date, datetime

from shared.market.timeframe import DAY_MS

#: Times are milliseconds since the first; the last leaves room for a day more.
FIRST_YEAR, LAST_YEAR = 1970, 2999
#: A hundred years.
MAX_HOURS = 876_000
#: What every generator of random numbers takes as its seed.
MAX_COUNT = 2**32 - 1


def moment(text: str) -> int:
    """A UTC date or time of the command line in milliseconds."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a date; write 2025-05-04 or 2025-05-04T12:00"
        ) from None
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise argparse.ArgumentTypeError(f"{text!r}: write a year from {FIRST_YEAR} to {LAST_YEAR}")
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return int(value.timestamp() * 1000)


def end_moment(text: str) -> int:
    """The end of a range: a bare date means the whole of that day."""
    at = moment(text)
    try:
        date.fromisoformat(text)
    except ValueError:
        return at
    return at + DAY_MS


def hours(text: str) -> float:
    """A number of hours, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MAX_HOURS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours from 0 to {MAX_HOURS:,}")
    return value


def count(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    if int(text) > MAX_COUNT:
        raise argparse.ArgumentTypeError(f"{text} is above {MAX_COUNT}")
    return int(text)


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    found = tuple(dict.fromkeys(x.strip() for x in text.split(",") if x.strip()))
    if not found:
        raise argparse.ArgumentTypeError("name at least one, separated by commas")
    return found
