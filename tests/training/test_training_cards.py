"""Histograms of the cards: every row in one bin, and values that many rows have by themselves."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.cards import histogram


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([-3.0, 0.0, 0.5, 0.75, 2.0, 9.0]), min_size=1, max_size=60),
)
def test_every_row_is_counted_once(values: list[float]) -> None:
    found = histogram(np.array(values, dtype=np.float32))
    assert len(found.shares) == len(found.edges) + 1
    bins = [0] * len(found.shares)
    for value in values:
        bins[sum(edge <= value for edge in found.edges)] += 1
    assert np.allclose(found.shares, np.array(bins) / len(values))


def test_equal_shares_where_the_values_allow_it() -> None:
    found = histogram(np.random.default_rng(1).normal(size=10_000).astype(np.float32))
    assert len(found.edges) == 9
    assert all(abs(share - 0.1) < 0.001 for share in found.shares)


def test_what_is_mostly_nothing_keeps_its_rare_values() -> None:
    """A pattern that is there in one bar of twenty."""
    values = np.zeros(1_000, dtype=np.float32)
    values[:50], values[50:80] = 1.0, -1.0
    found = histogram(values)
    assert found.shares == (0.03, 0.92, 0.05)
    assert found.edges[0] == 0.0
    assert 0.0 < found.edges[1] < 1e-30
