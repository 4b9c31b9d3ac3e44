"""What an order was sent at and what it was executed at, in its record: slippage by order.

Prices are compared with the exchange's own books, never with our sums.
"""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from chased import DIP, begun, chasing, enter
from desk import GET_ORDER, UNAVAILABLE, Floor

from shared.execution import assess, entry
from shared.execution.guardian import guard
from shared.execution.journal import record_opened

D = Decimal

#: Way out: side, price path, minutes to wait, settings, leg of the order that closes.
WAYS_OUT = {
    "stop": ("BUY", [(3, 0), (8, -0.03)], 12, {}, "s"),
    "stop of a short": ("SELL", [(3, 0), (8, 0.03)], 12, {}, "s"),
    "take profit": ("BUY", [(3, 0), (10, 0.05)], 14, {}, "t"),
    "time exit": ("BUY", [(3, 0), (8, 0.002)], 14, {"MAX_HOLDING_BARS": "2"}, "x"),
}


def orders_of(floor: Floor, decision: str) -> list[dict]:
    return json.loads(floor.http("GET", f"/api/orders?decision={decision}").body)["orders"]


def executed(floor: Floor) -> list[dict]:
    """Our records of the orders that have executed, the entry first."""
    filled = [o for o in floor.documents("orders") if o["state"] == "filled"]
    return sorted(filled, key=lambda o: o["leg"] != "e")


def average(floor: Floor, side: str) -> Decimal:
    """What the exchange executed on one side, by quantity."""
    fills = [f for f in floor.fills() if f.side == side]
    return sum(f.price * f.quantity for f in fills) / sum(f.quantity for f in fills)


def test_an_entry_says_its_limit_and_its_price_while_the_position_is_open(open_floor):
    floor = open_floor()
    signal = floor.trade()
    floor.run(5)
    first, *bracket = sorted(orders_of(floor, signal.id), key=lambda o: o["leg"])
    plan = assess.load(floor.desk, "BTCUSDT", signal.id)[1].plan
    assert D(first["price"]) == plan.worst_price
    assert D(first["averagePrice"]) == average(floor, "BUY")
    assert [(o["price"], o["averagePrice"]) for o in bracket] == [(None, None)] * 2
    (intent,) = [i for i in floor.audit("intent") if i["leg"] == "e"]
    assert D(intent["price"]) == plan.worst_price
    assert [o["averagePrice"] for o in floor.audit("order") if o["state"] == "filled"] == [
        None,
        first["averagePrice"],
    ]
    shown = json.loads(floor.http("GET", "/api/dashboard").body)["orders"]
    told = {o["id"]: (o["price"], o["averagePrice"]) for o in shown}
    assert told[first["id"]] == (first["price"], first["averagePrice"])


@pytest.mark.parametrize("way", WAYS_OUT)
def test_every_order_of_a_trade_says_what_it_was_executed_at(open_floor, way):
    side, path, minutes, settings, leg = WAYS_OUT[way]
    floor = open_floor({"BTCUSDT": path}, settings=settings)
    floor.trade(side=side)
    floor.minutes(minutes)
    (trade,) = floor.trades()
    opened, closed = executed(floor)
    assert (opened["leg"], closed["leg"]) == ("e", leg)
    other = "SELL" if side == "BUY" else "BUY"
    assert D(opened["averagePrice"]) == average(floor, side) == D(trade["entryPrice"])
    assert D(closed["averagePrice"]) == average(floor, other) == D(trade["exitPrice"])
    assert closed["price"] is None
    assert D(closed["executedQuantity"]) == D(trade["quantity"])
    assert all(
        o["averagePrice"] is None for o in floor.documents("orders") if o["leg"] not in ("e", leg)
    )


def test_what_is_closed_by_an_emergency_stop_has_its_price(open_floor):
    floor = open_floor({"BTCUSDT": [(3, 0), (8, -0.005)]})
    floor.trade()
    floor.run(5)
    floor.http("POST", "/api/emergency-stop", {"reason": "to see what it costs"})
    floor.minutes(1)
    _, closed = executed(floor)
    assert closed["leg"] == "x"
    assert D(closed["averagePrice"]) == average(floor, "SELL")


def test_the_parts_of_a_chase_have_their_own(open_floor):
    floor = chasing(open_floor, DIP)
    signal = begun(floor)
    assert enter(floor, signal).status == "protected"
    record_opened(floor.desk, "BTCUSDT", signal)
    parts = {o["id"]: o for o in floor.documents("orders") if o["leg"] == "e"}
    sent = {o.client_order_id: o for o in floor.entries()}
    assert sent.keys() <= parts.keys()
    for id_, order in sent.items():
        assert D(parts[id_]["price"]) == order.price
        if order.executed:
            assert D(parts[id_]["averagePrice"]) == order.average_price


def test_a_price_that_cannot_be_read_hinders_nothing(open_floor):
    """It is filled in when the trade is settled."""
    floor = open_floor({"BTCUSDT": [(3, 0), (8, -0.03)]})
    floor.break_next(GET_ORDER, UNAVAILABLE, times=1000, seconds=60)
    signal = floor.trade()
    floor.run(5)
    assert floor.outcome(signal)["outcome"] == "protected"
    (opened,) = executed(floor)
    assert opened["averagePrice"] is None
    floor.minutes(12)
    (trade,) = floor.trades()
    opened, closed = executed(floor)
    assert D(opened["averagePrice"]) == D(trade["entryPrice"])
    assert D(closed["averagePrice"]) == D(trade["exitPrice"])


def test_it_is_filled_in_once_also_after_a_crash_between(open_floor):
    """Whoever settles again after a crash finds the prices there and notes nothing twice."""
    floor = open_floor({"BTCUSDT": [(3, 0), (8, -0.03)]}, durable=False)
    signal = floor.signal()
    assess.assess(floor.desk, "BTCUSDT", signal.id)
    entry.open_position(floor.desk, "BTCUSDT", signal.id)
    floor.clock.sleep(600)
    floor.api.advance()
    assert not floor.held()

    class Died(Exception):
        """The process ends here."""

    def before(name: str, args: tuple) -> None:
        if name == "replace" and args[0] == "positions" and args[1].get("state") == "closed":
            raise Died

    floor.store.before = before
    with pytest.raises(Died):
        guard(floor.desk)
    floor.store.before = lambda name, args: None
    first = {o["id"]: o["averagePrice"] for o in executed(floor)}
    assert None not in first.values()
    guard(floor.desk)
    assert {o["id"]: o["averagePrice"] for o in executed(floor)} == first
    priced = [o["clientOrderId"] for o in floor.audit("order") if o["averagePrice"]]
    assert sorted(priced) == sorted(first)
