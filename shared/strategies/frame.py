"""Candles with their indicators, each computed once: what strategies and models look at.

A frame answers with whole arrays (whole-history evaluation) or with the floats of one bar at the
end of a window (a live decision). In the second case every indicator is computed on exactly the
history it declares, so the cost does not grow with the window, and the value is that of the full
history within 1e-9.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache, lru_cache
from math import nan
from typing import Any

import numpy as np

from shared.errors import InvalidInput
from shared.indicators.catalogue import Number, function, indicator
from shared.indicators.history import history
from shared.market.candle import PRICE_UNITS, Columns
from shared.strategies.arithmetic import Figure, choose

#: Below this share of the price an ATR is no market: a halted symbol, not a calm one.
STILL = 1e-7

Array = np.ndarray[Any, Any]


@lru_cache(maxsize=512)
def _plan(
    name: str, on: tuple[str, ...] | None, params: tuple[tuple[str, Number], ...]
) -> tuple[Any, tuple[str, ...], int | None]:
    spec = indicator(name)
    inputs = spec.inputs if on is None else on
    if len(inputs) != len(spec.inputs):
        raise InvalidInput(f"{name} reads {len(spec.inputs)} columns, got {len(inputs)}")
    return function(name), inputs, history(name, **dict(params))


@cache
def _patterns(names: tuple[str, ...]) -> tuple[list[Any], int]:
    return [function(name) for name in names], max(history(name) or 0 for name in names)


class Frame:
    """Candles seen through their indicators.

    Parameters
    ----------
    columns : Columns
        Closed candles.
    bars : int, optional
        ``None``: figures are arrays with one value per candle. Otherwise figures are floats, and
        the frame can be asked about each of the last ``bars`` candles; see :meth:`at`.
    """

    def __init__(self, columns: Columns, bars: int | None = None) -> None:
        if bars is not None and not 0 < bars <= len(columns):
            raise InvalidInput(f"{len(columns)} bars given, {bars} asked about")
        self.columns = columns
        self._bars = bars
        self._back = 0
        self._computed: dict[Any, tuple[Array, ...]] = {}

    def at(self, back: int) -> Frame:
        """The frame of the bar ``back`` bars before the last; what is computed is shared."""
        if self._bars is None or not 0 <= back < self._bars:
            raise InvalidInput(f"the frame cannot be asked about {back} bars before its last")
        other = Frame.__new__(Frame)
        other.columns = self.columns
        other._bars = self._bars
        other._back = back
        other._computed = self._computed
        return other

    @property
    def whole(self) -> bool:
        """Whether figures are arrays with one value per candle."""
        return self._bars is None

    def past(self) -> Columns:
        """The candles up to the frame's bar, which is the last of them."""
        return self.columns.window(0, len(self.columns) - self._back)

    def kept(self, what: Hashable, make: Callable[[], Array]) -> Array:
        """What ``make`` computes of :meth:`past`, once for everybody who asks at this bar."""
        key = (what, self._back)
        computed = self._computed.get(key)
        if computed is None:
            computed = self._computed[key] = (make(),)
        return computed[0]

    def _figure(self, array: Array, lag: int) -> Figure:
        if self._bars is not None:
            place = len(array) - 1 - self._back - lag
            return float(array[place]) if place >= 0 else nan
        if lag == 0:
            return array
        lag = min(lag, len(array))
        return np.concatenate((np.full(lag, nan), array[: len(array) - lag]))

    def _source(self, name: str) -> Array:
        found: Array | None = getattr(self.columns, name, None)
        if found is None:
            raise InvalidInput(f"candles have no column {name!r}")
        return found

    def _first(self, need: int | None, lag: int) -> int:
        """Where the inputs of a function with that history begin."""
        if self._bars is None or need is None:
            return 0
        return max(0, len(self.columns) - (need + self._bars - 1 + lag))

    def column(self, name: str, lag: int = 0) -> Figure:
        """A candle column, ``lag`` bars into the past (NaN where there is none)."""
        return self._figure(self._source(name), lag)

    def indicator(
        self, name: str, *, on: tuple[str, ...] | None = None, lag: int = 0, **params: Number
    ) -> tuple[Figure, ...]:
        """Outputs of a TA-Lib function, ``lag`` bars into the past; NaN where there is none.

        ``on`` names the candle columns to compute on, the function's default ones otherwise.
        """
        key = (name, on, lag, tuple(params.items()))
        computed = self._computed.get(key)
        if computed is None:
            call, inputs, need = _plan(name, on, key[3])
            first = self._first(need, lag)
            result = call(*[self._source(column)[first:] for column in inputs], **params)
            computed = result if isinstance(result, tuple) else (result,)
            self._computed[key] = computed
        return tuple([self._figure(output, lag) for output in computed])

    def patterns(self, names: tuple[str, ...]) -> list[Figure]:
        """Candlestick functions, on prices in whole units: 100, -100 or 0 (200 if confirmed).

        TA-Lib compares bodies and shadows with running averages, and on a price grid such sizes
        tie; whole numbers make a tie the same tie whatever the first bar was.
        """
        computed = self._computed.get(names)
        if computed is None:
            calls, need = _patterns(names)
            first = self._first(need, 0)
            bars = [
                np.rint(self._source(name)[first:] * PRICE_UNITS)
                for name in ("open", "high", "low", "close")
            ]
            computed = tuple([call(*bars) for call in calls])
            self._computed[names] = computed
        return [self._figure(output, 0) for output in computed]

    def atr(self, period: int) -> Figure:
        """ATR in price units, NaN where the market stands still."""
        (atr,) = self.indicator("ATR", timeperiod=period)
        return choose(atr > self.column("close") * STILL, atr, nan)
