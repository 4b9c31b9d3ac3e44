"""How good probabilities are, against figures worked out by hand and definitions applied."""

from __future__ import annotations

from itertools import product
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.intelligence.quality import (
    auc,
    base_rates,
    brier,
    calibration,
    calibration_error,
    figures,
    gain,
    log_loss,
)

DAY = 86_400_000
P = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7]])
BASE = np.tile([0.25, 0.25, 0.5], (4, 1))
LABEL = np.array([2, 0, 2, 0], dtype=np.int8)
TIME = np.array([0, 1, 8, 9], dtype=np.int64) * DAY


def test_worked_out_by_hand() -> None:
    found = figures(P, LABEL, BASE, TIME)
    assert found.rows == 4
    assert found.log_loss == pytest.approx(-(log(0.5) + log(0.6) + log(0.3) + log(0.1)) / 4)
    assert found.base_log_loss == pytest.approx(-(2 * log(0.5) + 2 * log(0.25)) / 4)
    # Likeliest: up, down, flat, up; came: up, down, up, down.
    assert found.accuracy == 0.5
    assert found.majority_accuracy == 0.5
    first = 0.2**2 + 0.3**2 + 0.5**2
    second = 0.4**2 + 0.3**2 + 0.1**2
    third = 0.3**2 + 0.4**2 + 0.7**2
    fourth = 0.9**2 + 0.2**2 + 0.7**2
    assert found.brier == pytest.approx((first + second + third + fourth) / 4)
    # Votes of at least 0.1: up, down, up where up, down, down came. Dealt anew, an up vote hits
    # one time in three and the down vote two times.
    assert (found.votes, found.hit_rate) == (3, pytest.approx(2 / 3))
    # Ups had 0.3 and 0, downs -0.5 and 0.6: two of the four pairs are in order.
    assert found.auc_direction == 0.5
    assert found.base_hit_rate == pytest.approx((1 / 3 + 2 / 3 + 1 / 3) / 3)


def test_gain_and_its_error_by_hand() -> None:
    each = [log(0.5 / 0.5), log(0.6 / 0.25), log(0.3 / 0.5), log(0.1 / 0.25)]
    mean = sum(each) / 4
    weeks = [each[0] + each[1] - 2 * mean, each[2] + each[3] - 2 * mean]
    found, error = gain(P, BASE, LABEL, TIME // (7 * DAY))
    assert found == pytest.approx(mean)
    assert error == pytest.approx(sqrt(sum(w * w for w in weeks) * 2 / 1) / 4)
    assert gain(P, BASE, LABEL, np.zeros(4, dtype=np.int64))[1] is None


def test_error_of_blocks_is_that_of_their_means() -> None:
    """With blocks of equal size: the textbook standard error of the mean of block means."""
    rng = np.random.default_rng(3)
    p = rng.dirichlet([2, 2, 2], 400)
    label = rng.integers(0, 3, 400).astype(np.int8)
    base = np.tile([0.3, 0.4, 0.3], (400, 1))
    block = np.repeat(np.arange(40), 10)
    each = np.log(p[np.arange(400), label]) - np.log(base[np.arange(400), label])
    means = each.reshape(40, 10).mean(axis=1)
    assert gain(p, base, label, block)[1] == pytest.approx(means.std(ddof=1) / sqrt(40))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3]), st.booleans()), max_size=20))
def test_auc_is_the_chance_of_a_higher_score(rows: list[tuple[float, bool]]) -> None:
    ones = [s for s, hit in rows if hit]
    zeros = [s for s, hit in rows if not hit]
    found = auc(np.array([s for s, _ in rows]), np.array([h for _, h in rows], dtype=bool))
    if not ones or not zeros:
        assert found is None
        return
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(ones, zeros)]
    assert found == pytest.approx(sum(pairs) / len(pairs))


def test_the_truth_is_best_on_average() -> None:
    """Log loss and Brier score are proper: other probabilities than those that hold cost more."""
    rng = np.random.default_rng(1)
    truth = rng.dirichlet([3, 3, 3], 20_000)
    label = (truth.cumsum(axis=1) < rng.uniform(size=(20_000, 1))).sum(axis=1).astype(np.int8)
    wrong = [truth**2, truth**0.5, truth[:, ::-1]]
    for other in (w / w.sum(axis=1, keepdims=True) for w in wrong):
        assert log_loss(other, label) > log_loss(truth, label)
        assert brier(other, label) > brier(truth, label)
    bins = calibration(truth, label)
    assert max(calibration_error(b) for b in bins.values()) < 0.02
    squared = truth**3 / (truth**3).sum(axis=1, keepdims=True)
    assert min(calibration_error(b) for b in calibration(squared, label).values()) > 0.1
    assert sum(b.rows for b in bins["up"]) == 20_000


def test_base_rates_are_never_nothing() -> None:
    assert base_rates(np.array([0, 0, 2], dtype=np.int8)).tolist() == [0.5, 1 / 6, 2 / 6]


@pytest.mark.parametrize(
    "p",
    [
        np.full((4, 3), 0.5),
        np.full((4, 2), 0.5),
        np.full((4, 3), np.nan),
        np.tile([-0.5, 1.0, 0.5], (4, 1)),
        np.empty((0, 3)),
    ],
)
def test_what_is_no_probability_is_refused(p: np.ndarray) -> None:
    with pytest.raises(InvalidInput):
        figures(p, LABEL[: len(p)], BASE[: len(p)], TIME[: len(p)])
