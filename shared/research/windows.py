"""Walk-forward windows: spans to search in, each followed by a span to be judged on.

::

    rolling    [--- train ---]  gap [test]
                      [--- train ---]  gap [test]
    anchored   [--- train ---]  gap [test]
               [------ train ------]  gap [test]

The gap is ``purge + embargo`` (Lopez de Prado, "Advances in Financial Machine Learning", 2018,
chapter 7). Purging cuts off the end of the training span as long as a trade opened in it could
still be open in the test; the embargo is a further distance for whatever is correlated beyond
that. Test spans join without holes, so that they make one record, and end with the data.
"""

from __future__ import annotations

import re

import msgspec

from shared.clock import iso
from shared.errors import InvalidInput
from shared.market.timeframe import DAY_MS

_UNITS = {"h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a walk-forward. UTC milliseconds, ends exclusive."""

    number: int
    train_start: int
    train_end: int
    test_start: int
    test_end: int


def span(text: str) -> int:
    """Milliseconds of ``36h``, ``90d`` or ``52w``.

    Raises
    ------
    InvalidInput
        For anything else.
    """
    match = re.fullmatch(r"(\d+)([hdw])", text.strip())
    if not match:
        raise InvalidInput(f"{text!r} is not a span of time; write 36h, 90d or 52w")
    return int(match[1]) * _UNITS[match[2]]


def walk_forward_windows(
    start: int,
    end: int,
    *,
    train: int,
    test: int,
    anchored: bool = False,
    purge: int = 0,
    embargo: int = 0,
) -> list[Window]:
    """The windows of a span of data, in order of time.

    Parameters
    ----------
    start, end : int
        UTC milliseconds, end exclusive.
    train, test, purge, embargo : int
        Milliseconds. Anchored training spans are at least ``train`` long.

    Raises
    ------
    InvalidInput
        When not even one window fits, saying how much is missing.
    """
    gap = purge + embargo
    if min(train, test) <= 0 or min(purge, embargo) < 0:
        raise InvalidInput(
            "training and test spans must be above zero, purge and embargo not below"
        )
    count = (end - start - train - gap) // test
    if count < 1:
        raise InvalidInput(
            f"{iso(start)[:10]} to {iso(end)[:10]} is too short: training {_days(train)}, gap "
            f"{_days(gap)} and one test span {_days(test)} need {_days(train + gap + test)}, "
            f"there are {_days(end - start)}"
        )
    windows = []
    for number in range(count):
        test_start = end - (count - number) * test
        train_end = test_start - gap
        windows.append(
            Window(
                number=number + 1,
                train_start=start if anchored else train_end - train,
                train_end=train_end,
                test_start=test_start,
                test_end=test_start + test,
            )
        )
    return windows


def _days(ms: int) -> str:
    return f"{ms / DAY_MS:g} days"
