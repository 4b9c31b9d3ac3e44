"""What compliance asks of an entry before it is sent. Pure; its inputs are kept with the decision.

Entries only. Stops, targets, closes and an emergency stop are never asked: a rule of conduct must
not keep a position from being protected or closed.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.execution.exchange import Side
from shared.risk.checks import at_most, holds, not_judged
from shared.risk.plan import Check, OrderPlan

#: An own message is counted for this long.
WINDOW_MS = 10_000
#: Nothing is begun this long before a window: a decision is executed up to 30 s later, and an entry
#: that rests is filled up to 10 s after that.
LEAD_MS = 60_000


class RestingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An own limit order in the book of the symbol, by hand or not; what is left of it."""

    client_id: str
    side: Side
    price: Decimal
    quantity: Decimal


class Restriction(msgspec.Struct, frozen=True, kw_only=True):
    """A window around an event in which nothing is opened; UTC milliseconds, both ends included."""

    event_id: str
    title: str
    starts_at: int
    ends_at: int

    def declines(self, at: int) -> bool:
        """Whether an entry that is decided at a time could open within the window."""
        return self.starts_at - LEAD_MS <= at <= self.ends_at


class PreTrade(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks depend on, read when the decision was taken.

    ``messages`` counts order messages of the application within the last ten seconds, placed and
    cancelled, conditional ones included; ``violations`` names those that decline this entry.
    """

    resting: tuple[RestingOrder, ...]
    restrictions: tuple[Restriction, ...]
    messages: int
    message_limit: int
    violations: tuple[str, ...]


def checks(facts: PreTrade, plan: OrderPlan | None, now_ms: int) -> tuple[Check, ...]:
    """Four checks, in the order in which they are told."""
    restricted = [r for r in facts.restrictions if r.declines(now_ms)]
    return (
        _own_orders(facts, plan),
        holds(
            "restricted_window",
            not restricted,
            ", ".join(f"{r.event_id} {r.title}" for r in restricted) or "none",
            "none",
            "events around which nothing may be opened",
        ),
        at_most(
            "message_rate",
            facts.messages,
            facts.message_limit,
            "order messages of this application within ten seconds",
        ),
        holds(
            "open_violations",
            not facts.violations,
            ", ".join(facts.violations) or "none",
            "none",
            "critical violations that nobody has closed",
        ),
    )


def _own_orders(facts: PreTrade, plan: OrderPlan | None) -> Check:
    """Whether the entry could meet an own order before it reaches its worst price."""
    if plan is None:
        return not_judged("own_orders", "not judged: there is no order")
    met = [
        r
        for r in facts.resting
        if r.side != plan.side
        and (r.price <= plan.worst_price if plan.side == "BUY" else r.price >= plan.worst_price)
    ]
    return holds(
        "own_orders",
        not met,
        ", ".join(f"{r.side} {r.quantity} at {r.price} ({r.client_id})" for r in met) or "none",
        f"none up to {plan.worst_price}",
        "own orders on the other side that the entry could be matched with",
    )
