"""Purged, embargoed splits in time: no training label knows anything of the test.

A label looks ahead, so rows just before a test span have seen prices of it, and neighbouring
rows share most of theirs. Training keeps only rows whose label was known ``embargo`` before the
test begins (Lopez de Prado, "Advances in Financial Machine Learning", 2018, chapter 7). Several
symbols move together, hence spans are of time, not of rows, the same for all symbols.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.clock import iso
from shared.errors import InvalidInput
from shared.research.windows import walk_forward_windows

Places = NDArray[np.int64]
Times = NDArray[np.int64]

#: Share of the whole span before the first test.
FIRST_TRAINING = 0.4
#: Share of a training span, at its end, that decides when training stops.
VALIDATION = 0.15


@dataclass(frozen=True, eq=False)
class Split:
    """Rows to fit on, to stop by, and to be judged on.

    Parameters
    ----------
    fit, validation, test : int64 arrays
        Places of rows, in order of time.
    test_start, test_end : int
        UTC milliseconds, end exclusive.
    """

    fit: Places
    validation: Places
    test: Places
    test_start: int
    test_end: int

    @property
    def train(self) -> Places:
        """All rows whose labels training may know."""
        return np.concatenate((self.fit, self.validation))


def training(time: Times, known: Times, *, end: int, embargo: int) -> tuple[Places, Places]:
    """Rows to fit on and rows to stop by, of what was known ``embargo`` before ``end``.

    Parameters
    ----------
    time, known : int64 arrays
        Per row, UTC milliseconds: when it is decided on, and when its label is known.
    end, embargo : int
        Milliseconds.

    Raises
    ------
    InvalidInput
        When either would be empty.
    """
    before = np.flatnonzero(known <= end - embargo)
    fit = validation = before
    if len(before):
        first, last = int(np.min(time[before])), int(np.max(time[before]))
        boundary = last - int((last - first) * VALIDATION)
        fit = before[known[before] <= boundary - embargo]
        validation = before[time[before] >= boundary]
    for name, rows in (("training", fit), ("validation", validation)):
        if not len(rows):
            raise InvalidInput(
                f"no {name} row before {iso(end)}: give more candles, fewer folds, a shorter "
                "holdout or a shorter horizon"
            )
    return _by_time(fit, time), _by_time(validation, time)


def split(time: Times, known: Times, *, test_start: int, test_end: int, embargo: int) -> Split:
    """One split: training on everything before a test span, see :func:`training`."""
    fit, validation = training(time, known, end=test_start, embargo=embargo)
    test = np.flatnonzero((time >= test_start) & (time < test_end))
    if not len(test):
        raise InvalidInput(f"no test row from {iso(test_start)} to {iso(test_end)}")
    return Split(fit, validation, _by_time(test, time), test_start, test_end)


def walk_forward(
    time: Times, known: Times, *, start: int, end: int, folds: int, embargo: int
) -> list[Split]:
    """Splits with growing training spans whose tests join and end with ``end``.

    Rows whose label is not known ``embargo`` before ``end`` are in none of them, so that what
    lies behind ``end`` stays unseen.

    Raises
    ------
    InvalidInput
        When the span is too short for so many.
    """
    if folds < 1:
        raise InvalidInput(f"{folds} folds; give 1 or more")
    span = end - start
    first = int(span * FIRST_TRAINING)
    windows = walk_forward_windows(
        start,
        end,
        train=first,
        test=max(1, (span - first - embargo) // folds),
        anchored=True,
        embargo=embargo,
    )
    usable = np.flatnonzero(known <= end - embargo)
    found = []
    for window in windows[-folds:]:
        part = split(
            time[usable],
            known[usable],
            test_start=window.test_start,
            test_end=window.test_end,
            embargo=embargo,
        )
        found.append(
            Split(
                usable[part.fit],
                usable[part.validation],
                usable[part.test],
                part.test_start,
                part.test_end,
            )
        )
    return found


def _by_time(rows: Places, time: Times) -> Places:
    return rows[np.argsort(time[rows], kind="stable")]
