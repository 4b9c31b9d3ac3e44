"""Values of the command line: times and lists of names."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from shared.market.timeframe import DAY_MS


def moment(text: str) -> int:
    """A UTC date or time of the command line in milliseconds."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a date; write 2025-05-04 or 2025-05-04T12:00"
        ) from None
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return int(value.timestamp() * 1000)


def end_moment(text: str) -> int:
    """The end of a range: a bare date means the whole of that day."""
    return moment(text) + (DAY_MS if len(text) == len("2025-05-31") else 0)


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    found = tuple(dict.fromkeys(x.strip() for x in text.split(",") if x.strip()))
    if not found:
        raise argparse.ArgumentTypeError("name at least one, separated by commas")
    return found
