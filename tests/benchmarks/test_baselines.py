"""Baselines against sums done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.baselines import (
    FEE,
    SLIPPAGE,
    Baseline,
    baseline,
    by_year,
    drawdown,
    hold,
    momentum,
    sma_cross,
)
from shared.market.candle import Columns
from shared.market.files import Funding, SymbolMarket
from shared.market.timeframe import DAY_MS

#: 2024-01-01, a Monday.
MONDAY = 1_704_067_200_000
COST = FEE + SLIPPAGE


def market(close: list[float], funding: list[tuple[int, float]] | None = None) -> SymbolMarket:
    c = np.array(close)
    opened = np.append(c[0], c[:-1])
    time = MONDAY + np.arange(len(c), dtype=np.int64) * DAY_MS
    candles = Columns("X", "1d", time, opened, np.maximum(opened, c), np.minimum(opened, c), c, c)
    rates = None
    if funding:
        rates = Funding(
            np.array([t for t, _ in funding], dtype=np.int64), np.array([r for _, r in funding])
        )
    return SymbolMarket("X", candles, MONDAY, MONDAY + len(c) * DAY_MS, {}, None, rates)


def test_buy_and_hold_earns_the_move_less_one_entry_and_funding() -> None:
    # From the close of the first day: 100 -> 110 -> 99, half a per mille of funding on the second.
    one = market([100, 110, 99], [(MONDAY + 2 * DAY_MS + DAY_MS // 2, 0.0005)])
    found = baseline({"X": one}, hold, MONDAY + DAY_MS, MONDAY + 3 * DAY_MS, 1000.0)
    assert found.profit.tolist() == pytest.approx([100 - 1000 * COST, -100 - 0.5])


def test_momentum_decides_at_the_end_of_sunday_only() -> None:
    time = MONDAY + (np.arange(60, dtype=np.int64) + 1) * DAY_MS
    close = np.concatenate((np.linspace(100, 200, 40), np.linspace(190, 10, 20)))
    side = momentum(close, time)
    # Day 27 is the fourth Sunday; 28 days of history are there one day later, so day 34 is first.
    assert side[:34].tolist() == [0.0] * 34
    assert side[34:48].tolist() == [1.0] * 14
    # On Sunday, day 48, the price is lower than on day 20 for the first time on a Sunday.
    assert close[48] < close[20]
    assert side[48] == -1.0
    assert (np.flatnonzero(np.diff(side)) + 1).tolist() == [34, 48]


def test_the_cross_needs_two_hundred_days() -> None:
    close = np.concatenate((np.full(200, 100.0), np.full(30, 120.0), np.full(100, 50.0)))
    side = sma_cross(close, np.arange(len(close)))
    assert side[:200].tolist() == [0.0] * 200
    assert side[200] == 1.0  # one day at 120 lifts the mean of 50 days more than that of 200
    assert side[-1] == 0.0


def test_years_and_drawdown() -> None:
    days = np.array(["2023-12-31", "2024-01-01", "2024-01-02"], dtype="datetime64[ms]")
    ends = days.astype(np.int64) + DAY_MS
    found = Baseline(ends, np.array([50.0, -100.0, 20.0]))
    assert by_year(found, 1000.0) == {"2023": 0.05, "2024": -0.08}
    assert drawdown(found, 1000.0) == pytest.approx(100 / 1050)
