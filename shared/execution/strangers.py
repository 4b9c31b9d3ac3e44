"""What is on the account and is not ours: reported, and touched only by an emergency stop, or where
an order keeps a position of ours from being closed (``refused_close``).

Ours is an order whose client id begins with our prefix, and a position that a record explains;
nothing is told apart by time or size.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from shared.execution.desk import Desk
from shared.execution.exchange import VenueAlgoOrder, VenueOrder, VenuePosition
from shared.execution.ids import is_ours


class ForeignOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An open order, plain or conditional, that nobody here sent."""

    symbol: str
    client_id: str
    venue_id: int
    side: str
    type: str
    quantity: Decimal


def orders(plain: Sequence[VenueOrder], algos: Sequence[VenueAlgoOrder]) -> list[ForeignOrder]:
    """The foreign ones among the account's open orders."""
    found = [
        ForeignOrder(
            symbol=o.symbol,
            client_id=o.client_order_id,
            venue_id=o.order_id,
            side=o.side,
            type=o.type,
            quantity=o.quantity,
        )
        for o in plain
        if not is_ours(o.client_order_id)
    ]
    return found + [
        ForeignOrder(
            symbol=a.symbol,
            client_id=a.client_algo_id,
            venue_id=a.algo_id,
            side=a.side,
            type=a.type,
            quantity=a.quantity,
        )
        for a in algos
        if not is_ours(a.client_algo_id)
    ]


def report_order(desk: Desk, order: ForeignOrder) -> None:
    """Tell people and the tracker of violations, once for each order."""
    text = (
        f"The account has an open {order.type} order to {order.side} {order.quantity} "
        f"{order.symbol} (id {order.client_id}) that this application did not send. It is left "
        "alone; an emergency stop would cancel it, or a close that is refused because of it."
    )
    id_ = f"foreign-order-{order.symbol}-{order.venue_id}"
    desk.alert(
        "critical",
        "foreign-order",
        f"{order.symbol}: an order that is not ours",
        text,
        correlation=id_,
    )
    _to_compliance(desk, id_, "foreign-order", order.symbol, text)


def report_position(desk: Desk, position: VenuePosition) -> None:
    """A position no decision of ours explains."""
    text = (
        f"The account holds {position.quantity} {position.symbol} at {position.entry_price}, which "
        "no decision explains. It is left alone; an emergency stop would close it."
    )
    desk.alert(
        "critical",
        "foreign-position",
        f"{position.symbol}: a position that is not ours",
        text,
        # By its last change: the same price again may be another position.
        correlation=f"{position.symbol}:{position.update_time}",
    )
    id_ = f"foreign-{position.symbol}-{position.update_time}"
    _to_compliance(desk, id_, "foreign-position", position.symbol, text)


def _to_compliance(desk: Desk, id_: str, kind: str, symbol: str, text: str) -> None:
    desk.outbox.compliance.append(
        {"id": id_, "kind": kind, "symbol": symbol, "text": text, "time": desk.clock.now_ms()}
    )
