"""The error of a mean of overlapping outcomes, by hand and against what happens when repeated."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.intelligence.uncertainty import mean_with_error

VALUES = st.lists(st.floats(-5, 5), min_size=3, max_size=30)


def literally(values: list[float], bar: list[int], lag: int) -> float:
    """Newey and West's variance of a mean, pair by pair."""
    mean = sum(values) / len(values)
    total = 0.0
    for v, a in zip(values, bar, strict=True):
        for w, b in zip(values, bar, strict=True):
            weight = max(0.0, 1.0 - abs(a - b) / (lag + 1))
            total += weight * (v - mean) * (w - mean)
    return sqrt(max(total, 0.0)) / len(values)


def test_worked_out_by_hand() -> None:
    # Deviations -1, 0, 1; lag 1 has half the weight: 2 + 2 * 0.5 * (-1 * 0 + 0 * 1) = 2.
    mean, error = mean_with_error(np.array([1.0, 2.0, 3.0]), np.arange(3), 1)
    assert (mean, error) == (2.0, pytest.approx(sqrt(2) / 3))
    # Without overlap it is the plain error with the number of rows below.
    mean, error = mean_with_error(np.array([1.0, 2.0, 3.0]), np.arange(3), 0)
    assert error == pytest.approx(sqrt(2) / 3)
    # Two contracts that always do the same are one.
    twice, alone = (
        mean_with_error(np.array(rows), np.array(bars), 0)[1]
        for rows, bars in (([1.0, 1.0, 2.0, 2.0], [0, 0, 1, 1]), ([1.0, 2.0], [0, 1]))
    )
    assert twice == pytest.approx(alone)


@given(VALUES, st.integers(0, 4), st.randoms(use_true_random=False))
def test_it_is_the_sum_over_pairs(values: list[float], lag: int, random) -> None:
    bar = sorted(random.randrange(20) for _ in values)
    _, error = mean_with_error(np.array(values), np.array(bar), lag)
    if error is None:
        assert len(set(bar)) < 2 or len(set(bar)) <= lag
    else:
        assert error == pytest.approx(literally(values, bar, lag), abs=1e-7)


@given(VALUES)
def test_rows_without_weight_are_not_there(values: list[float]) -> None:
    rows = np.array([*values, 99.0, -99.0])
    bar = np.arange(len(rows))
    weights = np.where(np.abs(rows) > 50.0, 0.0, 1.0)
    found = mean_with_error(rows, bar, 1, weights)
    alone = mean_with_error(np.array(values), np.arange(len(values)), 1)
    assert found == (pytest.approx(alone[0]), pytest.approx(alone[1], abs=1e-7))


def test_it_says_how_far_means_scatter() -> None:
    """Sums of twelve draws that overlap, as labels do: the error is that of repeated trials."""
    random = np.random.default_rng(11)
    means, errors = [], []
    for _ in range(300):
        drawn = random.normal(0.0, 1.0, 1_011)
        values = np.convolve(drawn, np.ones(12), "valid")
        mean, error = mean_with_error(values, np.arange(len(values)), 24)
        means.append(mean)
        errors.append(error)
    # Half the lag is lost to the kernel's weights; rows taken as independent would give 0.11.
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.2)


def test_what_says_nothing_has_no_error_or_is_refused() -> None:
    assert mean_with_error(np.array([2.0]), np.array([7]), 0) == (2.0, None)
    assert mean_with_error(np.array([2.0, 4.0]), np.array([7, 7]), 0) == (3.0, None)
    assert mean_with_error(np.arange(5.0), np.arange(5), 5) == (2.0, None)
    for weights, lag in ((np.zeros(2), 0), (np.ones(2), -1)):
        with pytest.raises(InvalidInput):
            mean_with_error(np.array([1.0, 2.0]), np.arange(2), lag, weights)
