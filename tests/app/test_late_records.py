"""Orders that left before their record: it is written down later, by whoever meets the order."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from desk import ALGO, GET_ORDER, NOT_FOUND, TIMEOUT_1007, UNAVAILABLE, Floor
from outage import (
    CANCEL_ALGO,
    CANCEL_ALL_ALGOS,
    FULL,
    approve,
    assert_all_recorded,
    concerning,
    down_from_fill,
    floor_with,
    intents,
    intents_of,
    opened,
)

from local.exchange.faults import ApiResponse, error_answer
from shared.errors import OutcomeUnknown, StoreUnavailable
from shared.execution import emergency, entry, flatten, guardian, orphans, reconcile
from shared.portfolio import positions
from shared.simulation.orders import NewOrder


@pytest.mark.parametrize("gone", [False, True], ids=["written down", "seen later"])
def test_a_target_that_was_refused_and_is_placed_without_the_store_is_open_in_the_books(
    open_floor, gone
):
    """Its id stays the same: it is looked up before, and covers no more than there is."""
    floor, outage = floor_with(open_floor, durable=False)
    refused = error_answer(400, -4164, "Order's notional must be no smaller than 5.")
    floor.break_next(ALGO, refused, times=50, where=lambda r: b"TAKE_PROFIT" in r.body)
    opened(floor, "BTCUSDT")
    assert [b["state"] for b in floor.documents("orders") if b["leg"] == "t"] == ["rejected"]
    floor.faults.rules.clear()
    floor.clock.sleep(60)
    floor.api.advance()
    outage.concerns = lambda container, *rest: container == "orders"
    outage.fails = lambda: gone or len(floor.algos()) < 2
    guardian.guard(floor.desk)
    assert len(floor.algos()) == 2
    outage.fails = lambda: False
    reconcile.reconcile(floor.desk)
    assert_all_recorded(floor)
    assert "order-contradiction" not in floor.alerts()


def test_who_died_before_the_record_finds_his_stop_when_he_runs_again(open_floor):
    floor, outage = floor_with(open_floor, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    down_from_fill(floor, outage, 3600)
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    (stop,) = floor.stops()
    assert stop.client_algo_id not in intents_of(floor, outage)
    outage.fails = lambda: False
    result = entry.open_position(floor.desk, "BTCUSDT", signal.id)
    assert result.status == "protected"
    assert floor.stops() == [stop], "the same one, not another"
    assert_all_recorded(floor)


def test_a_close_that_nobody_wrote_down_is_adopted_when_the_trade_is_settled(open_floor):
    floor, outage = floor_with(open_floor, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    floor.break_next(ALGO, UNAVAILABLE, times=1000, seconds=60)
    down_from_fill(floor, outage, 3600)
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    assert floor.held() == 0
    outage.fails = lambda: False
    floor.clock.sleep(120)
    guardian.guard(floor.desk)
    (trade,) = floor.trades()
    assert trade["exitReason"] == "closed"
    assert_all_recorded(floor)


@pytest.mark.parametrize("who", ["settlement", "reconciliation"])
def test_a_close_of_which_only_the_intent_was_written_down_is_audited_later(open_floor, who):
    """Its sender died between the record of the intent and the note in the audit."""
    floor, outage = floor_with(open_floor, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    floor.break_next(ALGO, UNAVAILABLE, times=1000, seconds=60)
    down_from_fill(floor, outage, 3600)

    def concerns(container: str, *rest: Any) -> bool:
        closed = len(floor.orders()) > 1
        return not closed or (container == "audit" and "bq-x-" in str(rest))

    outage.concerns = concerns
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    close = floor.orders()[-1].client_order_id
    outage.fails = lambda: False
    assert intents(floor)[close] == 0
    assert {b["id"]: b["state"] for b in floor.documents("orders")}[close] == "intent"
    floor.clock.sleep(120)
    if who == "reconciliation":
        reconcile.reconcile(floor.desk)
        assert intents(floor)[close] == 1
    guardian.guard(floor.desk)
    assert len(floor.trades()) == 1
    assert_all_recorded(floor)


@pytest.mark.parametrize("lost", ["orders", "audit"])
def test_a_close_whose_reason_is_written_down_is_adopted_as_well(open_floor, lost):
    """Its sender dies before the order's record, or between the record and its audit."""
    floor, outage = floor_with(open_floor, durable=False)
    opened(floor, "BTCUSDT")
    record, _ = positions.load(floor.store, "main", "BTCUSDT")
    outage.fails = lambda: True
    outage.concerns = partial(concerning, lost)
    with pytest.raises(StoreUnavailable):
        flatten.close_position(floor.desk, record, "time exit")
    assert floor.held() == 0
    outage.fails = lambda: False
    floor.clock.sleep(120)
    guardian.guard(floor.desk)
    reconcile.reconcile(floor.desk)
    (trade,) = floor.trades()
    assert trade["exitReason"] == "time exit"
    assert_all_recorded(floor)


