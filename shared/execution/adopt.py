"""Orders of ours that the exchange has and our book does not: written down when they are seen.

A protective order goes out without its record while the store fails (see ``books``). Whoever sent
it writes it down afterwards; if that process died before, whoever meets the order does.
"""

from __future__ import annotations

from decimal import Decimal

from shared.execution import orders
from shared.execution.desk import Desk
from shared.execution.exchange import LIVE_ALGO, VenueAlgoOrder, VenueOrder
from shared.execution.ids import is_ours, leg_of
from shared.execution.order_records import ended_as
from shared.execution.order_states import AGAIN, State

#: Correlation of an order whose decision nobody knows any more.
NOBODY = "adopted"


def plain(desk: Desk, order: VenueOrder, decision_id: str) -> None:
    """Record and audit a plain order as the venue shows it; nothing where it is recorded."""
    if is_ours(order.client_order_id) and _begun(_known(desk, order.client_order_id)):
        orders.store_intent(
            desk,
            _record(
                desk,
                order.client_order_id,
                decision_id,
                order,
                order.quantity,
                order.placed_at or order.update_time,
            ),
        )
        orders.settle_as(desk, order.client_order_id, order)


def conditional(desk: Desk, algo: VenueAlgoOrder, decision_id: str = NOBODY) -> None:
    """Record and audit a conditional order as the venue shows it."""
    if not is_ours(algo.client_algo_id):
        return
    known = _known(desk, algo.client_algo_id)
    if _begun(known):
        orders.store_intent(
            desk,
            _record(
                desk,
                algo.client_algo_id,
                decision_id,
                algo,
                algo.quantity,
                algo.placed_at or algo.update_time,
                algo.trigger_price,
            ),
        )
    # Or it was refused once, and asked for again while the store failed.
    if algo.status in LIVE_ALGO and (_begun(known) or known in AGAIN):
        orders.settle(desk, algo.client_algo_id, "open", venue_id=algo.algo_id, reason=algo.status)


def cancel(desk: Desk, algo: VenueAlgoOrder, reason: str, decision_id: str = NOBODY) -> None:
    """Cancel a conditional order, recorded before that.

    The answer may be lost, and an order that is gone is in no list: nobody would meet it again.
    """
    conditional(desk, algo, decision_id)
    desk.exchange.cancel_algo_order(algo.client_algo_id)
    orders.settle(desk, algo.client_algo_id, "cancelled", reason=reason)


def as_seen(desk: Desk, algo: VenueAlgoOrder, decision_id: str = NOBODY) -> None:
    """Write a conditional order down as the exchange shows it, its end included."""
    conditional(desk, algo, decision_id)
    if algo.status not in LIVE_ALGO:
        orders.settle(desk, algo.client_algo_id, ended_as(algo), reason=algo.status)


def cancelled(desk: Desk, algo: VenueAlgoOrder, reason: str, decision_id: str = NOBODY) -> None:
    """A conditional order was cancelled: our record says so, made first where there was none."""
    conditional(desk, algo, decision_id)
    orders.settle(desk, algo.client_algo_id, "cancelled", reason=reason)


def _known(desk: Desk, client_order_id: str) -> State | None:
    found = orders.load(desk, client_order_id)
    return None if found is None else found[0].state


def _begun(known: State | None) -> bool:
    """Whether there is no record yet, or nothing but an intent.

    Whoever wrote that may have died before the audit had it; noting it again changes nothing.
    """
    return known is None or known == "intent"


def _record(
    desk: Desk,
    client_order_id: str,
    decision_id: str,
    seen: VenueOrder | VenueAlgoOrder,
    quantity: Decimal,
    created_at: int,
    trigger_price: Decimal | None = None,
) -> orders.OrderRecord:
    return orders.OrderRecord(
        id=client_order_id,
        account=desk.account,
        client_order_id=client_order_id,
        decision_id=decision_id,
        symbol=seen.symbol,
        side=seen.side,
        type=seen.type,
        leg=leg_of(client_order_id) or "",
        quantity=quantity,
        price=(seen.price or None) if isinstance(seen, VenueOrder) else None,
        state="intent",
        created_at=created_at,
        updated_at=desk.clock.now_ms(),
        trigger_price=trigger_price,
        sent_at=created_at,
    )
