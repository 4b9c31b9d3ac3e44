"""The past of a backtest's contracts as the live gate would have seen it, day by day."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from shared.market.timeframe import DAY_MS
from shared.research.market import history as candles
from shared.research.prepared import prepared
from shared.risk.history import HISTORY_DAYS, UNIT, MarketHistory, history

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shared.research.config import BacktestConfig
    from shared.simulation.source import MarketSource

_Series = tuple["NDArray[np.int64]", tuple[int, ...]]


class Past:
    """Daily returns of every contract of a backtest.

    Parameters
    ----------
    source : MarketSource
    config : BacktestConfig
    """

    def __init__(self, source: MarketSource, config: BacktestConfig) -> None:
        span = (config.symbols, config.start_ms, config.end_ms)
        self._series: dict[str, _Series] = prepared(
            source, "past", span, lambda: {s: _returns(source, s, config) for s in config.symbols}
        )
        self._known: tuple[tuple[int, tuple[str, ...]], MarketHistory] | None = None

    def at(self, now: int, symbols: Iterable[str]) -> MarketHistory:
        """What was known at a moment, UTC milliseconds."""
        key = (now // DAY_MS, tuple(sorted(set(symbols))))
        if self._known is not None and self._known[0] == key:
            return self._known[1]
        found: dict[str, tuple[int, tuple[int, ...]]] = {}
        for symbol in key[1]:
            closed, returns = self._series[symbol]
            count = int(np.searchsorted(closed, now, side="right"))
            if count:
                past = returns[max(0, count - HISTORY_DAYS) : count]
                found[symbol] = (int(closed[count - 1]), past)
        made = history(found)
        self._known = (key, made)
        return made


def _returns(source: MarketSource, symbol: str, config: BacktestConfig) -> _Series:
    """When each day closed, and its return; of the unbroken days that lead up to the end."""
    first = config.start_ms - (HISTORY_DAYS + 2) * DAY_MS
    days = candles(source, symbol, "1d", first, config.end_ms)
    apart = np.flatnonzero(np.diff(days.open_time) != DAY_MS)
    begin = int(apart[-1]) + 1 if len(apart) else 0
    close = days.close[begin:]
    moves = np.rint((close[1:] / close[:-1] - 1) * UNIT).astype(np.int64)
    return days.open_time[begin + 1 :] + DAY_MS, tuple(moves.tolist())
