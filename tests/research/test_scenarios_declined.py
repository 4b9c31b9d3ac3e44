"""Signals that the rules decline, in one wallet and under the kill switch; both engines agree."""

from __future__ import annotations

from typing import Any

import pytest
from scenario import play, told
from scenario_cases import Case

DECLINED = [
    # A range of 600 makes a spread of 12 on 2000.
    Case("spread", "2000/2600/2000/2600", "buy@0", ["spread"]),
    Case("price far from the signal", "2000", "buy@0", ["price_deviation"], {"close": 2050.0}),
    Case("too weak", "2000", "buy@0", ["signal_strength"], {"strength": 0.4}),
    Case("against its own strength", "2000", "buy@0", ["signal_strength"], {"strength": -1.0}),
    Case("no ATR", "2000", "buy@0", ["signal_figures"], {"atr": 0.0}),
    Case("unknown volatility", "2000", "buy@0", ["signal_figures"], {"volatility": float("nan")}),
    Case("the symbol is taken", "2000x3", "buy@0 buy@1", ["approved", "symbol_free"]),
    Case("taken on the other side", "2000x3", "buy@0 sell@1", ["approved", "symbol_free"]),
    # 1980.01 is closer than 1 %, 1980.00 further away.
    Case("no tick for the stop", "2000", "buy@0", ["stop_distance"], {"max_stop_fraction": "0.01"}),
    # 8 / 0.0115 = 695; 8.00 of the day's 8 are at risk or lost afterwards.
    Case(
        "the day's loss",
        "2000 1950x3",
        "buy@0 buy@2",
        ["approved", "daily_loss"],
        {"max_daily_loss": "8", "close": 1975.0},
    ),
    Case(
        "entries of the day",
        "2000 1990x3",
        "buy@0 buy@3",
        ["approved", "trades_today"],
        {"max_trades_per_day": 1, "max_holding_bars": 1, "close": 1995.0},
    ),
    # 12.45 lost of 5000 is more than 0.2 %: the guardian latches when it settles the trade.
    Case(
        "kill switch after a loss",
        "2000 1950x3",
        "buy@0 buy@2",
        ["approved", "kill_switch"],
        {"max_drawdown": "0.002", "close": 1975.0},
    ),
    # Closed after the look at 1:20, so the guardian frees the symbol at 2:20.
    Case(
        "not settled yet",
        "2000 2000/2000/1950/1970 1970x3",
        "sell@0 buy@2 buy@3",
        ["approved", "symbol_free", "approved"],
        {"close": 1985.0},
    ),
    # Closed before the look at 1:20: free at 2:02.
    Case(
        "settled in time",
        "2000 1950x3",
        "buy@0 buy@2",
        ["approved", "approved"],
        {"close": 1975.0},
    ),
    # Lost at 1:00.000, decided at 2:02.000.
    Case(
        "a pause after a loss is over",
        "2000 1950x3",
        "buy@0 buy@2",
        ["approved", "approved"],
        {"close": 1975.0, "loss_cooldown_ms": 62_000},
    ),
    Case(
        "a pause after a loss",
        "2000 1950x3",
        "buy@0 buy@2",
        ["approved", "cooldown"],
        {"close": 1975.0, "loss_cooldown_ms": 62_001},
    ),
    # Lost again at 3:00.000: 62 s later the pause of 31.001 s is over once, and not twice.
    Case(
        "two losses in a row double the pause",
        "2000 1950x2 1900x3",
        "buy@0 buy@2 buy@4",
        ["approved", "approved", "cooldown"],
        {"close": 1950.0, "max_price_deviation": "0.05", "loss_cooldown_ms": 31_001},
    ),
    # Closed by the look at 1:20 for its time, at a gain, and settled by the one at 2:20.
    Case(
        "a gain needs no pause",
        "2000 2030x4",
        "buy@0 buy@3",
        ["approved", "approved"],
        {
            "close": 2015.0,
            "max_holding_bars": 1,
            "max_price_deviation": "0.05",
            "loss_cooldown_ms": 86_400_000,
        },
    ),
    # Three times at most in the limited stage, but 50 USDT of notional at least: 100 there are.
    Case("a limited stage", "2000x2", "buy@0", ["approved"], {"stage": "limited"}),
]


@pytest.mark.parametrize("engine", ["exact", "compiled"])
@pytest.mark.parametrize("case", DECLINED, ids=lambda case: case.name)
def test_decisions(case: Case, engine: str) -> None:
    found = play(engine, case.bars, case.signals, **case.options).decisions
    assert found == {name: case.expect.count(name) for name in case.expect}


