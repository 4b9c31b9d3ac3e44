"""Whether what a search wants to vary can be varied: asked before the first trial, not after all.

Parameters that cannot be used together make a failed trial, which is told with the results. A name
that there is not, or of which no value fits anywhere in the space, is a mistake and refused.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from shared.errors import ConfigurationError
from shared.research.runner import with_params
from shared.research.space import MAX_GRID, Parameter, Params, Space, Value

if TYPE_CHECKING:
    from shared.research.config import BacktestConfig

#: Where in a signal configuration a problem is.
_PLACE = re.compile(r"^(default|timeframes\.\w+|symbols\.\w+\.\w+): ")
#: Values of one parameter that are tried; of longer lists so many, evenly apart.
MAX_VALUES = 1_000
#: Points of the space that a value is tried in.
MAX_TRIES = 200


def check_fit(
    config: BacktestConfig, space: Space, settings: Mapping[str, str], *, every: bool = False
) -> None:
    """Try the names and values of a space on a configuration.

    Parameters
    ----------
    every : bool
        Every value has to fit; otherwise one of each parameter is enough.

    Raises
    ------
    ConfigurationError
        For the first parameter whose value fits neither the configuration nor any point tried.
    """
    for parameter in space.parameters:
        first: ConfigurationError | None = None
        for value in _values(parameter):
            wrong = _misfit(config, parameter.name, value, space, settings)
            if wrong is not None and every:
                raise wrong
            if wrong is None and not every:
                first = None
                break
            first = first or wrong
        if first is not None:
            raise first


def _values(parameter: Parameter) -> list[Value]:
    if parameter.continuous:
        return [parameter.low, parameter.high]
    places = np.linspace(0, len(parameter.values) - 1, min(len(parameter.values), MAX_VALUES))
    return [parameter.values[int(i)] for i in places]


def _misfit(
    config: BacktestConfig, name: str, value: Value, space: Space, settings: Mapping[str, str]
) -> ConfigurationError | None:
    """Why a value fits nowhere; ``None`` when it fits."""
    wrong = _problem(config, {name: value}, settings)
    if wrong is None:
        return None
    if any(_problem(config, p, settings) is None for p in _points_with(space, name, value)):
        return None
    # The same of every time frame is told once, without the place.
    told = dict.fromkeys(_PLACE.sub("", text) for text in wrong.problems)
    return ConfigurationError([f"{name}={value}: {text}" for text in told])


def _problem(
    config: BacktestConfig, params: Params, settings: Mapping[str, str]
) -> ConfigurationError | None:
    try:
        with_params(config, params, settings)
    except ConfigurationError as error:
        return error
    return None


def _points_with(space: Space, name: str, value: Value) -> Iterator[Params]:
    """Points of the space with that value: the first of a grid, and some drawn."""
    if space.size is not None and space.size <= MAX_GRID:
        yield from itertools.islice((p for p in space.grid() if p[name] == value), MAX_TRIES)
    rng = np.random.default_rng(7)
    for _ in range(MAX_TRIES):
        yield {p.name: value if p.name == name else _drawn(p, rng) for p in space.parameters}


def _drawn(parameter: Parameter, rng: np.random.Generator) -> Value:
    if parameter.continuous:
        return float(rng.uniform(parameter.low, parameter.high))
    return parameter.values[int(rng.integers(len(parameter.values)))]
