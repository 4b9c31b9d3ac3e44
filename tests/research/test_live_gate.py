"""Which entries of a backtest the live gate would have refused, on trades made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from made_results import HOUR, START, daily_result, row

from shared.market.candle import Columns
from shared.market.timeframe import DAY_MS
from shared.research.config import BacktestConfig
from shared.research.live_gate import note_of, refused_live
from shared.research.past import Past
from shared.simulation.candles import CandleSource

#: Up 1 %, down 1 %, and down 10 % on four days of the year before.
MOVES = np.where(np.arange(400) % 2, 0.01, -0.01)
MOVES[[100, 150, 200, 250]] = -0.10
#: What four such days make of the tail of 365: the fourth worst is one of them.
TAIL = 0.10


def market(symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")) -> CandleSource:
    close = 1000 * np.cumprod(1 + MOVES)
    opened = np.concatenate(([1000.0], close[:-1]))
    time = START - 370 * DAY_MS + DAY_MS * np.arange(400, dtype=np.int64)
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return CandleSource(
        {s: Columns(s, "1d", time, opened, high, low, close, np.ones(400)) for s in symbols}
    )


CONFIG = BacktestConfig(
    symbols=("BTCUSDT", "ETHUSDT"), timeframes=("1d",), start_ms=START, end_ms=START + 30 * DAY_MS
)


def trade(day: float, notional: float, **other: Any) -> dict[str, Any]:
    opened = START + round(day * DAY_MS)
    fields = {"opened_at": opened, "quantity": notional / 100.0, "entry_price": 100.0, **other}
    return row(0.0, opened + 12 * HOUR, **fields)


def test_each_is_judged_beside_what_was_open() -> None:
    trades = [
        trade(1.1, 700),  # alone: 70 of 1,000 lost on a tail day, below 10 %
        trade(1.2, 400, symbol=1),  # the same bet beside it: 110
        trade(2.1, 400, symbol=1),  # the first is closed by now
        trade(3.1, 700),
        trade(3.2, 400, symbol=1, side=-1),  # a hedge
    ]
    result = daily_result([1000.0] * 30, trades)
    assert refused_live(market(), CONFIG, result) == {"value_at_risk": 1}


def test_equity_is_that_of_the_moment() -> None:
    trades = [trade(1.5, 700), trade(9.5, 700)]
    equity = [1000.0] * 5 + [600.0] * 25
    assert refused_live(market(), CONFIG, daily_result(equity, trades)).total() == 1


def test_nothing_refused_nothing_said() -> None:
    refused = refused_live(market(), CONFIG, daily_result([5000.0] * 30, [trade(1.5, 500)]))
    assert note_of(refused, 1) == []
    refused = refused_live(market(), CONFIG, daily_result([500.0] * 30, [trade(1.5, 600)]))
    (note,) = note_of(refused, 1)
    assert "1 of 1 entries" in note
    assert "value_at_risk 1" in note


def test_the_past_is_what_had_closed_and_no_more() -> None:
    past = Past(market(), CONFIG)
    known = past.at(START + 5 * DAY_MS + HOUR, ("BTCUSDT",))
    assert known.end == START + 5 * DAY_MS
    series = known.series("BTCUSDT")
    assert series is not None
    assert len(series) == 365
    # Day 374 of the market is the last that has closed.
    assert series[-1] == round(MOVES[374] * 100_000)
    assert past.at(START + 5 * DAY_MS - 1, ("BTCUSDT",)).series("BTCUSDT")[-1] == round(  # type: ignore[index]
        MOVES[373] * 100_000
    )
