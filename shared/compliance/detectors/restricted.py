"""Insider-style trading: positions opened within a restricted window around an event."""

from __future__ import annotations

from collections.abc import Sequence

from shared.clock import iso
from shared.compliance.calendar import Event
from shared.compliance.flow import Flow, quantity_of
from shared.compliance.rules import EVIDENCE, Hit, hit
from shared.execution.exchange import Fill


def detect(flow: Flow, events: Sequence[Event]) -> list[Hit]:
    """One hit for each order that opened within a window, and event.

    A fill opens unless its order is reduce-only or it realises a result. Where the event was listed
    only after the trade the hit is a warning: nobody could have been told.
    """
    found = []
    for (symbol, order_id), fills in flow.fills_of.items():
        order = flow.order_of.get((symbol, order_id))
        if order is not None and order.reduce_only:
            continue
        for event in events:
            opening = [f for f in fills if not f.realized_pnl and event.covers(symbol, f.time)]
            if opening:
                found.append(_hit(event, symbol, order_id, opening))
    return found


def _hit(event: Event, symbol: str, order_id: int, opening: Sequence[Fill]) -> Hit:
    at = opening[0].time
    listed = event.created_at <= at
    return hit(
        "restricted-window",
        symbol,
        f"{order_id}-{event.id}",
        at,
        f"Order {order_id} opened {quantity_of(opening)} {symbol} within the window of "
        f"{event.title!r} ({iso(event.starts_at)} to {iso(event.ends_at)}), which was "
        f"{'listed' if listed else 'listed only afterwards'}",
        {
            "orderId": order_id,
            "side": opening[0].side,
            "quantity": str(quantity_of(opening)),
            "times": [f.time for f in opening[:EVIDENCE]],
            "eventId": event.id,
            "event": event.title,
            "window": [event.starts_at, event.ends_at],
            "listedAt": event.created_at,
        },
        None if listed else "warning",
    )
