"""Orders that are filled in part: entry, stop, target, close, emergency close.

The books of the exchange decide: what is protected, closed and booked is always what is held.
"""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from chased import FLAT, begun, chasing, enter, fill
from desk import ACCOUNT, ALGO, POSITIONS, UNAVAILABLE, Floor
from outage import approve, down_from_fill, floor_with

from local.exchange.faults import ApiResponse, error_answer
from shared.errors import StoreUnavailable
from shared.execution import assess, emergency, entry, flatten, orders
from shared.execution.guardian import guard
from shared.portfolio import positions
from shared.simulation.contracts import DEFAULT_CONTRACTS

D = Decimal


def thin(floor: Floor, symbol: str, depth: float, reach: str) -> None:
    """From now on the book is this thin, and a market order reaches this far from the mark."""
    contract = floor.venue.core.contract(symbol)
    floor.venue.core.contracts[symbol] = msgspec.structs.replace(
        contract,
        depth_per_bps=depth,
        instrument=msgspec.structs.replace(contract.instrument, market_take_bound=D(reach)),
    )


def opened(floor: Floor, symbol: str) -> str:
    signal = floor.signal(symbol)
    assert assess.assess(floor.desk, symbol, signal.id).outcome == "approved"
    assert entry.open_position(floor.desk, symbol, signal.id).status == "protected"
    return signal.id


def later(floor: Floor, seconds: float = 60) -> None:
    floor.clock.sleep(seconds)
    floor.api.advance()


def booked(floor: Floor, symbol: str) -> None:
    """The one trade has the quantity that the exchange executed, in and out."""
    (trade,) = floor.trades()
    bought = sum(f.quantity for f in floor.fills(symbol) if f.side == "BUY")
    sold = sum(f.quantity for f in floor.fills(symbol) if f.side == "SELL")
    assert bought == sold == D(trade["quantity"])
    assert floor.leaked() == ({}, [])
    assert not floor.algos(symbol)


def test_an_entry_is_protected_for_what_filled_though_the_positions_lag(open_floor):
    """They show half of it, for a moment: the stop is for what the order says."""
    floor = open_floor({"BTCUSDT": ()}, durable=False)
    true_answer = floor.faults.after
    lagging = [1]

    def after(request, response):
        response = true_answer(request, response)
        if (request.method, request.path) != POSITIONS or not floor.fills() or not lagging[0]:
            return response
        lagging[0] -= 1
        rows = json.loads(response.body)
        for row in rows:
            row["positionAmt"] = str(D(row["positionAmt"]) / 2)
        return ApiResponse(response.status, response.headers, json.dumps(rows).encode())

    floor.faults.after = after
    opened(floor, "BTCUSDT")
    assert not lagging[0]
    assert [s.quantity for s in floor.stops()] == [floor.held()]


