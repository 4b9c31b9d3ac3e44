"""Distances of distributions against figures worked out by hand and definitions taken literally."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.intelligence.card import Histogram
from shared.intelligence.distributions import (
    LEAST_SHARE,
    counts,
    distance_at_edges,
    exchanged_blocks,
    kolmogorov_smirnov,
    population_stability,
)

SMALL = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=25)
BINS = st.integers(2, 12).flatmap(
    lambda n: st.tuples(
        *[st.lists(st.integers(0, 50), min_size=n, max_size=n).filter(any) for _ in "pq"]
    )
)


def test_population_stability_worked_out_by_hand() -> None:
    # (0.25 - 0.5) ln(0.25 / 0.5) + (0.75 - 0.5) ln(0.75 / 0.5) = 0.25 ln 3
    assert population_stability([0.5, 0.5], [0.25, 0.75]) == pytest.approx(0.25 * log(3))
    # Rows instead of shares are the same, and so is the other way round.
    assert population_stability([10, 10], [1, 3]) == pytest.approx(0.25 * log(3))
    assert population_stability([1, 3], [10, 10]) == pytest.approx(0.25 * log(3))
    assert population_stability([1, 2, 3], [10, 20, 30]) == 0.0
    # An empty bin costs what the least share costs, not infinity.
    gone = (LEAST_SHARE - 0.5) * log(LEAST_SHARE / 0.5) + 0.5 * log(2)
    assert population_stability([1, 1], [0, 7]) == pytest.approx(gone)


@given(BINS)
def test_population_stability_is_no_distance_only_of_what_is_alike(pair) -> None:
    p, q = pair
    found = population_stability(p, q)
    assert found >= 0.0
    assert found == pytest.approx(population_stability(q, p))
    assert distance_at_edges(p, q) == pytest.approx(distance_at_edges(q, p))
    assert 0.0 <= distance_at_edges(p, q) <= 1.0


@given(SMALL, SMALL)
def test_kolmogorov_smirnov_is_its_definition(a: list[float], b: list[float]) -> None:
    def below(sample: list[float], x: float) -> Fraction:
        return Fraction(sum(v <= x for v in sample), len(sample))

    wanted = max(abs(below(a, x) - below(b, x)) for x in a + b)
    assert kolmogorov_smirnov(a, b) == pytest.approx(float(wanted))


@given(SMALL, SMALL)
def test_in_bins_it_is_no_larger_than_between_values(a: list[float], b: list[float]) -> None:
    histogram = Histogram(edges=(-3.5, -0.5, 0.5, 2.5), shares=(0.2,) * 5)
    binned = distance_at_edges(counts(a, histogram), counts(b, histogram))
    assert binned <= kolmogorov_smirnov(a, b) + 1e-12


def test_values_on_an_edge_belong_to_the_bin_above() -> None:
    histogram = Histogram(edges=(0.0, 1.0), shares=(0.1, 0.4, 0.5))
    assert counts([-1.0, 0.0, 0.5, 1.0, 1.0, 9.0], histogram).tolist() == [1, 2, 3]
    assert distance_at_edges([1, 2, 3], [3, 2, 1]) == pytest.approx(1 / 3)


def test_exchanging_blocks_counts_all_choices() -> None:
    """Five weeks, two of them recent: the p-value is counted out literally."""
    weeks = {0: [5.0, 6.0], 1: [4.0, 7.0], 2: [1.0, 2.0], 3: [0.0, 3.0], 4: [2.0, 1.0]}
    values = [v for rows in weeks.values() for v in rows]
    block = [w for w, rows in weeks.items() for _ in rows]

    def apart(late: tuple[int, ...]) -> float:
        first = [v for v, w in zip(values, block, strict=True) if w in late]
        rest = [v for v, w in zip(values, block, strict=True) if w not in late]
        return kolmogorov_smirnov(first, rest)

    every = [apart(late) for late in combinations(range(5), 2)]
    wanted = sum(d >= apart((0, 1)) for d in every) / len(every)
    assert wanted == 0.1
    recent = np.array(block) < 2
    assert exchanged_blocks(values, block, recent, seed=0) == pytest.approx(wanted)


def test_weeks_that_differ_anyway_are_no_change() -> None:
    """Each week has a level of its own. Rows would call nearly any two weeks different."""
    random = np.random.default_rng(4)
    small = 0
    for trial in range(40):
        level = np.repeat(random.normal(0.0, 3.0, 12), 50)
        values = level + random.normal(0.0, 1.0, 600)
        block = np.repeat(np.arange(12), 50)
        small += exchanged_blocks(values, block, block < 4, seed=trial) < 0.05
    assert small <= 6  # two are expected; more than six have a chance of 0.3 %
    values = random.normal(0.0, 1.0, 600) + np.where(block < 4, 1.0, 0.0)
    assert exchanged_blocks(values, block, block < 4, seed=0) < 0.01


def test_a_p_value_is_never_nothing() -> None:
    """Of 24 weeks six are alone on their side: no draw is as far, the one found counts."""
    block = np.arange(24)
    values = np.where(block < 6, 100.0, block / 24)
    assert exchanged_blocks(values, block, block < 6, seed=1) == 1 / 1000


@given(st.lists(st.floats(-5, 5), min_size=24, max_size=24))
@settings(max_examples=25)
def test_many_blocks_are_drawn_and_the_draw_repeats(values: list[float]) -> None:
    block = np.arange(24)
    found = exchanged_blocks(values, block, block < 6, seed=3)
    assert found == exchanged_blocks(values, block, block < 6, seed=3)
    assert 0.001 <= found <= 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: population_stability([1.0], [0.5, 0.5]),
        lambda: population_stability([0.0, 0.0], [1.0, 0.0]),
        lambda: population_stability([-1.0, 2.0], [1.0, 0.0]),
        lambda: distance_at_edges([1.0], [0.5, 0.5]),
        lambda: kolmogorov_smirnov([], [1.0]),
        lambda: kolmogorov_smirnov([1.0], [float("nan")]),
        lambda: exchanged_blocks([1.0, 2.0], [0, 1], [True, True], seed=0),
        lambda: exchanged_blocks([1.0, 2.0, 3.0], [0, 0, 1], [True, False, False], seed=0),
    ],
)
def test_what_cannot_be_compared_is_refused(call) -> None:
    with pytest.raises(InvalidInput):
        call()
