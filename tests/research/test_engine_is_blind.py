"""Invariant 10 for the whole backtest: what was traded does not depend on what came later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from toy_runner import HOUR
from toy_runner import market as market_of

from local.configuration import DEMONSTRATION, configuration
from shared.research.config import from_environment
from shared.research.evaluation import Job
from shared.research.result import EXIT_REASONS, Result
from shared.research.runner import BacktestRunner
from shared.research.sealed import Market, sealed
from shared.research.synthetic import synthetic_market

BARS = 3000
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def two(seed: int) -> Market:
    made = {
        **market_of(seed, BARS, "BTCUSDT", 30_000.0),
        **market_of(seed + 1, BARS, "ETHUSDT", 2_000.0),
    }
    return synthetic_market(made, seed=seed)


def closed_before(result: Result, cut: int) -> list[tuple[Any, ...]]:
    t = result.trades
    # What the end of the data closed, the rest of the data would not have.
    ended = t.exit_reason == EXIT_REASONS.index("end of data")
    rows = np.flatnonzero((t.closed_at < cut) & ~ended)
    return [
        (t.symbol[i], t.opened_at[i], t.closed_at[i], t.quantity[i], t.exit_price[i], t.net[i])
        for i in rows
    ]


@pytest.mark.parametrize("engine", ["compiled", "exact"])
def test_trades_before_the_cut_are_the_same_without_the_future(engine: str) -> None:
    whole = two(5)
    start = int(whole["BTCUSDT"].candles.open_time[0])
    begin, end = start + 700 * HOUR, start + (BARS if engine == "compiled" else 1400) * HOUR
    config = from_environment(
        {
            **configuration(DEMONSTRATION).rest,
            "TRADING_PLAN": '{"default": {"members": [{"strategy": "trend"}], "threshold": 0.3}}',
        },
        symbols=SYMBOLS,
        timeframes=("1h",),
        start_ms=begin,
        end_ms=end,
        engine=engine,
        clear_after_ms=HOUR,
    )

    def run(market: Market, until: int) -> Result:
        return next(iter(BacktestRunner(config)(market, [Job(params={}, start=begin, end=until)])))

    known = run(whole, end)
    assert len(known.trades) > 20
    for cut in (begin + 200 * HOUR, begin + 333 * HOUR, end - 137 * HOUR):
        found = run(sealed(whole, cut), cut)
        assert closed_before(found, cut) == closed_before(known, cut)
        before = known.time < cut
        assert found.equity[: before.sum()] == pytest.approx(known.equity[before], abs=1e-9)