#: Several symbols on one wallet. XRP at 2 USDT trades on a tick of 0.0001 in steps of 0.1.
TWO = [
    # Each symbol has a pause of its own.
    (
        "a pause of one symbol",
        {"ETHUSDT": "2000 1950x3", "BTCUSDT": "2000x4"},
        "buy@0:ETHUSDT buy@2:ETHUSDT buy@2:BTCUSDT",
        {"loss_cooldown_ms": 86_400_000, "close": 1975.0},
        {"approved": 2, "cooldown": 1},
        ["ETHUSDT", "BTCUSDT"],
    ),
    # What ETH has reserved counts before it is filled: one position is the limit.
    (
        "positions at one instant",
        {"ETHUSDT": "2000x2", "BTCUSDT": "2000x2"},
        "buy@0:ETHUSDT buy@0:BTCUSDT",
        {"max_open_positions": 1},
        {"approved": 1, "open_positions": 1},
        ["ETHUSDT"],
    ),
    # 998.0 of 1000 are taken: 500 are 0.249 each, the third finds 1 USDT and no step in it.
    (
        "total of all positions",
        {"ETHUSDT": "2000x3", "BTCUSDT": "2000x3", "XRPUSDT": "2000x3"},
        "buy@0:ETHUSDT buy@0:BTCUSDT buy@1:XRPUSDT",
        {"max_total_notional": "1000"},
        {"approved": 2, "quantity": 1},
        ["ETHUSDT", "BTCUSDT"],
    ),
    (
        "a symbol the stage does not trade",
        {"XRPUSDT": "2000"},
        "buy@0",
        {"stage": "limited"},
        {"stage_symbol": 1},
        [],
    ),
    # 12.45 lost on ETH are a drawdown of 0.2 %: everything else is closed at the look at 1:20.
    (
        "the kill switch closes the others",
        {"ETHUSDT": "2000 1950x2", "BTCUSDT": "2000x3"},
        "buy@0:ETHUSDT buy@0:BTCUSDT",
        {"max_drawdown": "0.002"},
        {"approved": 2},
        ["ETHUSDT", "BTCUSDT"],
    ),
]


@pytest.mark.parametrize("engine", ["exact", "compiled"])
@pytest.mark.parametrize(
    ("bars", "signals", "options", "decisions", "traded"),
    [case[1:] for case in TWO],
    ids=[case[0] for case in TWO],
)
def test_one_wallet(
    bars: dict[str, str],
    signals: str,
    options: dict[str, Any],
    decisions: dict[str, int],
    traded: list[str],
    engine: str,
) -> None:
    result = play(engine, bars, signals, **options)
    assert result.decisions == decisions
    assert sorted(result.symbols[i] for i in result.trades.symbol) == sorted(traded)


@pytest.mark.parametrize("engine", ["exact", "compiled"])
def test_the_kill_switch_closes_at_the_guardians_look(engine: str) -> None:
    bars = {"ETHUSDT": "2000 1950x2", "BTCUSDT": "2000x3"}
    result = play(engine, bars, "buy@0:ETHUSDT buy@0:BTCUSDT", max_drawdown="0.002")
    assert told(result)[1].endswith("1:20.000 kill switch")
    assert result.notes == (
        "the kill switch latched at 2025-05-04T12:01:20.000Z: nothing was opened afterwards",
    )


#: 70 minutes of moves of 0.01 %, then one of 2 %: 89 times the usual, and 0.9 % a minute.
RESTLESS = " ".join(["2000", "2000.2"] * 150) + " 2040x10"


@pytest.mark.parametrize("engine", ["exact", "compiled"])
@pytest.mark.parametrize(
    ("minute", "clear_after", "outcome"),
    [
        (300, 0, "approved"),  # the bar of the jump has not closed yet
        (301, 0, "kill_switch"),
        (308, 0, "kill_switch"),
        (308, 5 * 60_000, "approved"),  # cleared by then
    ],
)
def test_an_abnormal_market(engine: str, minute: int, clear_after: int, outcome: str) -> None:
    result = play(engine, RESTLESS, f"buy@{minute}", close=2040.0, clear_after_ms=clear_after)
    assert result.decisions == {outcome: 1}


@pytest.mark.parametrize("engine", ["exact", "compiled"])
def test_a_switch_that_latches_after_the_last_signal_is_told(engine: str) -> None:
    result = play(engine, RESTLESS, "buy@10", close=2000.0, max_holding_bars=5)
    assert len(result.trades) == 1
    assert result.notes == (
        "the kill switch latched at 2025-05-04T17:01:02.000Z: nothing was opened afterwards",
    )
