"""Vote formulas on one bar or on all: the same expression on a float and on an array.

A live decision asks about one bar, where arrays of length one would cost ten times the
arithmetic. ``+ - * /`` are the same IEEE operations either way; what differs between Python and
numpy (NaN in comparisons, division by zero, choosing) is here, equal for both.
"""

from __future__ import annotations

from math import isnan, nan
from typing import Any

import numpy as np

#: A float64 array with one value per bar, or the value of one bar as a float.
Figure = Any


def lesser(a: Figure, b: Figure) -> Figure:
    """The smaller one; NaN if either is."""
    if isinstance(a, float) and isinstance(b, float):
        return a if a <= b or isnan(a) else b
    return np.minimum(a, b)


def greater(a: Figure, b: Figure) -> Figure:
    """The larger one; NaN if either is."""
    if isinstance(a, float) and isinstance(b, float):
        return a if a >= b or isnan(a) else b
    return np.maximum(a, b)


def ratio(a: Figure, b: Figure) -> Figure:
    """``a / b`` where ``b`` is positive, NaN elsewhere."""
    if isinstance(b, float):
        return a / b if b > 0.0 else nan
    out = np.full(len(b), nan)
    np.divide(a, b, out=out, where=b > 0.0)
    return out


def choose(condition: Any, a: Figure, b: Figure) -> Figure:
    """``a`` where the condition holds, else ``b``."""
    if isinstance(condition, bool):
        return a if condition else b
    return np.where(condition, a, b)


def ramp(x: Figure, low: float, high: float) -> Figure:
    """0 at ``low``, 1 at ``high``, straight between; ``low > high`` ramps downward."""
    return lesser(greater((x - low) / (high - low), 0.0), 1.0)


def clip(x: Figure) -> Figure:
    """Limited to [-1, 1]."""
    return lesser(greater(x, -1.0), 1.0)


def sign(x: Figure) -> Figure:
    """-1.0, 0.0 or 1.0; NaN stays."""
    if isinstance(x, float):
        return x if isnan(x) else float((x > 0.0) - (x < 0.0))
    return np.sign(x)
