"""The strategies that a configuration can name."""

from __future__ import annotations

from typing import Any

from shared.errors import ConfigurationError
from shared.strategies import breakout, candlesticks, mean_reversion, momentum, trend
from shared.strategies.strategy import Strategy

STRATEGIES: dict[str, Strategy[Any]] = {
    strategy.name: strategy
    for strategy in (
        trend.STRATEGY,
        mean_reversion.STRATEGY,
        breakout.STRATEGY,
        momentum.STRATEGY,
        candlesticks.STRATEGY,
    )
}


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
        known = ", ".join(STRATEGIES)
        raise ConfigurationError([f"unknown strategy {name!r}; use one of {known}"]) from None
