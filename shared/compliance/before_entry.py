"""Reading what the compliance checks of an entry depend on."""

from __future__ import annotations

from shared.compliance import calendar, violations
from shared.compliance.pretrade import WINDOW_MS, PreTrade, RestingOrder, Restriction
from shared.execution import freshness
from shared.execution.desk import Desk
from shared.storage.store import Where, every


def read(desk: Desk, symbol: str) -> PreTrade:
    """The facts of now. Whatever cannot be read raises: no data, no exposure.

    Raises
    ------
    ExchangeError, StoreError
    """
    resting = tuple(
        RestingOrder(
            client_id=o.client_order_id,
            side=o.side,
            price=o.price,
            quantity=o.quantity - o.executed_quantity,
        )
        for o in desk.deciding.open_orders(symbol)
        if o.price > 0
    )
    windows = (
        Restriction(event_id=e.id, title=e.title, starts_at=e.starts_at, ends_at=e.ends_at)
        for e in calendar.read(desk)
        if e.concerns(symbol)
    )
    now = desk.clock.now_ms()
    # The time by which the decision is judged: ours may be wrong by hours.
    judged_at = freshness.now_ms(desk)
    return PreTrade(
        resting=resting,
        restrictions=tuple(w for w in windows if w.declines(judged_at)),
        messages=_messages(desk, now - WINDOW_MS),
        message_limit=desk.message_limit,
        violations=_declining(desk, symbol),
    )


def _messages(desk: Desk, since: int) -> int:
    """Order messages of ours since a time: orders placed, and orders cancelled."""
    recent = every(
        desk.store,
        "orders",
        desk.account,
        where=[Where("updatedAt", ">=", since)],
        order_by="updatedAt",
        descending=True,
    )
    count = 0
    for order in (d.body for d in recent):
        # What cannot be read counts as well: it was written for a message.
        count += order.get("createdAt", since) >= since
        count += order.get("state") == "cancelled"
    return count


def _declining(desk: Desk, symbol: str) -> tuple[str, ...]:
    """Critical violations that decline an entry in a symbol, as the settings have it."""
    if desk.violations_block == "off":
        return ()
    everywhere = desk.violations_block == "account"
    return tuple(id_ for id_, _ in violations.blocking(desk, None if everywhere else symbol))
