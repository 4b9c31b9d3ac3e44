"""Means over bars whose outcomes overlap, with their standard errors.

A label looks ``horizon`` bars ahead, so what came of neighbouring bars is partly the same; and
contracts move together. Rows of one bar are added up, and the sums are allowed to be correlated
over the horizon (Newey and West, "A Simple, Positive Semi-Definite, Heteroskedasticity and
Autocorrelation Consistent Covariance Matrix", Econometrica 55, 1987).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput

Array = NDArray[np.float64]


def mean_with_error(
    values: Array, bar: NDArray[np.int64], lag: int, weights: Array | None = None
) -> tuple[float, float | None]:
    """Mean of rows, and its standard error.

    Parameters
    ----------
    values : array of shape (rows,)
    bar : int64 array of shape (rows,)
        Number of the bar of each row. Bars that are missing count as gaps of that many bars.
    lag : int
        Bars over which outcomes overlap, 0 or more. The weights fall linearly to 0 behind it
        (Bartlett's kernel), which makes the variance never negative.
    weights : array of shape (rows,), optional
        0 or more; the mean is that of the rows that have weight.

    Returns
    -------
    mean : float
    error : float or None
        ``None`` where fewer than two bars have a row, or not more than ``lag``.

    Raises
    ------
    InvalidInput
        When no row has weight, or the lag is negative.
    """
    w = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    total = float(w.sum())
    if lag < 0 or total <= 0.0:
        raise InvalidInput("a mean needs rows that have weight, and a lag of 0 or more")
    mean = float((values * w).sum() / total)
    first = int(np.min(bar))
    length = int(np.max(bar)) - first + 1
    counted = len(np.unique(bar[w > 0.0]))
    if counted < 2 or counted <= lag:
        return mean, None
    # What a bar adds to the mean's deviation; bars that are not there add nothing.
    each = np.bincount(bar - first, weights=(values - mean) * w, minlength=length)
    variance = float((each * each).sum())
    for step in range(1, min(lag, length - 1) + 1):
        together = float((each[step:] * each[:-step]).sum())
        variance += 2.0 * (1.0 - step / (lag + 1.0)) * together
    return mean, float(np.sqrt(max(variance, 0.0)) / total)
