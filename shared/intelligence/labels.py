"""Triple-barrier labels: which trade would have paid, had one been entered after a bar.

A trade is entered at the open of the next bar. Its take lies ``take_atr`` ATR(14) of the decided
bar away, its stop ``stop_atr`` on the other side, and after ``horizon_bars`` bars it is over
(Lopez de Prado, "Advances in Financial Machine Learning", 2018, chapter 3). Both directions are
played::

    up      a long would have reached its take before its stop
    down    a short would have reached its take before its stop
    flat    neither would

Candles do not say what came first inside a bar, so the worst is taken: where a bar touches take
and stop of a trade, the stop counts. Up and down cannot both hold, because the take of the one
lies beyond the stop of the other or on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.market.candle import Columns
from shared.strategies.frame import Frame

#: Labels in the order of the models' output. ``NONE``: what came is not known, or no ATR is.
DOWN, FLAT, UP, NONE = 0, 1, 2, -1

ATR = 14


@dataclass(frozen=True)
class Barriers:
    """Where a trade ends.

    Parameters
    ----------
    take_atr, stop_atr : float
        Distances from the entry in ATR(14) of the decided bar; the take is not nearer than the
        stop.
    horizon_bars : int
        Bars a trade lasts at most, the one it is entered in included.
    """

    take_atr: float = 2.0
    stop_atr: float = 2.0
    horizon_bars: int = 24

    def __post_init__(self) -> None:
        if not 0.0 < self.stop_atr <= self.take_atr < 100.0:
            raise InvalidInput(
                f"a take of {self.take_atr:g} and a stop of {self.stop_atr:g} ATR: the stop must "
                "be above 0, the take at least as far and below 100"
            )
        if not 1 <= self.horizon_bars <= 10_000:
            raise InvalidInput(f"a horizon of {self.horizon_bars} bars; give 1 to 10000")


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of consecutive bars.

    Parameters
    ----------
    outcome : int8 array
        ``DOWN``, ``FLAT``, ``UP`` or ``NONE`` per bar.
    end : int64 array
        Place of the last bar that the label looked at; the bar itself where there is no label.
    """

    outcome: NDArray[np.int8]
    end: NDArray[np.int64]


def triple_barrier(columns: Columns, barriers: Barriers) -> Labels:
    """The label of every bar.

    Bars whose whole horizon is not there have none, also where a barrier was touched before the
    candles end: keeping only those would make the last labels more often up or down than others.
    """
    atr = np.asarray(Frame(columns).atr(ATR), dtype=np.float64)
    return outcomes(columns, atr, barriers)


def outcomes(columns: Columns, atr: NDArray[np.float64], barriers: Barriers) -> Labels:
    """Labels for distances that are given: ``atr`` in price units, NaN for no label."""
    bars, horizon = len(columns), barriers.horizon_bars
    outcome = np.full(bars, NONE, dtype=np.int8)
    end = np.arange(bars, dtype=np.int64)
    count = bars - horizon
    if count < 1:
        return Labels(outcome, end)
    entry, distance = columns.open[1 : count + 1], atr[:count]
    take, stop = barriers.take_atr * distance, barriers.stop_atr * distance
    long_take, long_stop = entry + take, entry - stop
    short_take, short_stop = entry - take, entry + stop
    # 0: still open; 1: took its profit; -1: stopped.
    long = np.zeros(count, dtype=np.int8)
    short = np.zeros(count, dtype=np.int8)
    looked = np.full(count, horizon, dtype=np.int64)
    for ahead in range(1, horizon + 1):
        high = columns.high[ahead : ahead + count]
        low = columns.low[ahead : ahead + count]
        was_open = (long == 0) | (short == 0)
        _settle(long, low <= long_stop, high >= long_take)
        _settle(short, high >= short_stop, low <= short_take)
        looked[was_open & (long != 0) & (short != 0)] = ahead
    known = np.isfinite(distance)
    label = np.where(long == 1, UP, np.where(short == 1, DOWN, FLAT))
    outcome[:count] = np.where(known, label, NONE)
    end[:count] = np.where(known, end[:count] + looked, end[:count])
    return Labels(outcome, end)


def _settle(trade: NDArray[np.int8], stopped: NDArray[np.bool_], took: NDArray[np.bool_]) -> None:
    """Close what is open; where both were touched, the stop has the last word."""
    still = trade == 0
    trade[still & took] = 1
    trade[still & stopped] = -1
