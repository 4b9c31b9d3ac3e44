"""All bars of a frame as the features read them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.indicators.catalogue import Number
from shared.indicators.history import history
from shared.market.candle import Columns
from shared.strategies.frame import Frame

Array = NDArray[np.float64]

#: ATR as a share of the price from which a market moves (fully, and at all).
MOVES, STILL = 1e-5, 1e-6
ATR = 14


class Bars(Frame):
    """All bars of a frame, with what the features need beside indicators.

    Parameters
    ----------
    columns : Columns
    """

    def __init__(self, columns: Columns) -> None:
        super().__init__(columns)
        self._atrs: dict[tuple[int, int], Array] = {}

    def column(self, name: str, lag: int = 0) -> Array:
        found: Array = super().column(name, lag)
        return found

    def atr_above_none(self, period: int = ATR, lag: int = 0) -> Array:
        """ATR in price units, at least what a market that stands still would have."""
        found = self._atrs.get((period, lag))
        if found is None:
            (atr,) = self.indicator("ATR", timeperiod=period, lag=lag)
            found = np.maximum(atr, self.column("close", lag) * STILL)
            self._atrs[period, lag] = found
        return found

    def moving(self) -> Array:
        """0 where the market stands still, 1 where it moves."""
        (atr,) = self.indicator("ATR", timeperiod=ATR)
        share: Array = (atr / self.column("close") - STILL) / (MOVES - STILL)
        return np.clip(share, 0.0, 1.0)

    def windows(self, values: Array, bars: int) -> Array:
        """The last ``bars`` values at every bar as rows; NaN where there are fewer."""
        padded = np.concatenate((np.full(bars - 1, np.nan), values))
        rows: Array = np.lib.stride_tricks.sliding_window_view(padded, bars)
        return rows


class Asked(Bars):
    """Notes how many bars what it is asked for reads."""

    reads = 1

    def _note(self, bars: int | None, lag: int = 0) -> None:
        if bars is None:
            raise InvalidInput("a feature cannot use what needs every bar since the first")
        self.reads = max(self.reads, bars + lag)

    def column(self, name: str, lag: int = 0) -> Array:
        self._note(1, lag)
        return super().column(name, lag)

    def indicator(
        self, name: str, *, on: tuple[str, ...] | None = None, lag: int = 0, **params: Number
    ) -> tuple[Array, ...]:
        self._note(history(name, **params), lag)
        return super().indicator(name, on=on, lag=lag, **params)

    def patterns(self, names: tuple[str, ...]) -> list[Array]:
        for name in names:
            self._note(history(name))
        return super().patterns(names)

    def windows(self, values: Array, bars: int) -> Array:
        self._note(bars)
        return super().windows(values, bars)
