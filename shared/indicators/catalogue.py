"""Every function of the installed TA-Lib, described by the library itself.

Nothing here lists functions: names, groups, inputs, parameters and outputs come from TA-Lib's
own tables, so a newer library brings its functions with it. What those tables cannot say, how
much history a value needs, is in :mod:`shared.indicators.history`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from shared.errors import InvalidInput
from shared.indicators.library import talib

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shared.market.candle import Columns

    Array = NDArray[Any]
    #: Candles, or anything that has arrays by column name.
    Source = Columns | Mapping[str, NDArray[np.float64]]
    #: What to compute on instead of the default columns: names or arrays, one per input.
    Inputs = Sequence[str | NDArray[np.float64]]

Number = int | float
CANDLE_COLUMNS = ("open", "high", "low", "close", "volume")


class Indicator(msgspec.Struct, frozen=True, kw_only=True):
    """One TA-Lib function.

    ``inputs`` are the columns it reads by default, in the order of its arguments; ``parameters``
    its parameters with TA-Lib's defaults; ``path_dependent`` what TA-Lib says of its output.
    """

    name: str
    group: str
    title: str
    inputs: tuple[str, ...]
    parameters: dict[str, Number]
    outputs: tuple[str, ...]
    path_dependent: bool
    unstable_period: bool

    def bound(self, params: Mapping[str, Number]) -> dict[str, Number]:
        """All parameters: the defaults, overridden by ``params``.

        Raises
        ------
        InvalidInput
            For a parameter the function does not have.
        """
        unknown = sorted(set(params) - set(self.parameters))
        if unknown:
            known = ", ".join(self.parameters) or "none"
            raise InvalidInput(f"{self.name} has no parameter {', '.join(unknown)}; it has {known}")
        return {**self.parameters, **params}


def _flat(input_names: Mapping[str, str | Sequence[str]]) -> tuple[str, ...]:
    names: list[str] = []
    for value in input_names.values():
        names.extend([value] if isinstance(value, str) else value)
    return tuple(names)


@cache
def catalogue() -> dict[str, Indicator]:
    """All functions by name, in TA-Lib's order."""
    library = talib()
    found = {}
    for name in library.get_functions():
        info = library.abstract.Function(name).info
        flags = info["function_flags"] or []
        found[name] = Indicator(
            name=name,
            group=info["group"],
            title=info["display_name"],
            inputs=_flat(info["input_names"]),
            parameters=dict(info["parameters"]),
            outputs=tuple(info["output_names"]),
            path_dependent="Output is path-dependent" in flags,
            unstable_period="Function has an unstable period" in flags,
        )
    return found


def indicator(name: str) -> Indicator:
    """The description of one function.

    Raises
    ------
    InvalidInput
        When the installed TA-Lib has no function of that name.
    """
    try:
        return catalogue()[name]
    except KeyError:
        raise InvalidInput(f"TA-Lib has no function {name!r}") from None


@lru_cache(maxsize=1024)
def _lookback(name: str, items: tuple[tuple[str, Number], ...]) -> int:
    try:
        bars = int(talib().abstract.Function(name, **dict(items)).lookback)
    except Exception as error:  # TA-Lib's wrapper raises bare Exception
        raise InvalidInput(f"{name}: {error} (parameters {dict(items)})") from error
    if bars < 0:  # TA-Lib's answer to a parameter outside its range
        raise InvalidInput(f"{name}: a parameter is outside its range: {dict(items)}")
    return bars


def lookback(name: str, **params: Number) -> int:
    """Number of leading bars without a value, as TA-Lib states it.

    Raises
    ------
    InvalidInput
        For an unknown function or parameter, or a value outside the allowed range.
    """
    return _lookback(name, tuple(indicator(name).bound(params).items()))


def inputs_of(
    spec: Indicator, source: Source, on: Inputs | None, params: Mapping[str, Number]
) -> list[Array]:
    """The arrays the function reads, in the order of its arguments."""
    import numpy as np

    wanted: Inputs = spec.inputs if on is None else on
    if len(wanted) != len(spec.inputs):
        raise InvalidInput(
            f"{spec.name} reads {len(spec.inputs)} columns ({', '.join(spec.inputs)}), "
            f"got {len(wanted)}"
        )
    arrays: list[Array] = []
    for item in wanted:
        if not isinstance(item, str):
            arrays.append(item)
            continue
        column = source.get(item) if isinstance(source, Mapping) else getattr(source, item, None)
        if column is None and item == "periods":
            # MAVP's period per bar is not market data; without one it is MA(maxperiod).
            column = np.full(len(arrays[0]), float(params.get("maxperiod", 30)))
        if column is None:
            raise InvalidInput(f"{spec.name} reads the column {item!r}, which is not there")
        arrays.append(column)
    return arrays


@cache
def function(name: str) -> Callable[..., Any]:
    """TA-Lib's own array function, unchecked: for code that calls it many times."""
    indicator(name)
    call = getattr(talib(), name)
    # Where pandas was loaded before TA-Lib, each function is wrapped to look for Series.
    return getattr(call, "__wrapped__", call)  # type: ignore[no-any-return]


def columns(
    name: str, source: Source, *, on: Inputs | None = None, **params: Number
) -> dict[str, Array]:
    """Whole columns of one function: output name -> array as long as the input.

    Parameters
    ----------
    name : str
        TA-Lib's name, ``"EMA"``.
    source : Columns or mapping of arrays
        Where the inputs are. Bars before the first full window are NaN (0 in integer outputs).
    on : sequence of column names or arrays, optional
        What to compute on instead of the function's default columns, one per input.
    **params
        TA-Lib's parameters; its defaults where not given.

    Raises
    ------
    InvalidInput
        Unknown function, parameter or column, a parameter outside its range, or arrays of
        different length or type.
    """
    spec = indicator(name)
    spec.bound(params)
    arrays = inputs_of(spec, source, on, params)
    try:
        result = function(name)(*arrays, **params)
    except InvalidInput:
        raise
    except Exception as error:  # TA-Lib's wrapper raises bare Exception
        raise InvalidInput(f"{name}: {error}") from error
    values = result if isinstance(result, tuple) else (result,)
    return dict(zip(spec.outputs, values, strict=True))
