"""How far apart two distributions are: population stability index and Kolmogorov-Smirnov.

Rows of a market are not independent: a figure that looks back 168 bars changes slowly, contracts
move together. The textbook thresholds and p-values know nothing of that, so what is significant
here is decided by exchanging whole blocks of time, not rows.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.errors import InvalidInput
from shared.intelligence.card import Histogram

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

#: Below the first two populations are alike, from the second on they have shifted (Siddiqi,
#: "Credit Risk Scorecards", 2006, chapter 8).
PSI_SLIGHT, PSI_SHIFTED = 0.1, 0.25
#: Least share of a bin, so that an empty one costs something finite.
LEAST_SHARE = 1e-4
#: Exchanges of blocks that a p-value is computed from; all there are if those are fewer.
EXCHANGES = 999
#: Bins that recent values are compared with earlier ones in, of equal shares.
_GRID = 32


def counts(values: ArrayLike, histogram: Histogram) -> Counts:
    """Rows of each bin; a value on an edge belongs to the bin above it, as in training."""
    edges = np.asarray(histogram.edges, dtype=np.float64)
    place = np.searchsorted(edges, np.asarray(values, dtype=np.float64), side="right")
    return np.bincount(place, minlength=len(histogram.shares)).astype(np.int64)


def population_stability(reference: ArrayLike, found: ArrayLike) -> float:
    """Population stability index: sum over bins of (q - p) ln(q / p), in nats; 0 when alike.

    Parameters
    ----------
    reference, found : array of shape (bins,)
        Shares or rows of the bins; each is scaled to a sum of 1. A share below
        :data:`LEAST_SHARE` counts as that.

    Raises
    ------
    InvalidInput
        When they have not the same bins, or no row at all.
    """
    p, q = _shares(reference), _shares(found)
    if p.shape != q.shape:
        raise InvalidInput(f"{len(p)} bins cannot be compared with {len(q)}")
    p, q = np.maximum(p, LEAST_SHARE), np.maximum(q, LEAST_SHARE)
    return float(((q - p) * np.log(q / p)).sum())


def distance_at_edges(reference: ArrayLike, found: ArrayLike) -> float:
    """Largest difference of two cumulative distributions at the edges between their bins.

    It is the Kolmogorov-Smirnov statistic of the binned values: that of the values themselves is
    not smaller.
    """
    p, q = _shares(reference), _shares(found)
    if p.shape != q.shape:
        raise InvalidInput(f"{len(p)} bins cannot be compared with {len(q)}")
    return float(np.max(np.abs(np.cumsum(q - p))))


def kolmogorov_smirnov(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sample Kolmogorov-Smirnov statistic: the largest difference of the cumulative
    distributions, 0 to 1.

    Raises
    ------
    InvalidInput
        When a sample is empty or not finite.
    """
    first, second = _sample(a), _sample(b)
    at = np.concatenate((first, second))
    below = np.searchsorted(first, at, side="right") / len(first)
    beside = np.searchsorted(second, at, side="right") / len(second)
    return float(np.max(np.abs(below - beside)))


def exchanged_blocks(values: ArrayLike, block: ArrayLike, recent: ArrayLike, seed: int) -> float:
    """How likely recent blocks would be as far from the others by chance: a p-value.

    The statistic is the Kolmogorov-Smirnov one on a grid of the values' own quantiles. Under the
    hypothesis that blocks of time are exchangeable, which ones are called recent makes no
    difference; so it is computed for other choices of as many (all of them, or
    :data:`EXCHANGES` drawn from ``seed``). The p-value counts those at least as far apart, the one
    found among them, hence is never 0 (Phipson and Smyth, 2010).

    Parameters
    ----------
    values, block : array of shape (rows,)
        A value and the number of its block, for example its week.
    recent : array of shape (rows,)
        Whether a row is recent; the rows of a block all are or none is.

    Raises
    ------
    InvalidInput
        When a block is both, or all are the same.
    """
    number = np.unique(np.asarray(block), return_inverse=True)[1]
    blocks = int(np.max(number)) + 1 if len(number) else 0
    late = np.asarray(recent, dtype=bool)
    chosen = np.flatnonzero(np.bincount(number, weights=late, minlength=blocks))
    if np.bincount(number, weights=~late, minlength=blocks)[chosen].any():
        raise InvalidInput("a block is recent or it is not")
    if not 0 < len(chosen) < blocks:
        raise InvalidInput(f"{len(chosen)} of {blocks} blocks are recent: nothing to compare")
    row = _sample(values, ordered=False)
    grid = np.unique(np.quantile(row, np.arange(1, _GRID) / _GRID, method="inverted_cdf"))
    place = np.searchsorted(grid, row, side="left")
    table = np.zeros((blocks, len(grid) + 1))
    np.add.at(table, (number, place), 1.0)
    found = _apart(table, chosen[None, :])[0]
    many = comb(blocks, len(chosen))
    if many <= EXCHANGES:
        others = np.array(list(combinations(range(blocks), len(chosen))))
        return float((_apart(table, others) >= found - 1e-12).mean())
    order = np.random.default_rng(seed).random((EXCHANGES, blocks)).argsort(axis=1)
    as_far = int((_apart(table, order[:, : len(chosen)]) >= found - 1e-12).sum())
    return (as_far + 1) / (EXCHANGES + 1)


def _apart(table: Array, chosen: NDArray[np.int64]) -> Array:
    """The statistic for each row of chosen blocks."""
    late = table[chosen].sum(axis=1)
    early = table.sum(axis=0) - late
    late = np.cumsum(late, axis=1) / late.sum(axis=1, keepdims=True)
    early = np.cumsum(early, axis=1) / early.sum(axis=1, keepdims=True)
    apart: Array = np.abs(late - early).max(axis=1)
    return apart


def _shares(values: ArrayLike) -> Array:
    rows = np.asarray(values, dtype=np.float64)
    total = rows.sum()
    if rows.ndim != 1 or not np.isfinite(total) or total <= 0.0 or np.min(rows) < 0.0:
        raise InvalidInput("shares of bins are not negative, and there is at least one row")
    shares: Array = rows / total
    return shares


def _sample(values: ArrayLike, *, ordered: bool = True) -> Array:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not len(sample) or not np.isfinite(sample).all():
        raise InvalidInput("a sample is finite numbers, at least one")
    return np.sort(sample) if ordered else sample
