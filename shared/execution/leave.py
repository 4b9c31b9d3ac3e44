"""The last thing before an order that adds exposure: still wanted, and still allowed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from shared.errors import BorsaError, ExchangeError
from shared.execution import freshness
from shared.execution.desk import Desk
from shared.risk.plan import OrderPlan

#: A decision older than this is not executed any more: the market it judged is gone.
MAX_DECISION_AGE_MS = 30_000

#: Within this time the price has not left the room that the plan gives it.
FRESH_MS = 1_000

#: What a late sale leaves of that room for the time its order is on its way: half of it.
IN_FLIGHT = Decimal("0.001")


class Expired(BorsaError):
    """The decision is too old to be executed."""


def leave(desk: Desk, plan: OrderPlan, entry_id: str, decided_at: int) -> Callable[[], None]:
    """The permit of one order, see :func:`shared.execution.orders.send`."""

    def permit() -> None:
        age = freshness.now_ms(desk) - decided_at
        if age > MAX_DECISION_AGE_MS:
            raise Expired(f"decided {age} ms ago, at most {MAX_DECISION_AGE_MS} allowed")
        if not 0 <= age <= FRESH_MS and plan.side == "SELL":
            _look_at_price(desk, plan)
        desk.kill_switch.acquire_permit(entry_id)
        desk.note("permit", {"clientOrderId": entry_id}, correlation=plan.decision_id)

    return permit


def _look_at_price(desk: Desk, plan: OrderPlan) -> None:
    """Before every late attempt: a purchase is bound by its limit price, but a sale that fills
    better becomes larger than what the limits allowed. What the price does after this look no
    order can bound, so some room has to be left."""
    asked_at = desk.clock.now_ms()
    try:
        book = desk.exchange.book_ticker(plan.symbol)
    except ExchangeError as error:
        raise Expired(f"the price cannot be looked at again: {error}") from error
    if freshness.stale(desk, asked_at, book.time):
        raise Expired("the price cannot be looked at again: the exchange serves an old one")
    bid = book.bid_price
    if plan.quantity * bid * (1 + IN_FLIGHT) > plan.worst_notional:
        raise Expired(f"the price has moved to {bid} since; the order would exceed its plan")
