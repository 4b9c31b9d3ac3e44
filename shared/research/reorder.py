"""Candles in another order: the same bars, the same sizes and wicks, another history.

Every bar is taken relative to the close before it, so that bars in any order join into prices
without jumps that were not in the record (gaps between bars stay what they were).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.market.candle import Columns

_PRICES = ("open", "high", "low", "close")


def reordered(columns: Columns, order: NDArray[np.int64]) -> Columns:
    """The bars ``order`` of a history, one after the other, at the times of its first bars.

    Parameters
    ----------
    order : int64 array
        Places of bars, each at least 1 (the first bar has no close before it); any length up to
        one less than the bars, repetitions allowed.

    Returns
    -------
    Columns
        The first bar as it is, then ``len(order)`` bars.
    """
    before = columns.close[:-1]
    ratio = columns.close[order] / before[order - 1]
    close = columns.close[0] * np.cumprod(ratio)
    base = np.concatenate((columns.close[:1], close[:-1])) / before[order - 1]
    prices = {
        name: np.concatenate((getattr(columns, name)[:1], getattr(columns, name)[order] * base))
        for name in _PRICES[:3]
    }
    close = np.concatenate((columns.close[:1], close))
    # The products differ in the last digit: a high stays the highest.
    prices["high"] = np.maximum(prices["high"], np.maximum(prices["open"], close))
    prices["low"] = np.minimum(prices["low"], np.minimum(prices["open"], close))
    return Columns(
        columns.symbol,
        columns.timeframe,
        columns.open_time[: len(order) + 1],
        prices["open"],
        prices["high"],
        prices["low"],
        close,
        np.concatenate((columns.volume[:1], columns.volume[order])),
    )


def joined(before: Columns, after: Columns) -> Columns:
    """Two runs of bars that follow each other as one."""
    return Columns(
        before.symbol,
        before.timeframe,
        *(
            np.concatenate((getattr(before, name), getattr(after, name)))
            for name in ("open_time", *_PRICES, "volume")
        ),
    )
