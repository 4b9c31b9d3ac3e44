"""What the exchange shows while an order of an entry rests, besides the order itself."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.errors import ExchangeError
from shared.execution import protection
from shared.execution.desk import Desk
from shared.execution.exchange import VenueOrder
from shared.execution.sighting import POSITION_LAG_MS, held_position
from shared.execution.tally import Tally
from shared.risk.plan import OrderPlan


def as_held(desk: Desk, plan: OrderPlan, order: VenueOrder, total: Tally) -> VenueOrder:
    """A resting order that cannot be looked up, with what the position shows of it: that is to be
    protected, whatever else has become of it."""
    try:
        held = held_position(desk, plan.symbol)
    except ExchangeError:
        return order
    if held is None or (held.quantity > 0) != (plan.side == "BUY"):
        return order
    executed = min(abs(held.quantity) - total.executed, order.quantity)
    if executed <= order.executed_quantity:
        return order
    return msgspec.structs.replace(
        order,
        executed_quantity=executed,
        average_price=held.entry_price,
        update_time=held.update_time,
    )


def meanwhile(
    desk: Desk, plan: OrderPlan, so_far: VenueOrder
) -> Literal["as it was", "closed", "naked"]:
    """What has become of the part that has filled: "closed", so that nothing more is wanted, or
    "naked", without its full stop."""
    try:
        held = held_position(desk, plan.symbol)
        if held is None:
            lags = desk.clock.now_ms() - so_far.update_time <= POSITION_LAG_MS
            return "as it was" if lags else "closed"
        algos = desk.exchange.open_algo_orders(plan.symbol)
    except ExchangeError:
        return "as it was"
    return "as it was" if protection.covering_stop(held, algos) else "naked"


def left_behind(desk: Desk, order: VenueOrder) -> bool:
    """Whether the touch has moved away from a resting order."""
    try:
        book = desk.exchange.book_ticker(order.symbol)
    except ExchangeError:
        return False
    if order.side == "BUY":
        return book.bid_price > order.price
    return book.ask_price < order.price
