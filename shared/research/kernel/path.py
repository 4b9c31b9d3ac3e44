"""The price inside a bar, as :mod:`shared.simulation.path` and its timeline have it."""

from __future__ import annotations

import math

from shared.research.kernel.compiler import kernel

NEVER = 1 << 62


@kernel
def low_first(order, side, opened, close):
    """Whether the low comes before the high; ``side`` is what is held, or about to be.

    ``order`` 0: who holds meets the adverse extreme first, else by the bar's direction. 1 and 2:
    always against, always for the side.
    """
    if side != 0:
        return side < 0 if order == 2 else side > 0
    return close >= opened


@kernel
def at(ms, start, base, first_low, o, h, low, c):
    """The price at a time inside the bar that opens at ``start``."""
    third = base // 3
    one, two = (low, h) if first_low else (h, low)
    if ms >= start + base - 1:
        return c
    if ms < start + third:
        return o + (one - o) * ((ms - start) / third)
    if ms < start + 2 * third:
        return one + (two - one) * ((ms - start - third) / third)
    return two + (c - two) * ((ms - start - 2 * third) / (base - 1 - 2 * third))


@kernel
def next_anchor(ms, start, base):
    """The first anchor after ``ms`` in the bar; the bar's last one is its last millisecond."""
    third = base // 3
    if ms < start + third:
        return start + third
    if ms < start + 2 * third:
        return start + 2 * third
    return start + base - 1


@kernel
def crossing(level, falls, a, b, start, end):
    """First millisecond in ``[start, end]`` at which a straight price satisfies a level."""
    if falls:
        if a <= level:
            return start
        if b > level:
            return NEVER
    else:
        if a >= level:
            return start
        if b < level:
            return NEVER
    return min(end, start + math.ceil((level - a) / (b - a) * (end - start)))
