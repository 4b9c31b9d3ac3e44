"""Orders that left without their record, and that are in no list by the time anybody looks.

Whoever books the trade asks the exchange for everything that was ordered in its time.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import ALGO, OPEN_ALGOS, UNAVAILABLE
from test_store_outage import FULL, assert_all_recorded, down_from_fill, floor_with, opened

from local.exchange.faults import error_answer
from shared.execution import guardian
from shared.execution.ids import client_id
from shared.simulation.orders import NewOrder

D = Decimal
HISTORIES = [("GET", "/fapi/v1/allAlgoOrders"), ("GET", "/fapi/v1/allOrders")]


def test_what_a_stop_cancels_unseen_while_the_store_is_away_is_written_down(open_floor):
    """The exchange did not list the conditional orders while they were cancelled."""
    floor, outage = floor_with(open_floor)
    down_from_fill(floor, outage, 60)
    floor.trade()
    floor.run(10)
    assert len(floor.algos()) == 2
    floor.break_next(OPEN_ALGOS, UNAVAILABLE, times=10_000, seconds=20)
    assert floor.http("POST", "/api/emergency-stop", {}).status == 503
    floor.run(15)
    assert floor.held() == 0
    assert floor.algos() == []
    floor.run(400)
    assert_all_recorded(floor)
    assert len(floor.trades()) == 1
    assert floor.leaked() == ({}, [])


def test_a_close_that_came_to_nothing_and_whose_sender_died_is_written_down(open_floor):
    """It expired in an empty book: there is no fill by which anybody would ask for it."""
    floor = open_floor(durable=False)
    opened(floor, "BTCUSDT")
    close = NewOrder(
        symbol="BTCUSDT",
        side="SELL",
        type="LIMIT",
        time_in_force="IOC",
        price=D(104_000),
        quantity=FULL,
        reduce_only=True,
        client_order_id=client_id("main", "a process that died", "x"),
    )
    assert floor.venue.place_order(floor.account, close).status == "EXPIRED"
    floor.trade_by_hand("BTCUSDT", "SELL", "0.004")
    floor.expected = {1, 7, 8}  # closed by hand
    floor.clock.sleep(20)
    guardian.guard(floor.desk)
    assert len(floor.trades()) == 1
    told = {body["clientOrderId"] for body in floor.audit("intent")}
    assert close.client_order_id in told
    states = {body["id"]: body["state"] for body in floor.documents("orders")}
    assert states[close.client_order_id] == "cancelled"


@pytest.mark.parametrize("history", HISTORIES)
def test_a_trade_is_booked_a_minute_late_where_its_orders_are_not_listed(open_floor, history):
    floor = open_floor(durable=False)
    opened(floor, "BTCUSDT")
    floor.trade_by_hand("BTCUSDT", "SELL", "0.004")
    floor.expected = {1, 7, 8}
    floor.break_next(history, UNAVAILABLE, times=10_000, seconds=600)
    floor.clock.sleep(20)
    guardian.guard(floor.desk)
    assert floor.trades() == []
    floor.clock.sleep(60)
    guardian.guard(floor.desk)
    assert len(floor.trades()) == 1


@pytest.mark.parametrize("end", ["CANCELED", "FINISHED"])
@pytest.mark.parametrize("refusal", [(401, -2015), (400, -4164)], ids=["not sent", "refused"])
def test_an_order_that_was_written_off_and_is_placed_without_the_store_has_its_end(
    open_floor, refusal, end
):
    """Asked for again under its id, and over before anybody could write that down."""
    floor, outage = floor_with(
        open_floor, moves={"BTCUSDT": ((0, 0), (3, 0), (5, 0.1), (900, 0.1))}, durable=False
    )
    refused = error_answer(*refusal, "refused")
    floor.break_next(ALGO, refused, times=50, where=lambda r: b"TAKE_PROFIT" in r.body)
    opened(floor, "BTCUSDT")
    [target] = [b for b in floor.documents("orders") if b["leg"] == "t"]
    assert target["state"] in ("not_sent", "rejected")
    floor.faults.rules.clear()
    floor.clock.sleep(60)
    floor.api.advance()
    outage.concerns = lambda container, *rest: container == "orders"
    outage.fails = lambda: True
    guardian.guard(floor.desk)
    [placed] = floor.targets()
    assert placed.client_algo_id == target["id"]
    if end == "CANCELED":
        floor.venue.cancel_algo_order(floor.account, placed)
        outage.fails = lambda: False
        guardian.guard(floor.desk)
    floor.clock.sleep(300)
    floor.api.advance()
    outage.fails = lambda: False
    assert floor.held() == 0
    guardian.guard(floor.desk)
    [trade] = floor.trades()
    assert trade["exitReason"] == "take profit"
    assert "order-contradiction" not in floor.alerts()
    assert_all_recorded(floor)
    states = {body["id"]: body["state"] for body in floor.documents("orders")}
    assert states[placed.client_algo_id] == ("filled" if end == "FINISHED" else "cancelled")