@pytest.mark.parametrize("store", ["works", "fails from the fill on"])
def test_what_filled_and_gets_no_stop_is_closed_though_the_positions_lag(open_floor, store):
    """They show nothing of it for some seconds: it was taken for closed, and nobody was at it."""
    floor, outage = floor_with(open_floor, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    floor.break_next(ALGO, error_answer(400, -2021, "Order would immediately trigger."), times=99)
    floor.break_next(POSITIONS, ApiResponse(200, {}, b"[]"), times=99, seconds=2.5)
    if store != "works":
        down_from_fill(floor, outage, 3)
        with pytest.raises(StoreUnavailable):
            entry.open_position(floor.desk, "BTCUSDT", signal.id)
        assert not floor.held()
        later(floor, 2)
    assert entry.open_position(floor.desk, "BTCUSDT", signal.id).status == "flat"
    assert not floor.held()
    assert floor.fills()[-1].time - floor.fills()[0].time < 5_000
    later(floor)
    guard(floor.desk)
    booked(floor, "BTCUSDT")


def test_what_filled_and_gets_no_stop_is_closed_though_positions_cannot_be_read(open_floor):
    """Nor balances: it was looked for until they could be, and no close sent."""
    floor = open_floor({"BTCUSDT": ()}, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    floor.break_next(ALGO, error_answer(400, -2021, "Order would immediately trigger."), times=99)
    for what in (POSITIONS, ACCOUNT):
        floor.break_next(what, UNAVAILABLE, times=999, seconds=30, where=lambda r: floor.fills())
    entry.open_position(floor.desk, "BTCUSDT", signal.id)
    assert not floor.held()
    assert floor.fills()[-1].time - floor.fills()[0].time < 5_000
    later(floor)
    guard(floor.desk)
    booked(floor, "BTCUSDT")


def test_a_part_that_fills_into_a_close_is_closed_though_the_positions_lag(open_floor):
    """The first part got no stop; what filled while that was found out is not shown yet."""
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS="10")
    signal = begun(floor)
    looks = [0]

    def before(method: str, url: str) -> None:
        resting = list(floor.account.working_orders("BTCUSDT"))
        if not resting or "/fapi/v1/order" not in url:
            return
        looks[0] += 1
        if looks[0] == 2 or method == "DELETE":
            floor.api.advance()
            fill(floor, "0.001")(resting[0])
        if method == "DELETE":
            floor.break_next(POSITIONS, ApiResponse(200, {}, b"[]"), times=99, seconds=2.5)

    floor.session.before = before
    floor.break_next(ALGO, error_answer(400, -2021, "Order would immediately trigger."), times=99)
    assert enter(floor, signal).status == "flat"
    assert [o.executed for o in floor.entries()] == [D("0.002")]
    assert not floor.held()
    later(floor)
    guard(floor.desk)
    booked(floor, "BTCUSDT")


def test_entry(open_floor):
    """The limit takes what the book has; only that is protected and later closed."""
    contract = msgspec.structs.replace(DEFAULT_CONTRACTS["ETHUSDT"], depth_per_bps=12.0)
    floor = open_floor({"ETHUSDT": ()}, contracts={"ETHUSDT": contract}, durable=False)
    opened(floor, "ETHUSDT")
    (order,) = floor.entries()
    assert D(0) < order.executed < order.quantity
    assert [s.quantity for s in floor.stops("ETHUSDT")] == [order.executed]
    found = orders.load(floor.desk, order.client_order_id)
    assert found is not None
    assert (found[0].state, found[0].executed_quantity) == ("filled", order.executed)
    floor.venue.core.contracts["ETHUSDT"] = DEFAULT_CONTRACTS["ETHUSDT"]
    record = positions.load(floor.store, "main", "ETHUSDT")
    assert record is not None
    assert flatten.close_position(floor.desk, record[0], "by the test")
    guard(floor.desk)
    booked(floor, "ETHUSDT")


@pytest.mark.parametrize("leg", ["stop", "target"])
def test_stop_and_target(open_floor, leg):
    """The triggered market order finds little, the rest expires: the rest is closed."""
    move = -0.03 if leg == "stop" else 0.05
    floor = open_floor({"ETHUSDT": [(1, 0), (3, move), (60, move)]}, durable=False)
    floor.expected = {4}  # between the expiry and the next round it is bare
    opened(floor, "ETHUSDT")
    full = floor.held("ETHUSDT")
    thin(floor, "ETHUSDT", 40, "0.0003")
    later(floor, 200)
    rest = floor.held("ETHUSDT")
    assert D(0) < rest < full
    assert not floor.stops("ETHUSDT") if leg == "stop" else floor.stops("ETHUSDT")
    thin(floor, "ETHUSDT", 1e6, "0.05")
    guard(floor.desk)
    assert not floor.held("ETHUSDT")
    later(floor)
    guard(floor.desk)
    booked(floor, "ETHUSDT")
    (trade,) = floor.trades()
    assert trade["exitReason"] == ("stop failed" if leg == "stop" else "take profit")


def test_close(open_floor):
    """Each attempt takes what there is; the stop covers the rest meanwhile."""
    floor = open_floor({"ETHUSDT": [(1, 0)]}, durable=False)
    opened(floor, "ETHUSDT")
    full = floor.held("ETHUSDT")
    thin(floor, "ETHUSDT", 40, "0.0003")
    record = positions.load(floor.store, "main", "ETHUSDT")
    assert record is not None
    closed = flatten.close_position(floor.desk, record[0], "by the test")
    attempts = [o for o in floor.orders() if o.reduce_only and not o.algo_id]
    assert len(attempts) >= 2
    assert [a.quantity for a in attempts] == [
        full - sum(a.executed for a in attempts[:i]) for i in range(len(attempts))
    ]
    if not closed:
        assert sum(s.quantity for s in floor.stops("ETHUSDT")) >= floor.held("ETHUSDT")
    thin(floor, "ETHUSDT", 1e6, "0.05")
    for _ in range(2):
        later(floor)
        guard(floor.desk)
    booked(floor, "ETHUSDT")


def test_emergency_stop(open_floor):
    floor = open_floor({"ETHUSDT": [(1, 0)]}, durable=False)
    opened(floor, "ETHUSDT")
    thin(floor, "ETHUSDT", 40, "0.0003")
    emergency.latch(
        floor.desk,
        "manual",
        {"operator": "t", "reason": "t", "at": floor.clock.now_ms()},
        "emergency-1",
    )
    results = [emergency.flatten_account(floor.desk, "emergency-1", n) for n in range(3)]
    assert results[-1].flat
    assert len([o for o in floor.orders() if o.reduce_only and not o.algo_id]) >= 2
    emergency.settle_all(floor.desk)
    booked(floor, "ETHUSDT")


# ---------------------------------------------------------------------- records of orders


def sent(floor: Floor) -> str:
    """Id of the entry of an open position."""
    opened(floor, "BTCUSDT")
    return floor.entries()[0].client_order_id


def test_late_news_changes_nothing(open_floor):
    floor = open_floor(durable=False)
    id_ = sent(floor)
    before = orders.load(floor.desk, id_)
    for state in ("intent", "open", "unknown", "cancelled", "rejected", "not_sent"):
        orders.settle(floor.desk, id_, state, reason="late")
    assert orders.load(floor.desk, id_) == before


def test_an_order_that_was_held_for_dead_is_believed_and_told(open_floor):
    floor = open_floor(durable=False)
    id_ = sent(floor)
    record, etag = orders.load(floor.desk, id_)
    floor.store.replace(
        orders.CONTAINER,
        msgspec.to_builtins(msgspec.structs.replace(record, state="not_sent")),
        etag=etag,
    )
    orders.settle(floor.desk, id_, "filled", executed_quantity=record.quantity)
    assert orders.load(floor.desk, id_)[0].state == "filled"
    assert "order-contradiction" in floor.alerts()
    assert any(b.get("clientOrderId") == id_ for b in floor.audit("incident"))


def test_sending_again_what_has_filled_sends_nothing_though_the_venue_forgot_it(open_floor):
    from desk import GET_ORDER, NOT_FOUND

    from shared.execution.exchange import OrderRequest

    floor = open_floor(durable=False)
    floor.expected = {8}  # the position shrinks past its record
    opened(floor, "BTCUSDT")
    record = positions.load(floor.store, "main", "BTCUSDT")[0]
    request = OrderRequest(
        symbol="BTCUSDT",
        side="SELL",
        type="MARKET",
        quantity=D("0.001"),
        client_order_id="bq-x-once",
        reduce_only=True,
    )
    assert orders.send(floor.desk, request, record.decision_id).state == "filled"
    floor.break_next(GET_ORDER, NOT_FOUND, times=1000)
    later(floor, 120)
    count = len(floor.orders())
    assert orders.send(floor.desk, request, record.decision_id).state == "filled"
    assert len(floor.orders()) == count
