"""Tail risk by models that a decision does not need: Cornish-Fisher and Monte Carlo. For reports.

Everything is deterministic from its seed. Profits and losses are floats in USDT here: nothing is
decided by them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Draws of a Monte Carlo: the 99 % figure is then good to about 2 %.
PATHS = 20_000
#: Mean length in days of the blocks that a bootstrap takes out of the past.
BLOCK_DAYS = 5
#: Bounds of the degrees of freedom that are fitted to the kurtosis.
MIN_DEGREES, MAX_DEGREES = 3.0, 200.0
#: How far into the tail an expansion has to be increasing, in standard deviations.
FAR = 4.5


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """Value at risk and expected shortfall in USDT, positive for a loss."""

    value_at_risk: float
    expected_shortfall: float


def cornish_fisher(gains: Sequence[float], confidence: float) -> Tail | None:
    """The normal tail corrected for skewness and kurtosis (Cornish and Fisher, 1938).

    Returns
    -------
    Tail or None
        ``None`` where the expansion does not increase over the tail: skewness and kurtosis are
        too far from normal for it, and its figures would mean nothing.
    """
    import numpy as np

    losses = -np.asarray(gains, dtype=np.float64)
    deviation = math.sqrt(float(np.mean(losses**2))) if len(losses) else 0.0
    if deviation == 0.0:
        return Tail(value_at_risk=0.0, expected_shortfall=0.0)
    centred = losses - losses.mean()
    spread = float(np.sqrt(np.mean(centred**2)))
    if spread == 0.0:
        return None
    skew = float(np.mean(centred**3)) / spread**3
    kurt = float(np.mean(centred**4)) / spread**4 - 3.0

    def expanded(z: Floats) -> Floats:
        return (
            z
            + (z**2 - 1) * skew / 6
            + (z**3 - 3 * z) * kurt / 24
            - (2 * z**3 - 5 * z) * skew**2 / 36
        )

    normal = NormalDist()
    start = normal.inv_cdf(confidence)
    if np.any(np.diff(expanded(np.linspace(start, FAR, 200))) <= 0):
        return None
    # The mean of the quantiles beyond: midpoints of equal slices of probability.
    slices = 2000
    levels = [confidence + (1 - confidence) * (i + 0.5) / slices for i in range(slices)]
    beyond = expanded(np.array([normal.inv_cdf(level) for level in levels]))
    return Tail(
        value_at_risk=deviation * float(expanded(np.array([start]))[0]),
        expected_shortfall=deviation * float(beyond.mean()),
    )


def bootstrap(
    gains: Sequence[float],
    confidence: float,
    horizon_days: int,
    *,
    seed: int,
    paths: int = PATHS,
) -> Tail:
    """Monte Carlo out of the past: blocks of consecutive days, of geometric length.

    The stationary bootstrap of Politis and Romano (1994). All contracts move on the same day of
    the past, so whatever dependence there was between them is kept, and within a block that
    between days too.
    """
    import numpy as np

    past = np.asarray(gains, dtype=np.float64)
    if not len(past):
        return Tail(value_at_risk=0.0, expected_shortfall=0.0)
    random = np.random.default_rng(seed)
    at = random.integers(len(past), size=paths)
    total = past[at].copy()
    for _ in range(horizon_days - 1):
        fresh = random.random(paths) < 1 / BLOCK_DAYS
        at = np.where(fresh, random.integers(len(past), size=paths), (at + 1) % len(past))
        total += past[at]
    return tail_of(total, confidence)


def multivariate_t(
    notionals: Sequence[float],
    returns: Floats,
    confidence: float,
    horizon_days: int,
    *,
    seed: int,
    paths: int = PATHS,
) -> Tail:
    """Monte Carlo of jointly t-distributed returns with the covariance of the past.

    One degree of freedom for all of them, fitted to the mean excess kurtosis: extremes come
    together. Days are independent.

    Parameters
    ----------
    notionals : sequence of float
        Signed, USDT.
    returns : ndarray, shape (symbols, days)
        Daily, fractions.
    """
    import numpy as np

    weights = np.asarray(notionals, dtype=np.float64)
    if not weights.size or returns.shape[1] < 2:
        return Tail(value_at_risk=0.0, expected_shortfall=0.0)
    covariance = returns @ returns.T / returns.shape[1]
    degrees = degrees_of_freedom(returns)
    # A symmetric root: the covariance may be singular, two contracts on one coin.
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    loading = weights @ root
    random = np.random.default_rng(seed)
    total = np.zeros(paths)
    for _ in range(horizon_days):
        common = np.sqrt((degrees - 2) / random.chisquare(degrees, paths))
        total += (random.standard_normal((paths, len(loading))) @ loading) * common
    return tail_of(total, confidence)


def degrees_of_freedom(returns: Floats) -> float:
    """Degrees of a t-distribution with the mean excess kurtosis ``k`` of the rows: 4 + 6 / k."""
    import numpy as np

    centred = returns - returns.mean(axis=1, keepdims=True)
    variance = np.mean(centred**2, axis=1)
    sound = variance > 0
    if not sound.any():
        return MAX_DEGREES
    kurtosis = float(np.mean(np.mean(centred[sound] ** 4, axis=1) / variance[sound] ** 2 - 3.0))
    if kurtosis <= 6 / (MAX_DEGREES - 4):
        return MAX_DEGREES
    return max(MIN_DEGREES, 4.0 + 6.0 / kurtosis)


def tail_of(gains: Floats, confidence: float) -> Tail:
    """Tail risk of equally likely profits, defined as in :mod:`shared.risk.value_at_risk`."""
    import numpy as np

    losses = -np.sort(gains)
    tail = len(losses) * (1 - confidence)
    # A tail that is whole but for the last bit of a float is whole.
    whole = round(tail) if abs(tail - round(tail)) < 1e-6 else int(tail)
    last = float(losses[min(whole, len(losses) - 1)])
    part = max(0.0, tail - whole)
    mean = (float(losses[:whole].sum()) + part * last) / tail
    return Tail(value_at_risk=last, expected_shortfall=mean)
