"""Closes whose answers are lost, many at once or with nobody to ask: none delays the next."""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import GET_ORDER, LOST, NOT_FOUND, ORDER, UNAVAILABLE, UNKNOWN_503
from test_guardian_rounds import later, opened

from local.exchange.faults import ApiRequest
from local.exchange.parameters import parse_pairs
from shared.execution import emergency, flatten, orders, permits
from shared.execution.guardian import guard
from shared.execution.ids import client_id
from shared.execution.reconcile import reconcile
from shared.portfolio import positions

D = Decimal
SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")


def closes(request: ApiRequest) -> bool:
    return parse_pairs(request.body.decode()).get("newClientOrderId", "").startswith("bq-x-")


@pytest.mark.parametrize("executed", [False, True], ids=["not executed", "executed"])
@pytest.mark.parametrize("answer", [UNKNOWN_503, LOST], ids=["503", "time-out"])
def test_an_emergency_stop_waits_for_none_of_them(open_floor, answer, executed):
    """Each would be looked up until it is certainly absent: six seconds, one after the other."""
    floor = open_floor(dict.fromkeys(SYMBOLS, ()), durable=False)
    for symbol in SYMBOLS:
        opened(floor, symbol)
    later(floor)
    floor.break_next(ORDER, answer, times=4, executed=executed, where=closes)
    emergency.latch(floor.desk, "manual", {}, "test")
    began = floor.clock.now_ms()
    assert emergency.flatten_account(floor.desk, "test").flat
    # What the four answers take to be lost, and a second for each.
    assert floor.clock.now_ms() - began < 4 * (2_000 * (answer is LOST) + 1_000)
    assert not any(floor.held(symbol) for symbol in SYMBOLS)
    assert emergency.settle_all(floor.desk) == 4
    # What never came to the exchange is known for that later.
    for _ in range(12):
        later(floor)
        guard(floor.desk)
        reconcile(floor.desk)
    ends = {o["id"]: o["state"] for o in floor.documents("orders") if o["leg"] == "x"}
    assert set(ends.values()) <= {"filled", "not_sent"}
    assert list(ends.values()).count("filled") == 4


def test_a_close_is_repeated_though_orders_cannot_be_looked_up(open_floor):
    """It was never executed, and nobody can be asked: the position is still there."""
    floor = open_floor(durable=False)
    opened(floor)
    later(floor)
    record, _ = positions.load(floor.store, "main", "BTCUSDT")
    floor.break_next(ORDER, UNKNOWN_503, where=closes)
    floor.break_next(GET_ORDER, UNAVAILABLE, times=10**6)
    began = floor.clock.now_ms()
    assert flatten.close_position(floor.desk, record, "test")
    assert floor.held() == 0
    assert floor.clock.now_ms() - began < 10_000
    floor.faults.rules.clear()
    later(floor)
    guard(floor.desk)
    assert len(floor.trades()) == 1


def test_a_stop_asks_once_after_the_orders_behind_its_permits(open_floor):
    """Looks that fail take seconds each, and the positions are closed after them."""
    floor = open_floor(durable=False)
    opened(floor)
    known = [o["id"] for o in floor.documents("orders")]
    record = floor.store.get("orders", "main", known[0]).body
    for n in range(6):
        floor.store.create(
            "orders", {**record, "id": f"bq-e-{n}", "clientOrderId": f"bq-e-{n}", "leg": "e"}
        )
        floor.services.kill_switch.acquire_permit(f"bq-e-{n}")
    floor.expected = {1, 2, 7, 8}
    floor.break_next(GET_ORDER, LOST, times=10**6)
    emergency.latch(floor.desk, "manual", {}, "test")
    began = floor.clock.now_ms()
    assert permits.resolve(floor.desk) == 6
    assert floor.clock.now_ms() - began < 6_000
    emergency.flatten_account(floor.desk, "test")
    assert floor.held() == 0
    floor.faults.rules.clear()
    later(floor)
    assert permits.resolve(floor.desk) == 0
    for n in range(6):
        floor.store.delete("orders", "main", f"bq-e-{n}")
    emergency.settle_all(floor.desk)


REDUCES_NOTHING = None  # what the exchange itself says once the first has filled: -2022


@pytest.mark.parametrize("second", [REDUCES_NOTHING, UNAVAILABLE], ids=["refused", "not reached"])
def test_a_close_that_every_view_hides_is_not_written_off_by_the_next_of_its_id(open_floor, second):
    """Of two requests under one id what becomes of the second says nothing about the first."""
    floor = open_floor(durable=False)
    floor.expected = {8}  # the position's record is left open
    opened(floor, "BTCUSDT")
    [held] = floor.desk.exchange.positions()
    close = flatten.market_close(held, client_id("main", "somebody's close", "x"))
    floor.break_next(ORDER, LOST, executed=True, where=closes)
    hidden = floor.break_next(GET_ORDER, NOT_FOUND, times=10_000)
    assert orders.send(floor.desk, close, "adopted").state == "unknown"
    assert floor.held() == 0
    if second:
        floor.break_next(ORDER, second, times=10, where=closes)
    for _ in range(3):
        floor.clock.sleep(20)
        assert orders.send(floor.desk, close, "adopted").state == "unknown"
        [known] = [b for b in floor.documents("orders") if b["id"] == close.client_order_id]
        assert known["state"] == "unknown"
    floor.faults.rules.remove(hidden)
    later(floor)
    reconcile(floor.desk)
    [known] = [b for b in floor.documents("orders") if b["id"] == close.client_order_id]
    assert known["state"] == "filled"
    assert "order-contradiction" not in floor.alerts()


def test_one_that_never_came_is_written_off_once_the_views_cannot_be_behind_any_more(open_floor):
    floor = open_floor(durable=False)
    opened(floor, "BTCUSDT")
    [held] = floor.desk.exchange.positions()
    close = flatten.market_close(held, client_id("main", "somebody's close", "x"))
    floor.break_next(ORDER, LOST, times=2, where=closes)
    for _ in range(2):
        assert orders.send(floor.desk, close, "adopted").state == "unknown"
        floor.clock.sleep(20)
    floor.clock.sleep(150)
    outcome = orders.send(floor.desk, close, "adopted")
    assert (outcome.state, outcome.order) == ("not_sent", None)
