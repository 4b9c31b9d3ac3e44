"""The same backtest under other assumptions, and what doing nothing clever would have made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from shared.research.compiled import CompiledEngine
from shared.research.config import MAX_COSTS
from shared.research.equity import Curve
from shared.research.signals import signals
from shared.research.statistics import Statistics, statistics
from shared.risk.portfolio_limits import PortfolioLimits

if TYPE_CHECKING:
    from shared.research.config import BacktestConfig
    from shared.research.result import Result
    from shared.research.signals import SignalTable
    from shared.simulation.source import MarketSource


def variations(
    source: MarketSource, config: BacktestConfig, table: SignalTable | None = None
) -> Iterator[tuple[str, Statistics]]:
    """Names and figures: costs twice and three times as high, either order of a bar's extremes.

    The spread between the last two is what the rule for the order within a bar may be worth;
    finer bars make it smaller. Favourable first is not the better one where stops trail: the stop
    has then been raised when the price comes back. Costs above what a configuration may have are
    left out.
    """
    compiled = msgspec.structs.replace(
        config,
        engine="compiled",
        portfolio_gate=False,
        limits=msgspec.structs.replace(config.limits, portfolio=PortfolioLimits()),
    )
    known = signals(source, config) if table is None else table
    dearer = [
        (f"Costs x {factor}", msgspec.structs.replace(compiled, costs=config.costs * factor))
        for factor in (2, 3)
        if config.costs * factor <= MAX_COSTS
    ]
    for name, changed in (
        *dearer,
        (
            "Inside a bar: the adverse extreme first",
            msgspec.structs.replace(compiled, order="adverse"),
        ),
        (
            "Inside a bar: the favourable extreme first",
            msgspec.structs.replace(compiled, order="favourable"),
        ),
    ):
        yield name, statistics(CompiledEngine(source, changed, known).run())


def buy_and_hold(source: MarketSource, result: Result, start_ms: int) -> Curve:
    """The deposit spread evenly over the symbols at the start and left alone, without leverage.

    Taker fees and funding are not counted: it is what spot would have made.
    """
    shares = []
    for symbol in result.symbols:
        bars = source.columns(symbol, start_ms, int(result.time[-1]))
        at = np.searchsorted(bars.open_time, result.time, side="left") - 1
        shares.append(bars.close[at] / bars.open[0])
    equity = result.start_equity * np.mean(shares, axis=0)
    return Curve(
        np.concatenate(([start_ms], result.time)),
        np.concatenate(([result.start_equity], equity)),
    )
