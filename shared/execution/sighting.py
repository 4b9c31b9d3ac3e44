"""The position that an entry has opened, as the exchange shows it or as its fills prove it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.errors import ExchangeError
from shared.execution.books import Books
from shared.execution.desk import Desk
from shared.execution.exchange import VenueOrder, VenuePosition
from shared.risk.plan import OrderPlan

#: The venue's positions may lag behind a fill for this long; then they are believed.
POSITION_LAG_MS = 3_000


def shown_positions(desk: Desk) -> list[VenuePosition]:
    """All positions; from the balances where the positions' own endpoint fails.

    Raises
    ------
    ExchangeError
        When neither can be read, or the exchange has said when it may be asked again.
    """
    try:
        return desk.exchange.positions()
    except ExchangeError as error:
        if error.retry_after:
            raise
        return desk.exchange.account_positions()


def shown_position(desk: Desk, symbol: str) -> VenuePosition | None:
    """The position in a symbol, wherever the exchange shows it."""
    return next((p for p in shown_positions(desk) if p.symbol == symbol), None)


def held_position(desk: Desk, symbol: str) -> VenuePosition | None:
    """The position in a symbol as the exchange has it."""
    return next((p for p in desk.exchange.positions() if p.symbol == symbol), None)


def at_least_filled(
    desk: Desk, plan: OrderPlan, order: VenueOrder | None, began: int, books: Books
) -> VenuePosition | None:
    """The position an entry has opened: as the venue shows it, or larger where fills prove it.

    A stop is reduce-only: sized from fills it can only ever protect. Waiting for a view that lags
    or fails would leave the position naked. What has been closed since is no part of it any more.

    Parameters
    ----------
    order : VenueOrder or None
        All that the entry is known to have executed, as one order.
    began : int
        When the entry began, UTC ms.

    Returns
    -------
    VenuePosition or None
        ``None`` once nothing of it is held.
    """
    if order is None:
        return held_position(desk, plan.symbol)
    shown, certain = _shown(desk, plan, order, books)
    if shown is None and certain:
        return None
    if shown is not None and (shown.quantity > 0) != (plan.side == "BUY"):
        return shown
    seen = Decimal(0) if shown is None else abs(shown.quantity)
    if seen >= order.executed_quantity:
        return shown
    proved = order.executed_quantity - _closed_since(desk, plan, began)
    if proved <= seen:
        return shown
    quantity = proved if plan.side == "BUY" else -proved
    if shown is not None:
        return msgspec.structs.replace(shown, quantity=quantity)
    price = order.average_price or plan.reference_price
    return VenuePosition(
        symbol=plan.symbol,
        quantity=quantity,
        entry_price=price,
        mark_price=price,
        unrealized_pnl=Decimal(0),
        liquidation_price=Decimal(0),
        isolated_wallet=Decimal(0),
        update_time=order.update_time,
    )


def _shown(
    desk: Desk, plan: OrderPlan, order: VenueOrder, books: Books
) -> tuple[VenuePosition | None, bool]:
    """The venue's view of the position, and whether it is to be believed that there is none."""
    try:
        for pause in (0.1, 0.3, None):
            venue = held_position(desk, plan.symbol)
            if venue is not None:
                return venue, True
            if desk.clock.now_ms() - order.update_time > POSITION_LAG_MS and (
                # Ours may be ahead of the clock that the order has its time from.
                desk.exchange.server_time() - order.update_time > POSITION_LAG_MS
            ):
                return None, True
            if pause is not None:
                desk.clock.sleep(pause)
    except ExchangeError as error:
        body = {"clientOrderId": order.client_order_id, "positionsUnreadable": str(error)}
        books.write(lambda: desk.note("incident", body, correlation=plan.decision_id), None)
    return None, False


def _closed_since(desk: Desk, plan: OrderPlan, began: int) -> Decimal:
    """What was executed against an entry since it began: by its stop, its target, or a close."""
    try:
        fills = desk.exchange.fills(plan.symbol, start=began)
    except ExchangeError:
        return Decimal(0)
    return sum((f.quantity for f in fills if f.side != plan.side), Decimal(0))


def sighted(desk: Desk, plan: OrderPlan) -> VenuePosition | None:
    """A position on the plan's side in its symbol, if the venue can be asked."""
    try:
        venue = held_position(desk, plan.symbol)
    except ExchangeError:
        return None
    return venue if venue and (venue.quantity > 0) == (plan.side == "BUY") else None
