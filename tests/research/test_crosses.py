"""Signals in, trades out: against a plain loop, by hand, and on input that cannot be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.market.candle import Columns
from shared.research.crosses import ema_cross, sweep, trade
from shared.research.result import EXIT_REASONS

START = 1_704_067_200_000


def candles(rows: list[tuple[float, float, float, float]]) -> Columns:
    o, h, low, c = np.array(rows, dtype=float).T.copy()
    times = START + 60_000 * np.arange(len(rows), dtype=np.int64)
    return Columns("BTCUSDT", "1m", times, o, h, low, c, np.ones(len(rows)))


def random_candles(seed: int, bars: int) -> Columns:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, bars)))
    opened = np.concatenate(([100.0], close[:-1])) * np.exp(rng.normal(0, 0.002, bars))
    high = np.maximum(opened, close) * (1 + abs(rng.normal(0, 0.004, bars)))
    low = np.minimum(opened, close) * (1 - abs(rng.normal(0, 0.004, bars)))
    return candles(list(zip(opened, high, low, close, strict=True)))


def plain(
    columns: Columns, want: list[int], fee: float, slip: float, stop: float, target: float
) -> list[tuple[int, int, int, float, float]]:
    """The rules once more, in the plainest way: (opened, closed, side, entry, exit)."""
    trades: list[tuple[int, int, int, float, float]] = []
    open_trade: tuple[int, int, float] | None = None
    followed = 0
    for i in range(len(columns)):
        o, h, low = columns.open[i], columns.high[i], columns.low[i]
        wanted = want[i - 1] if i else 0
        if wanted != followed:
            if open_trade is not None:
                side = open_trade[1]
                trades.append((open_trade[0], i, side, open_trade[2], o * (1 - side * slip)))
                open_trade = None
            followed = wanted
            if wanted:
                open_trade = (i, wanted, o * (1 + wanted * slip))
        if open_trade is not None:
            begun, side, entry = open_trade
            # In units of the side: gains are up whatever the side.
            worst, best = (low, h) if side > 0 else (-h, -low)
            first = side * o
            floor, goal = side * entry * (1 - side * stop), side * entry * (1 + side * target)
            out = None
            if stop and worst <= floor:
                out = min(first, floor)
            elif target and best >= goal:
                out = max(first, goal)
            if out is not None:
                trades.append((begun, i, side, entry, side * out * (1 - side * slip)))
                open_trade = None
    if open_trade is not None:
        begun, side, entry = open_trade
        last = len(columns) - 1
        trades.append((begun, last, side, entry, columns.close[last] * (1 - side * slip)))
    return trades


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    fast=st.integers(1, 10),
    more=st.integers(1, 20),
    fee=st.sampled_from([0.0, 0.0004]),
    slip=st.sampled_from([0.0, 0.0003]),
    stop=st.sampled_from([0.0, 0.01, 0.03]),
    target=st.sampled_from([0.0, 0.02]),
)
def test_as_a_plain_loop(
    seed: int, fast: int, more: int, fee: float, slip: float, stop: float, target: float
) -> None:
    columns = random_candles(seed, 300)
    want = ema_cross(columns, fast, fast + more)
    result = trade(
        columns, want, fee=fee, slippage=slip, stop=stop, target=target, quantity=2.0, cash=1e6
    )
    expected = plain(columns, want.tolist(), fee, slip, stop, target)
    t = result.trades
    assert len(t) == len(expected)
    np.testing.assert_allclose(t.entry_price, [e[3] for e in expected], rtol=1e-12)
    np.testing.assert_allclose(t.exit_price, [e[4] for e in expected], rtol=1e-12)
    assert t.side.tolist() == [e[2] for e in expected]
    assert t.opened_at.tolist() == [START + 60_000 * e[0] for e in expected]
    fees = [fee * 2 * (e[3] + e[4]) for e in expected]
    net = [2 * e[2] * (e[4] - e[3]) - f for e, f in zip(expected, fees, strict=True)]
    np.testing.assert_allclose(t.net, net, atol=1e-9)
    np.testing.assert_allclose(result.equity[-1], 1e6 + sum(net), rtol=1e-12)
    if not target:
        options: dict[str, Any] = {"fee": fee, "slippage": slip, "stop": stop, "cash": 1e6}
        row = sweep(columns, [(fast, fast + more)], quantity=2.0, **options)[0]
        assert row["trades"] == len(t)
        np.testing.assert_allclose(row["equity"], result.equity[-1], rtol=1e-12)
        changes = np.diff(np.concatenate(([1e6], result.equity)))
        # The closing fee comes after the last close.
        np.testing.assert_allclose(row["mean"], changes.mean(), rtol=1e-6, atol=1e-9)


def test_averages_begin_with_the_first_close() -> None:
    # 3 periods: alpha 1/2; 1 period: the close itself. 10, then (10+14)/2=12, 13, 11.5, ...
    columns = candles([(c, c, c, c) for c in (10.0, 14.0, 14.0, 10.0, 10.0, 20.0)])
    # Above from the second bar on (the first sign is no cross), below at 10 < 11.5, above at 20.
    assert ema_cross(columns, 1, 3).tolist() == [0, 0, 0, -1, -1, 1]


def test_by_hand() -> None:
    columns = candles(
        [(100, 101, 99, 100), (100, 103, 98, 102), (102, 104, 96, 103), (110, 112, 109, 111)]
    )
    want = np.array([1, 1, -1, -1], np.int8)
    result = trade(columns, want, fee=0.01, quantity=1.0, cash=1000.0)
    # Long at 100, closed at the open of 110; short at 110, closed at the last close of 111.
    t = result.trades
    assert t.gross.tolist() == [10.0, -1.0]
    assert t.fees.tolist() == pytest.approx([2.1, 2.21])
    assert [EXIT_REASONS[i] for i in t.exit_reason] == ["signal", "end of data"]
    assert result.equity.tolist() == pytest.approx([1000, 1001, 1002, 1000 + 10 - 1 - 2.1 - 2.21])
    assert result.exposure.tolist() == [0, 102, 103, 0]


@pytest.mark.parametrize(
    ("row", "value", "says"),
    [
        (1, (float("nan"), 2, 1, 1), "open of row 2 is no price"),
        (2, (1, float("inf"), 1, 1), "high of row 3 is no price"),
        (0, (1, 2, 0, 1), "low of row 1 is no price"),
        (1, (1, 2, 1, -5), "close of row 2 is no price"),
    ],
)
def test_prices_that_are_none(row: int, value: tuple[float, ...], says: str) -> None:
    rows: list[Any] = [(1.0, 2.0, 0.5, 1.0)] * 4
    rows[row] = value
    with pytest.raises(InvalidInput, match=says):
        ema_cross(candles(rows), 2, 3)


def test_rows_that_do_not_follow() -> None:
    columns = random_candles(1, 20)
    columns.open_time[7] += 60_000
    with pytest.raises(InvalidInput, match="row 8 does not follow"):
        trade(columns, np.zeros(20, np.int8))
    with pytest.raises(InvalidInput, match="no candle"):
        trade(columns.window(0, 0), np.zeros(0, np.int8))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"quantity": 0.0}, "quantity is 0.0"),
        ({"quantity": float("nan")}, "quantity is nan"),
        ({"cash": -1.0}, "cash is -1.0"),
        ({"fee": -0.1}, "fee is -0.1"),
        ({"slippage": 1.0}, "slippage is 1.0"),
        ({"stop": 1.5}, "stop is 1.5"),
        ({"target": -1.0}, "target is -1.0"),
    ],
)
def test_figures_that_make_no_sense(options: dict[str, float], says: str) -> None:
    columns = random_candles(1, 20)
    with pytest.raises(InvalidInput, match=says):
        trade(columns, np.zeros(20, np.int8), **options)


def test_periods_spans_and_lengths_that_make_no_sense() -> None:
    columns = random_candles(1, 20)
    with pytest.raises(InvalidInput, match="periods 5 and 5"):
        ema_cross(columns, 5, 5)
    with pytest.raises(InvalidInput, match="periods 0 and 3"):
        sweep(columns, [(2, 3), (0, 3)])
    with pytest.raises(InvalidInput, match="bars 10 to 30"):
        sweep(columns, [(2, 3)], first=10, until=30)
    with pytest.raises(InvalidInput, match="3 signals for 20 bars"):
        trade(columns, np.zeros(3, np.int8))


def test_zero_volume_is_traded_like_any_other() -> None:
    columns = random_candles(2, 50)
    columns.volume[:] = 0
    assert len(trade(columns, ema_cross(columns, 2, 5)).trades) > 0
