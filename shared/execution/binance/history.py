"""Reading time-ordered history completely, whichever end of a full page the venue returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

#: Longest span that userTrades accepts in one request, milliseconds.
SPAN_MS = 7 * 86_400_000


def complete(
    fetch: Callable[[int, int], list[T]], start: int, end: int, page: int
) -> Iterator[list[T]]:
    """All rows with ``start <= time <= end``, in spans that fit a page.

    A full page may have lost rows at either end, so its span is halved until it is not full.
    The last rows of a single full millisecond cannot be told apart this way and are passed on.

    Parameters
    ----------
    fetch : callable
        ``fetch(first, last)`` returns at most ``page`` rows of that closed span (milliseconds).
    start, end : int
        UTC milliseconds.
    page : int
        The venue's largest page.
    """
    spans = [(first, min(first + SPAN_MS - 1, end)) for first in range(start, end + 1, SPAN_MS)][
        ::-1
    ]
    while spans:
        first, last = spans.pop()
        rows = fetch(first, last)
        if len(rows) >= page and last > first:
            middle = (first + last) // 2
            spans += [(middle + 1, last), (first, middle)]
            continue
        yield rows
