"""How sure a Sharpe ratio is, and what is left of it after many trials.

Ratios here are per observation, not annualised.

Sources
-------
Bailey and Lopez de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15 (2012):
probabilistic Sharpe ratio and minimum track record length. The same, "The Deflated Sharpe Ratio",
Journal of Portfolio Management 40 (2014): the ratio to expect from the best of many useless
trials.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from shared.errors import InvalidInput

_NORMAL = NormalDist()
EULER_MASCHERONI = 0.577215664901532860606512090082402431


def _deviation(sharpe: float, skewness: float, kurtosis: float) -> float:
    """Standard deviation of an estimated ratio, times the root of observations less one.

    Impossible moments (kurtosis below ``1 + skewness ** 2``) could make the square negative.
    """
    square = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if square <= 0.0:
        raise InvalidInput(
            f"skewness {skewness:g} and kurtosis {kurtosis:g} do not belong to any distribution"
        )
    return math.sqrt(square)


def probabilistic_sharpe(
    sharpe: float,
    observations: int,
    *,
    benchmark: float = 0.0,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Probability that the true ratio is above ``benchmark``.

    Parameters
    ----------
    sharpe : float
        Estimated, per observation.
    observations : int
        Returns it was estimated from, at least two.
    skewness, kurtosis : float
        Of the returns; 0 and 3 when they are normal.
    """
    if observations < 2:
        raise InvalidInput("a Sharpe ratio needs at least two returns")
    z = (sharpe - benchmark) * math.sqrt(observations - 1)
    return _NORMAL.cdf(z / _deviation(sharpe, skewness, kurtosis))


def minimum_observations(
    sharpe: float,
    *,
    benchmark: float = 0.0,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
    confidence: float = 0.95,
) -> float | None:
    """Returns needed before the ratio is above the benchmark with that confidence.

    ``None`` when it is not above the benchmark: no record is long enough.
    """
    if sharpe <= benchmark:
        return None
    z = _NORMAL.inv_cdf(confidence)
    return 1.0 + (_deviation(sharpe, skewness, kurtosis) * z / (sharpe - benchmark)) ** 2


def expected_best(trials: int, variance: float) -> float:
    """Largest ratio to expect among independent trials whose true ratio is zero.

    Parameters
    ----------
    trials : int
        Number of independent trials.
    variance : float
        Of the ratios over the trials.
    """
    if trials < 1 or variance < 0.0:
        raise InvalidInput("at least one trial and no negative variance")
    if trials == 1:
        return 0.0
    return math.sqrt(variance) * (
        (1.0 - EULER_MASCHERONI) * _NORMAL.inv_cdf(1.0 - 1.0 / trials)
        + EULER_MASCHERONI * _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    )


def deflated_sharpe(
    sharpe: float,
    observations: int,
    *,
    trials: int,
    variance: float,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Probability that the best of several trials has a true ratio above zero.

    It is the probabilistic ratio against what the luckiest of ``trials`` useless ones would show.
    """
    return probabilistic_sharpe(
        sharpe,
        observations,
        benchmark=expected_best(trials, variance),
        skewness=skewness,
        kurtosis=kurtosis,
    )
