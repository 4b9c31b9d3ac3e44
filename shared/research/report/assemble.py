"""What a report shows beside a result: prices, holding instead, other assumptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec
import numpy as np

from shared.market.timeframe import duration_ms
from shared.research.backtest import run
from shared.research.config import BacktestConfig
from shared.research.equity import Curve
from shared.research.market import source_of
from shared.research.report.extras import Jitter
from shared.research.result import Result
from shared.research.runner import with_params
from shared.research.sealed import Market
from shared.research.space import Params
from shared.research.statistics import Statistics, statistics

#: Name of the curve of :func:`hold`.
HOLD = "Buy and hold"


def hold(market: Market, result: Result) -> Curve:
    """Equal parts of every symbol bought at the beginning and held, without costs."""
    start = int(result.time[0] - _step(result))
    parts = []
    for symbol in result.symbols:
        candles = market[symbol].candles
        close_time = candles.open_time + duration_ms(candles.timeframe)
        at = np.searchsorted(close_time, result.time, side="right") - 1
        first = int(np.searchsorted(candles.open_time, start, side="left"))
        parts.append(candles.close[np.maximum(at, first)] / candles.open[first])
    equity = result.start_equity * np.mean(parts, axis=0)
    return Curve(
        np.concatenate(([start], result.time)), np.concatenate(([result.start_equity], equity))
    )


def _step(result: Result) -> int:
    if len(result.time) > 1:
        return int(np.min(np.diff(result.time)))
    return duration_ms(result.timeframe)


def variations(market: Market, config: BacktestConfig) -> dict[str, Statistics]:
    """The same backtest with dearer costs, and with the other orders of a bar's extremes.

    The orders are known to the compiled engine only; with the exact one they are left out.
    """
    source = source_of(market)
    others = {
        "Costs x 2": msgspec.structs.replace(config, costs=config.costs * Decimal(2)),
        "Costs x 3": msgspec.structs.replace(config, costs=config.costs * Decimal(3)),
    }
    if config.engine == "compiled":
        others["Inside a bar: always the worst first"] = msgspec.structs.replace(
            config, order="worst"
        )
        others["Inside a bar: always the best first"] = msgspec.structs.replace(
            config, order="best"
        )
    return {name: statistics(run(source, other)) for name, other in others.items()}


def jitter(
    market: Market,
    config: BacktestConfig,
    settings: Mapping[str, str],
    points: Sequence[Params],
    *,
    width: float,
) -> Jitter:
    """The backtest at points around the chosen parameters; unusable points are left out."""
    from shared.errors import ConfigurationError

    source = source_of(market)
    found = []
    for point in points:
        try:
            other = with_params(config, point, settings)
        except ConfigurationError:
            continue
        result = run(source, other)
        found.append(float(result.equity[-1] / result.start_equity - 1.0))
    return Jitter(width, found)
