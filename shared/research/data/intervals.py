"""Half-open ranges of time, kept apart and in order."""

from __future__ import annotations

Interval = tuple[int, int]


def united(intervals: list[Interval]) -> list[Interval]:
    """The same times as few ranges."""
    found: list[Interval] = []
    for start, end in sorted(i for i in intervals if i[1] > i[0]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def lacking(wanted: Interval, held: list[Interval]) -> list[Interval]:
    """The parts of ``wanted`` that no range of ``held`` contains."""
    found: list[Interval] = []
    at, end = wanted
    for start, stop in united(held):
        if stop <= at or start >= end:
            continue
        if start > at:
            found.append((at, start))
        at = max(at, stop)
    if at < end:
        found.append((at, end))
    return found
