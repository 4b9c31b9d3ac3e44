"""Incremental indicators: opened on history, then one closed bar in, one value out, in O(1).

TA-Lib's own stream handles do the work; their values equal the column functions bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from shared.errors import InvalidInput, MarketDataError
from shared.indicators.catalogue import (
    CANDLE_COLUMNS,
    Indicator,
    Number,
    indicator,
    inputs_of,
)
from shared.indicators.library import talib

if TYPE_CHECKING:
    from shared.indicators.catalogue import Source
    from shared.market.candle import Candle

Values = tuple[float, ...]


def _checked(bar: Candle) -> tuple[float, float, float, float, float]:
    row = (bar.open, bar.high, bar.low, bar.close, bar.volume)
    if not isfinite(sum(row)):
        raise MarketDataError(
            f"{bar.symbol} {bar.timeframe} {bar.open_time}: a value is not finite"
        )
    return row


class _Slot:
    """One opened TA-Lib stream and where in the bar its inputs are."""

    __slots__ = ("constants", "picks", "spec", "stream")

    def __init__(
        self, name: str, source: Source, on: Sequence[str] | None, params: Mapping[str, Number]
    ) -> None:
        self.spec: Indicator = indicator(name)
        bound = self.spec.bound(params)
        wanted = self.spec.inputs if on is None else tuple(on)
        arrays = inputs_of(self.spec, source, on, bound)
        self.picks: list[int] = []
        self.constants: tuple[float, ...] = ()
        for column in wanted:
            if column in CANDLE_COLUMNS:
                self.picks.append(CANDLE_COLUMNS.index(column))
            elif column == "periods" and on is None:
                self.constants = (float(bound["maxperiod"]),)
            else:
                raise InvalidInput(f"{name}: a bar has no column {column!r}")
        library = talib()
        try:
            self.stream: Any = getattr(library.stream, name)(*arrays, **params)
        except library.InsufficientHistory as error:
            raise InvalidInput(
                f"{name}: {len(arrays[0])} bars are too few to open on ({error})"
            ) from error
        except Exception as error:  # TA-Lib's wrapper raises bare Exception
            raise InvalidInput(f"{name}: {error}") from error

    def answers(self, value: Any) -> Values:
        return value if isinstance(value, tuple) else (value,)


class Handle:
    """One indicator that moves forward bar by bar."""

    def __init__(self, slot: _Slot) -> None:
        self._slot = slot

    @property
    def name(self) -> str:
        return self._slot.spec.name

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values, in their order."""
        return self._slot.spec.outputs

    @property
    def values(self) -> Values:
        """The values at the last closed bar."""
        return self._slot.answers(self._slot.stream.value)

    def update(self, bar: Candle) -> Values:
        """Take a closed bar.

        Raises
        ------
        MarketDataError
            When a value of the bar is not finite; the handle is unchanged.
        """
        return self._ask(self._slot.stream.update, bar)

    def peek(self, bar: Candle) -> Values:
        """What :meth:`update` would answer for a bar that is still forming; nothing changes."""
        return self._ask(self._slot.stream.peek, bar)

    def _ask(self, method: Callable[..., Any], bar: Candle) -> Values:
        row = _checked(bar)
        slot = self._slot
        return slot.answers(method(*[row[i] for i in slot.picks], *slot.constants))


def handle(
    name: str, source: Source, *, on: Sequence[str] | None = None, **params: Number
) -> Handle:
    """Open an incremental handle on past bars; parameters as :func:`catalogue.columns`.

    Raises
    ------
    InvalidInput
        As for columns, or when there are fewer bars than the first value needs.
    """
    return Handle(_Slot(name, source, on, params))


class Panel:
    """Many handles that take every bar together.

    Handles with the same inputs are called in one run, which keeps a bar for all functions of
    TA-Lib well below 100 microseconds.

    Parameters
    ----------
    source : Columns or mapping of arrays
        The past bars.
    wanted : iterable of (name, params)
        What to compute; TA-Lib's default columns.
    """

    def __init__(self, source: Source, wanted: Iterable[tuple[str, Mapping[str, Number]]]) -> None:
        slots = [_Slot(name, source, None, params) for name, params in wanted]
        groups: dict[tuple[tuple[int, ...], tuple[float, ...]], list[_Slot]] = {}
        for slot in slots:
            groups.setdefault((tuple(slot.picks), slot.constants), []).append(slot)
        self._groups = [
            (picks, constants, [s.stream.update for s in members])
            for (picks, constants), members in groups.items()
        ]
        self._order = [slot for members in groups.values() for slot in members]
        self._latest: list[Any] = [slot.stream.value for slot in self._order]

    def __len__(self) -> int:
        return len(self._order)

    def update(self, bar: Candle) -> None:
        """Take a closed bar.

        Raises
        ------
        MarketDataError
            When a value of the bar is not finite; no handle is changed.
        """
        row = _checked(bar)
        latest: list[Any] = []
        for picks, constants, updates in self._groups:
            inputs = (*[row[i] for i in picks], *constants)
            latest += [update(*inputs) for update in updates]
        self._latest = latest

    def values(self) -> dict[str, Values]:
        """Values at the last bar by function; a function wanted twice keeps its last entry."""
        return {
            slot.spec.name: slot.answers(value)
            for slot, value in zip(self._order, self._latest, strict=True)
        }


__all__ = ["Handle", "Panel", "handle"]
