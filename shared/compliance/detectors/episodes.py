"""Events that come too thick: where an episode of them begins."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def begins(
    events: Sequence[tuple[int, T]], window_ms: int, count: int
) -> Iterator[tuple[int, list[T]]]:
    """Where ``count`` events lie within a window for the first time; then again after a pause.

    An episode goes on as long as the window stays full; it is over once it was not.

    Parameters
    ----------
    events : sequence of (int, T)
        Times in UTC milliseconds, ascending, and what happened.

    Yields
    ------
    (int, list of T)
        The time of the event that filled the window, and all that were in it.
    """
    window: deque[tuple[int, T]] = deque()
    full = False
    for time, event in events:
        window.append((time, event))
        while time - window[0][0] >= window_ms:
            window.popleft()
        if len(window) < count:
            full = False
        elif not full:
            full = True
            yield time, [e for _, e in window]
