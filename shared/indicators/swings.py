"""Swing highs and lows: a zigzag whose reversals are counted in average true ranges.

A swing high is the highest price since the last swing low, and it is known at the bar whose low
lies a reversal below it; the mirror image for lows. Everything is computed in whole price units
(1e-8), where sums and comparisons are exact, so two runs that begin at the same bar find the same
swings whatever else they hold.

A bar that makes a new extreme does not also reverse: what came first inside it is not known. The
extreme that the first reversal ends is no swing, since what went before it was not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.market.candle import PRICE_UNITS

if TYPE_CHECKING:
    from shared.market.candle import Column, Columns

Units = NDArray[np.int64]


class Swing(NamedTuple):
    """A turning point.

    ``bar`` is the place of the extreme and ``known`` that of the bar at whose close it is known;
    ``price`` is in whole units, ``high`` says which kind it is.
    """

    bar: int
    price: int
    high: bool
    known: int


def whole(prices: Column) -> Units:
    """Prices in whole units of 1e-8."""
    return np.rint(prices * PRICE_UNITS).astype(np.int64)


def mean_true_range(columns: Columns, bars: int) -> NDArray[np.float64]:
    """Mean true range of the last ``bars`` bars in price units of 1e-8; NaN where there are fewer.

    Not Wilder's average: that remembers every bar since the first, this one is exact in a window.
    """
    high, low, close = whole(columns.high), whole(columns.low), whole(columns.close)
    span = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    found = np.full(len(columns), np.nan)
    if len(span) >= bars:
        total = np.concatenate((np.zeros(1, np.int64), np.cumsum(span)))
        found[bars:] = (total[bars:] - total[:-bars]) / float(bars)
    return found


def swings(high: Sequence[int], low: Sequence[int], reversal: Sequence[int]) -> list[Swing]:
    """Swings of consecutive bars, alternately high and low, in the order they become known.

    Parameters
    ----------
    high, low : sequence of int
        In whole units.
    reversal : sequence of int
        Distance from the extreme that ends a leg, at every bar, in whole units, above 0.
    """
    first = _first_leg(high, low, reversal)
    if first is None:
        return []
    origin, at, rising = first
    extreme = _extreme(high if rising else low, origin + 1, at, rising)
    found: list[Swing] = []
    for i in range(at + 1, len(high)):
        if rising:
            if high[i] > high[extreme]:
                extreme = i
                continue
            turned = high[extreme] - low[i] >= reversal[i]
        else:
            if low[i] < low[extreme]:
                extreme = i
                continue
            turned = high[i] - low[extreme] >= reversal[i]
        if turned:
            price = high[extreme] if rising else low[extreme]
            found.append(Swing(extreme, price, rising, i))
            rising = not rising
            extreme = _extreme(high if rising else low, extreme + 1, i, rising)
    return found


def _first_leg(
    high: Sequence[int], low: Sequence[int], reversal: Sequence[int]
) -> tuple[int, int, bool] | None:
    """Where the first leg begins, the bar at which it is known, and whether it rises."""
    top = bottom = 0
    for i in range(1, len(high)):
        if high[i] > high[top]:
            top = i
        if low[i] < low[bottom]:
            bottom = i
        fell = top < i and high[top] - low[i] >= reversal[i]
        rose = bottom < i and high[i] - low[bottom] >= reversal[i]
        if fell != rose:
            return (bottom if rose else top), i, rose
    return None


def _extreme(prices: Sequence[int], start: int, stop: int, highest: bool) -> int:
    """The first place of the highest or lowest price among bars ``start`` to ``stop``."""
    best = start
    for i in range(start + 1, stop + 1):
        if prices[i] > prices[best] if highest else prices[i] < prices[best]:
            best = i
    return best
