"""Purging and embargo: nothing that training knows reaches into what it is judged on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInput
from training.splits import split, training, walk_forward

HOUR = 3_600_000


def rows(seed: int, count: int, symbols: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Decision times of several symbols, with holes, and when each label is known."""
    rng = np.random.default_rng(seed)
    bars = np.sort(rng.choice(count * 2, size=count, replace=False))
    time = np.repeat(bars, symbols).astype(np.int64) * HOUR
    return time, time + HOUR * rng.integers(1, horizon + 1, len(time))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(200, 400),
    symbols=st.integers(1, 3),
    horizon=st.integers(1, 30),
    embargo=st.integers(0, 30),
    folds=st.integers(1, 5),
)
def test_no_label_reaches_into_what_comes_after(
    seed: int, count: int, symbols: int, horizon: int, embargo: int, folds: int
) -> None:
    time, known = rows(seed, count, symbols, horizon)
    start, end = int(time.min()), int(time.max()) - 40 * HOUR
    found = walk_forward(time, known, start=start, end=end, folds=folds, embargo=embargo * HOUR)
    assert len(found) == folds
    for one in found:
        tests = time[one.test]
        assert known[one.fit].max() + embargo * HOUR <= time[one.validation].min()
        assert known[one.train].max() + embargo * HOUR <= one.test_start <= tests.min()
        assert tests.max() < one.test_end <= end
        assert known[one.test].max() <= end - embargo * HOUR
        places = np.concatenate((one.fit, one.validation, one.test))
        assert len(np.unique(places)) == len(places)
        assert (np.diff(time[one.fit]) >= 0).all()
    # Tests join, and later ones know more.
    for before, after in pairwise(found):
        assert before.test_end == after.test_start
        assert known[before.train].max() <= known[after.train].max()
        assert set(before.fit) <= set(after.fit)
    assert found[-1].test_end == end


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), horizon=st.integers(1, 30), embargo=st.integers(0, 30))
def test_nothing_is_left_out_that_could_be_known(seed: int, horizon: int, embargo: int) -> None:
    time, known = rows(seed, 200, 2, horizon)
    middle = int(np.median(time))
    one = split(
        time, known, test_start=middle, test_end=int(time.max()) + 1, embargo=embargo * HOUR
    )
    usable = known <= middle - embargo * HOUR
    assert one.train.max() == np.flatnonzero(usable).max()
    # Between fitting and validation only what overlaps is missing.
    missing = np.setdiff1d(np.flatnonzero(usable), one.train)
    assert (known[missing] > time[one.validation].min() - (embargo + 2 * horizon + 9) * HOUR).all()
    assert len(one.test) == (time >= middle).sum()


def test_too_little_is_told() -> None:
    time, known = rows(1, 200, 1, 5)
    with pytest.raises(InvalidInput, match="too short"):
        walk_forward(time, known, start=0, end=40 * HOUR, folds=4, embargo=30 * HOUR)
    with pytest.raises(InvalidInput, match="no training row"):
        training(time, known, end=0, embargo=0)
    with pytest.raises(InvalidInput, match="no test row"):
        split(time, known, test_start=10**12, test_end=10**12 + 1, embargo=0)
    with pytest.raises(InvalidInput, match="0 folds"):
        walk_forward(time, known, start=0, end=10**9, folds=0, embargo=0)
