"""Rounding to ticks, steps and cents as exact decimals do it.

Products of decimals that lie on the grid come out of floats a hair beside it; within
:data:`TOLERANCE` of a tick they count as on it. Two figures of the application closer to a tick
than that without lying on it would round apart: one rounding in ten million.
"""

from __future__ import annotations

import math

import numpy as np

from shared.research.kernel.compiler import kernel

TOLERANCE = 1e-7


@kernel
def down(ticks):
    """The tick at or below."""
    nearest = math.floor(ticks + 0.5)
    if abs(ticks - nearest) < TOLERANCE:
        return nearest
    return math.floor(ticks)


@kernel
def up(ticks):
    """The tick at or above."""
    nearest = math.floor(ticks + 0.5)
    if abs(ticks - nearest) < TOLERANCE:
        return nearest
    return math.ceil(ticks)


@kernel
def whole_steps(steps):
    """Whole steps in a quantity."""
    nearest = math.floor(steps + 0.5)
    if abs(steps - nearest) < 1e-9 * max(1.0, nearest):
        return nearest
    return math.floor(steps)


@kernel
def cents(amount):
    """An amount on the grid of 0.00000001."""
    return np.rint(amount * 1e8) / 1e8