@pytest.mark.parametrize("reason", ["", "time exit"])
def test_a_close_that_nobody_wrote_down_is_adopted_though_the_venue_hides_it_at_first(
    open_floor, reason
):
    """Simulation, storm 2026.2129: its fills were there before it could be asked for."""
    floor, outage = floor_with(open_floor, durable=False)
    opened(floor, "BTCUSDT")
    record, _ = positions.load(floor.store, "main", "BTCUSDT")
    if reason:
        record = positions.change(floor.store, record, exit_reason=reason)
    outage.fails = lambda: True
    with pytest.raises(StoreUnavailable):
        flatten.close_position(floor.desk, record, reason or "drawdown")
    close = floor.orders()[-1].client_order_id
    outage.fails = lambda: False
    asked = floor.break_next(
        GET_ORDER, NOT_FOUND, times=1000, seconds=5, where=lambda r: "&orderId=" in f"&{r.query}"
    )
    nothing = ApiResponse(200, {"content-type": "application/json"}, b"[]")
    floor.break_next(("GET", "/fapi/v1/allOrders"), nothing, times=1000, seconds=5)
    guardian.guard(floor.desk)
    assert asked.times < 1000
    assert floor.trades() == []
    floor.clock.sleep(60)
    floor.api.advance()
    guardian.guard(floor.desk)
    assert len(floor.trades()) == 1
    assert close in {o["id"] for o in floor.documents("orders")}
    assert_all_recorded(floor)


def test_a_fill_whose_order_is_never_shown_is_settled_a_minute_later(open_floor):
    """One of somebody else's, of which the venue says nothing more."""
    floor = open_floor(durable=False)
    floor.expected = {1, 7}  # somebody trades past the application
    opened(floor, "BTCUSDT")
    floor.trade_by_hand("BTCUSDT", "SELL", str(floor.held()))
    floor.break_next(
        GET_ORDER, NOT_FOUND, times=1000, seconds=600, where=lambda r: "&orderId=" in f"&{r.query}"
    )
    guardian.guard(floor.desk)
    assert floor.trades() == []
    floor.clock.sleep(70)
    floor.api.advance()
    guardian.guard(floor.desk)
    (trade,) = floor.trades()
    assert trade["exitReason"] == "liquidated or closed by hand"


def test_a_stop_whose_audit_is_missing_gets_it_from_reconciliation(open_floor):
    floor, outage = floor_with(open_floor, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    outage.fails = lambda: True
    outage.concerns = lambda container, *arguments: (
        container == "audit" and "'leg': 's'" in str(arguments)
    )
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    outage.fails = lambda: False
    for _ in range(2):
        floor.clock.sleep(60)
        floor.api.advance()
        reconcile.reconcile(floor.desk)
        assert_all_recorded(floor)


def test_a_stop_that_nobody_wrote_down_is_adopted_by_reconciliation(open_floor):
    floor, outage = floor_with(open_floor, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    down_from_fill(floor, outage, 3600)
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    outage.fails = lambda: False
    reconcile.reconcile(floor.desk)
    told = intents(floor)
    for algo in floor.algos():
        assert told[algo.client_algo_id] == 1
    reconcile.reconcile(floor.desk)
    entry.open_position(floor.desk, "BTCUSDT", signal.id)
    assert_all_recorded(floor)


def test_an_outage_of_a_second_loses_no_record_of_a_stop(open_floor):
    """The store fails when the stop begins and answers again before the run is over."""
    floor, outage = floor_with(open_floor, durable=False)
    opened(floor, "BTCUSDT", "ETHUSDT")
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.watch.latched_at = floor.clock.now_ms()
    until = floor.clock.now_ms() + 100
    outage.fails = lambda: floor.clock.now_ms() < until
    emergency.flatten_account(floor.desk, "stop")
    assert emergency.flatten_account(floor.desk, "stop", 1).flat
    emergency.settle_all(floor.desk)
    assert {t["exitReason"] for t in floor.trades()} == {"emergency stop"}
    assert_all_recorded(floor)


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "answer lost"])
def test_what_a_stop_cancels_while_the_store_is_away_is_written_down_when_it_is_back(
    open_floor, lost
):
    """Placed and cancelled within one outage: afterwards the exchange lists it nowhere."""
    floor, outage = floor_with(open_floor)
    down_from_fill(floor, outage, 60)
    floor.trade()
    floor.run(10)
    assert len(floor.algos()) == 2
    if lost:
        floor.break_next(CANCEL_ALL_ALGOS, TIMEOUT_1007, executed=True)
    assert floor.http("POST", "/api/emergency-stop", {}).status == 503
    floor.run(30)
    assert floor.held() == 0
    assert floor.algos() == []
    floor.run(400)
    assert_all_recorded(floor)
    assert floor.leaked() == ({}, [])


def leftover(floor: Floor, decision: str) -> None:
    flatten.cancel_leftovers(floor.desk, "BTCUSDT", decision)


def orphaned(floor: Floor, decision: str) -> None:
    found = positions.load(floor.desk.store, "main", "BTCUSDT")
    if found is not None and found[0].state != "closed":
        positions.change(floor.desk.store, found[0], state="closed")
    orphans.cancel(floor.desk, floor.desk.exchange.open_algo_orders(), (), ())


@pytest.mark.parametrize("cancels", [leftover, orphaned])
def test_a_cancel_whose_answer_is_lost_leaves_a_record(open_floor, cancels):
    """Of an order that nobody wrote down when it was placed, and that is in no list any more."""
    floor, outage = floor_with(open_floor, durable=False)
    floor.expected = {1, 2, 3, 7, 8}  # closed by hand, and the books taken apart
    signal = floor.signal()
    approve(floor, signal)
    down_from_fill(floor, outage, 3600)
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    outage.fails = lambda: False
    close = NewOrder(symbol="BTCUSDT", side="SELL", type="MARKET", quantity=FULL, reduce_only=True)
    floor.venue.place_order(floor.account, close)
    floor.break_next(CANCEL_ALGO, TIMEOUT_1007, times=2, executed=True)
    placed = {algo.client_algo_id for algo in floor.algos()}
    while floor.algos():
        with pytest.raises(OutcomeUnknown):
            cancels(floor, signal.id)
    told = intents(floor)
    assert len(placed) == 2
    assert [told[id_] for id_ in placed] == [1, 1]
