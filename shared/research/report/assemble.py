"""What a report shows beside a result: prices, holding instead, other assumptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from shared.research.statistics import Statistics
from shared.research.variations import buy_and_hold
from shared.research.variations import variations as varied

#: Name of the curve of :func:`hold`.
HOLD = "Buy and hold"


def hold(market: Market, result: Result) -> Curve:
    """Equal parts of every symbol bought at the beginning and held, without costs."""
    step = int(np.min(np.diff(result.time))) if len(result.time) > 1 else 0
    start = int(result.time[0]) - (step or duration_ms(result.timeframe))
    return buy_and_hold(source_of(market), result, start)


def variations(market: Market, config: BacktestConfig) -> dict[str, Statistics]:
    """The same backtest with dearer costs, and with the other orders of a bar's extremes."""
    return dict(varied(source_of(market), config))


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
