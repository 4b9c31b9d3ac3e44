"""Conditional orders that have triggered and never come to an end.

Seen on the demo venue in October 2026: status TRIGGERING for ever, no order produced, a cancel
answered with -2011 (unknown order). Nobody can remove such an order. While it can only reduce, and
its symbol holds nothing, it can do nothing either: an account with nothing else on it is flat.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.execution.desk import Desk
from shared.execution.exchange import VenueAlgoOrder, VenuePosition

#: What has been triggering for longer than this, by the exchange's clock, is stuck; a healthy one
#: takes less than a second.
STUCK_MS = 10_000


def stuck(
    desk: Desk, held: Sequence[VenuePosition], algos: Sequence[VenueAlgoOrder]
) -> list[VenueAlgoOrder]:
    """Those of the conditional orders that are stuck and harmless while their symbol is flat.

    Raises
    ------
    ExchangeError
        When there is a candidate and the exchange does not tell the time.
    """
    symbols = {p.symbol for p in held}
    candidates = [
        a
        for a in algos
        if a.status == "TRIGGERING"
        and (a.reduce_only or a.close_position)
        and a.symbol not in symbols
    ]
    if not candidates:
        return []
    now = desk.exchange.server_time()
    return [a for a in candidates if now - a.update_time > STUCK_MS]


def told(orders: Sequence[VenueAlgoOrder]) -> str:
    """In words for a person; empty when there are none."""
    if not orders:
        return ""
    names = ", ".join(f"{a.client_algo_id} on {a.symbol}" for a in orders)
    return (
        f" Still listed by the exchange as triggering, and not to be cancelled: {names}. Without a "
        "position it can do nothing; it may close a later one in its symbol."
    )
