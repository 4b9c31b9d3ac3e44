"""Time in which nobody could have acted, as intervals on the clock.

An interval is what it is, whoever was in trouble at its beginning: an order that rests at the venue
may fill while the process is down, and the position that comes to be has not been anybody's fault
until it is up again. Intervals that overlap excuse once.
"""

from __future__ import annotations

from collections import defaultdict

#: Nothing is excused by what is older than this, milliseconds.
FORGET_MS = 600_000

Interval = tuple[int, int]


class Excuses:
    """What stood in the way of the application, and of one symbol's protection.

    All times are UTC milliseconds.
    """

    def __init__(self) -> None:
        self._blocked: list[Interval] = []
        self._slept: dict[str, list[Interval]] = defaultdict(list)
        self._unseen: dict[str, list[Interval]] = defaultdict(list)
        self._open: list[tuple[str, int]] = []

    def blocked(self, start: int, end: int) -> None:
        """Nobody could act: the process was down, a request hung, the venue answered nobody."""
        _add(self._blocked, start, end)

    def unseen(self, symbol: str, start: int, end: int) -> None:
        """No view of the exchange showed what it holds in a symbol."""
        _add(self._unseen[symbol], start, end)

    def slept(self, symbol: str, start: int, end: int) -> None:
        """The one thread waited on behalf of a symbol, so that no other could be served."""
        _add(self._slept[symbol], start, end)

    def begin(self, symbol: str, start: int) -> None:
        """From now on the one thread serves a symbol, or nobody (empty)."""
        self._open.append((symbol, start))

    def end(self, end: int) -> None:
        """What was begun last is over."""
        self.slept(*self._open.pop(), end)

    def within(self, symbol: str, since: int, until: int) -> int:
        """Milliseconds of ``since`` to ``until`` in which nobody could act for a symbol."""
        found = [
            (max(start, since), min(end, until))
            for intervals in (
                self._blocked,
                self._unseen.get(symbol, ()),
                *(found for other, found in self._slept.items() if other != symbol),
            )
            for start, end in reversed(intervals)
            if end > since and start < until
        ]
        found += [(max(at, since), until) for other, at in self._open if other != symbol]
        total, reached = 0, since
        for start, end in sorted(found):
            total += max(0, end - max(start, reached))
            reached = max(reached, end)
        return total


def _add(intervals: list[Interval], start: int, end: int) -> None:
    """Keep the list disjoint and ascending; what is long over is forgotten."""
    later: list[Interval] = []
    while intervals and intervals[-1][0] > end:
        later.append(intervals.pop())
    while intervals and intervals[-1][1] >= start:
        first, last = intervals.pop()
        start, end = min(start, first), max(end, last)
    intervals.append((start, end))
    intervals.extend(reversed(later))
    if intervals[0][1] < end - FORGET_MS:
        del intervals[0]
