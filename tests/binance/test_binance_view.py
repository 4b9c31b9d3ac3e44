"""The exchange for whoever only looks: it changes nothing, and comes last."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from typing import Any

import pytest

from shared.errors import ExchangeRejected, ExchangeThrottled
from shared.execution.binance import BinanceExchange
from shared.execution.binance.budget import DEFAULT_LIMITS, SHARE
from shared.execution.binance.endpoints import Priority
from shared.execution.exchange import AlgoOrderRequest
from tests.binance.scripted import Bench, Reply, refusal
from tests.binance.test_binance_answers import INFO
from tests.binance.test_binance_budget import ENTRY, EXIT, POSITIONS, bench_that_used

STOP = AlgoOrderRequest(
    symbol="BTCUSDT", side="SELL", type="STOP_MARKET", quantity=D("1"), client_algo_id="s-1",
    trigger_price=D("90000"), reduce_only=True,
)  # fmt: skip
MODE = "/fapi/v1/accountConfig"
CHANGES: dict[str, Callable[[BinanceExchange], Any]] = {
    "place_order": lambda e: e.place_order(ENTRY),
    "place_order that reduces": lambda e: e.place_order(EXIT),
    "test_order": lambda e: e.test_order(ENTRY),
    "cancel_order": lambda e: e.cancel_order("BTCUSDT", "e-1"),
    "cancel_all_orders": lambda e: e.cancel_all_orders("BTCUSDT"),
    "place_algo_order": lambda e: e.place_algo_order(STOP),
    "cancel_algo_order": lambda e: e.cancel_algo_order("s-1"),
    "cancel_all_algo_orders": lambda e: e.cancel_all_algo_orders("BTCUSDT"),
    "set_leverage": lambda e: e.set_leverage("BTCUSDT", 2),
    "set_isolated": lambda e: e.set_isolated("BTCUSDT"),
    "ensure_one_way": lambda e: e.ensure_one_way(),
}
QUERIES = {
    "account", "account_and_positions", "account_positions", "algo_history", "algo_order",
    "book_ticker", "candles", "earliest_ms", "fills", "hedge_mode", "income", "instruments",
    "maintenance_brackets", "mark_price", "mark_prices", "now_ms", "open_algo_orders",
    "open_orders", "order", "order_behind", "order_history", "positions", "server_time",
    "symbol_config",
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_that_changes_the_account_is_sent(change: str) -> None:
    bench = Bench()
    bench.script.on("GET", MODE, Reply({"dualSidePosition": True}))
    with pytest.raises(ExchangeRejected, match="not sent, this only looks"):
        CHANGES[change](bench.exchange.view())
    assert {s.verb for s in bench.script.sent} <= {"GET"}
    if change != "ensure_one_way":  # which asks before it changes anything
        assert bench.script.sent == []


def test_every_method_is_known_to_change_something_or_not() -> None:
    """One that is new belongs to one of the two above."""
    public = {n for n, m in vars(BinanceExchange).items() if callable(m) and n[0] != "_"}
    assert public - {"view", "close"} == QUERIES | {name.split()[0] for name in CHANGES}


def test_a_view_counts_with_the_exchange_it_is_of() -> None:
    bench = Bench()
    bench.script.on("GET", POSITIONS, Reply([]))
    view = bench.exchange.view()
    bench.exchange.positions()
    before = bench.exchange.budget.used()["weight_1m"]
    assert view.positions() == []
    assert view.budget is bench.exchange.budget
    assert bench.exchange.budget.used()["weight_1m"] == before + 5
    assert len(bench.script.calls("GET", "/fapi/v1/time")) == 1, "the clock is measured once"


def test_whoever_looks_stops_at_their_share_and_the_exchange_goes_on() -> None:
    bench = Bench()
    bench.script.on("GET", POSITIONS, Reply([]))
    view = bench.exchange.view()
    # Five for each look, and one for the time.
    for _ in range(239):
        view.positions()
    with pytest.raises(ExchangeThrottled, match="for view") as refused:
        view.positions()
    assert 0 < refused.value.retry_after <= 60
    most = DEFAULT_LIMITS["weight_1m"] * SHARE[Priority.VIEW]
    assert most - 5 < bench.exchange.budget.used()["weight_1m"] <= most
    assert bench.exchange.positions() == []


def test_not_even_the_time_is_asked_for_out_of_turn() -> None:
    """It has the priority of exits where it is asked for on their behalf."""
    bench = bench_that_used(1200)
    sent = len(bench.script.sent)
    with pytest.raises(ExchangeThrottled):
        bench.exchange.view().server_time()
    assert len(bench.script.sent) == sent
    assert bench.exchange.server_time()


def test_instruments_of_a_view() -> None:
    bench = Bench()
    bench.script.on("GET", "/fapi/v1/exchangeInfo", Reply(INFO))
    view = bench.exchange.view()
    assert "BTCUSDT" in view.instruments()
    assert view.instruments() is view.instruments(), "kept"
    assert len(bench.script.calls("GET", "/fapi/v1/exchangeInfo")) == 1
    # While somebody who looks asks, whoever trades does not stand in line.
    with view._instruments_lock:
        assert bench.exchange._instruments_lock.acquire(blocking=False)
    bench.exchange._instruments_lock.release()
    assert bench.exchange.instruments() == view.instruments()


def test_a_view_forgets_its_own_filters_only() -> None:
    bench = Bench()
    bench.script.on("GET", "/fapi/v1/exchangeInfo", Reply(INFO))
    bench.exchange.instruments()
    view = bench.exchange.view()
    view.instruments()
    bench.script.on("GET", "/fapi/v1/premiumIndex", refusal(-1121, "Invalid symbol."))
    with pytest.raises(ExchangeRejected):
        view.mark_price("NONEUSDT")
    assert bench.exchange._instruments is not None
