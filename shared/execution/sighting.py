"""The position that an entry has opened, as the exchange shows it or as its fills prove it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.errors import ExchangeError
from shared.execution import orders
from shared.execution.books import Books
from shared.execution.desk import Desk
from shared.execution.exchange import VenueOrder, VenuePosition
from shared.risk.plan import OrderPlan

#: The venue's positions may lag behind a fill for this long; then they are believed.
POSITION_LAG_MS = 3_000


def held_position(desk: Desk, symbol: str) -> VenuePosition | None:
    """The position in a symbol as the exchange has it."""
    return next((p for p in desk.exchange.positions() if p.symbol == symbol), None)


def opened(
    desk: Desk, plan: OrderPlan, outcome: orders.Outcome, books: Books
) -> VenuePosition | None:
    """The position an entry has opened; from its fill where the venue does not show it yet.

    A stop is reduce-only: sized from a fill it can only ever protect. Waiting for a view that
    lags or fails would leave the position naked.
    """
    order = outcome.order
    if order is None:
        return held_position(desk, plan.symbol)
    try:
        for pause in (0.1, 0.3, None):
            venue = held_position(desk, plan.symbol)
            if venue is not None:
                return venue
            if desk.clock.now_ms() - order.update_time > POSITION_LAG_MS:
                return None
            if pause is not None:
                desk.clock.sleep(pause)
    except ExchangeError as error:
        body = {"clientOrderId": order.client_order_id, "positionsUnreadable": str(error)}
        books.write(lambda: desk.note("incident", body, correlation=plan.decision_id), None)
    price = order.average_price or plan.reference_price
    return VenuePosition(
        symbol=plan.symbol,
        quantity=_signed(plan, order),
        entry_price=price,
        mark_price=price,
        unrealized_pnl=Decimal(0),
        liquidation_price=Decimal(0),
        isolated_wallet=Decimal(0),
        update_time=order.update_time,
    )


def at_least_filled(
    desk: Desk, plan: OrderPlan, outcome: orders.Outcome, books: Books
) -> VenuePosition | None:
    """As :func:`opened`, never smaller than what is known to have filled; ``None`` once closed."""
    venue = opened(desk, plan, outcome, books)
    total = outcome.order
    if venue is not None and total is not None and abs(venue.quantity) < total.executed_quantity:
        return msgspec.structs.replace(venue, quantity=_signed(plan, total))
    return venue


def sighted(desk: Desk, plan: OrderPlan) -> VenuePosition | None:
    """A position on the plan's side in its symbol, if the venue can be asked."""
    try:
        venue = held_position(desk, plan.symbol)
    except ExchangeError:
        return None
    return venue if venue and (venue.quantity > 0) == (plan.side == "BUY") else None


def _signed(plan: OrderPlan, order: VenueOrder) -> Decimal:
    return order.executed_quantity if plan.side == "BUY" else -order.executed_quantity
