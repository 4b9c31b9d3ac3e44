"""Other markets of the same kind: the record's own bars, redrawn in blocks, for whole backtests.

Every symbol gets the same order, so that what moved together still does. Inside a block nothing
changes; across blocks the market has no memory. What a strategy earns on such markets it owes to
patterns shorter than a block, and the spread of its results is what luck of history is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.market.candle import Columns
from shared.market.files import SymbolMarket
from shared.market.timeframe import DAY_MS, duration_ms
from shared.research.backtest import run
from shared.research.config import BacktestConfig
from shared.research.equity import curve, deepest
from shared.research.market import source_of
from shared.research.montecarlo import stationary
from shared.research.reorder import reordered
from shared.research.sealed import Market
from shared.simulation.contracts import DEFAULT_CONTRACTS, Contract

#: Mean length of a block in days: moves of some days stay whole, trends of months do not.
BLOCK_DAYS = 5.0


@dataclass(frozen=True, eq=False)
class Redrawn:
    """Backtests on synthetic markets.

    Attributes
    ----------
    block_days : float
        Mean length of the blocks.
    returns, drawdowns : sequence of float
        Total return and deepest drawdown on each market, fractions.
    """

    block_days: float
    returns: Sequence[float]
    drawdowns: Sequence[float]


def synthetic_market(
    market: Market,
    *,
    seed: int,
    block_days: float = BLOCK_DAYS,
    contracts: Mapping[str, Contract] = DEFAULT_CONTRACTS,
) -> dict[str, SymbolMarket]:
    """One market redrawn by the stationary bootstrap.

    Prices lie on the contracts' ticks. Mark prices are those of the contract; funding stays what
    it was at its time.

    Raises
    ------
    InvalidInput
        When the symbols have no bars in common, or a block is shorter than a bar.
    """
    bars = _common({s: one.candles for s, one in market.items()})
    any_bars = next(iter(bars.values()))
    mean = block_days * DAY_MS / duration_ms(any_bars.timeframe)
    if mean < 1.0:
        raise InvalidInput(f"blocks of {block_days:g} days are shorter than one bar")
    rng = np.random.default_rng(seed)
    order = stationary(rng, 1, len(any_bars) - 1, mean)[0] + 1
    return {
        symbol: _redrawn(market[symbol], bars[symbol], order, contracts[symbol].tick)
        for symbol in market
    }


def on_synthetic_markets(
    market: Market,
    config: BacktestConfig,
    count: int,
    *,
    seed: int = 7,
    block_days: float = BLOCK_DAYS,
) -> Redrawn:
    """The backtest on so many synthetic markets."""
    gains, falls = [], []
    for number in range(count):
        other = synthetic_market(
            market, seed=seed + number, block_days=block_days, contracts=config.contracts()
        )
        result = run(source_of(other), config)
        gains.append(float(result.equity[-1] / result.start_equity - 1.0))
        falls.append(deepest(curve(result)).depth)
    return Redrawn(block_days, gains, falls)


def _common(candles: dict[str, Columns]) -> dict[str, Columns]:
    """The span that all symbols have."""
    first = max(int(c.open_time[0]) for c in candles.values())
    last = min(int(c.open_time[-1]) for c in candles.values())
    if last - first < 10 * duration_ms(next(iter(candles.values())).timeframe):
        raise InvalidInput("the symbols have no bars in common to redraw")
    return {
        symbol: c.window(
            int(np.searchsorted(c.open_time, first)),
            int(np.searchsorted(c.open_time, last, side="right")),
        )
        for symbol, c in candles.items()
    }


def _redrawn(
    one: SymbolMarket, bars: Columns, order: NDArray[np.int64], tick: float
) -> SymbolMarket:
    made = reordered(bars, order)

    def on_ticks(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.maximum(np.round(np.round(values / tick) * tick, 10), tick))

    candles = Columns(
        made.symbol,
        made.timeframe,
        made.open_time,
        on_ticks(made.open),
        on_ticks(made.high),
        on_ticks(made.low),
        on_ticks(made.close),
        made.volume,
    )
    return SymbolMarket(
        symbol=one.symbol,
        candles=candles,
        start_ms=max(one.start_ms, int(made.open_time[0])),
        end_ms=int(made.open_time[-1]) + duration_ms(made.timeframe),
        longer=one.longer,
        mark=None,
        funding=one.funding,
    )
