"""The strategies that a configuration can name: formulas, and the models that are there."""

from __future__ import annotations

from typing import Any

from shared.errors import ConfigurationError
from shared.strategies import (
    ai,
    breakout,
    candlesticks,
    chart_patterns,
    mean_reversion,
    momentum,
    trend,
)
from shared.strategies.strategy import Strategy

FORMULAS: tuple[Strategy[Any], ...] = (
    trend.STRATEGY,
    mean_reversion.STRATEGY,
    breakout.STRATEGY,
    momentum.STRATEGY,
    candlesticks.STRATEGY,
    chart_patterns.STRATEGY,
)

#: By name. Those of :mod:`shared.strategies.ai` are always named here and can be used where their
#: files are, see :func:`available`.
STRATEGIES = {strategy.name: strategy for strategy in (*FORMULAS, *ai.STRATEGIES)}


def available() -> list[str]:
    """Names that have all they need: no model without its files."""
    models = ai.names()
    return [name for name in STRATEGIES if name not in ai.NAMES or name in models]


def strategy(name: str) -> Strategy[Any]:
    """The strategy of that name.

    Raises
    ------
    ConfigurationError
        When there is none.
    """
    try:
        return STRATEGIES[name]
    except KeyError:
        known = ", ".join(available())
        raise ConfigurationError([f"unknown strategy {name!r}; use one of {known}"]) from None
