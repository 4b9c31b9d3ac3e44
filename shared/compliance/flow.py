"""The account's own order flow as the detectors see it: orders, executions, known decisions.

The subject is the whole account, orders by hand included. A flow is in one order whatever order
its parts arrive in, and holds each of them once, so that detection depends on neither.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cached_property

import msgspec

from shared.execution.exchange import Fill, Side, VenueOrder

#: Client ids of what the venue does by itself: liquidation, deleveraging, settlement.
VENUE_ORDERS = ("autoclose", "adl", "settlement")

#: Times in force with which a limit order may rest in the book.
RESTING = frozenset({"GTC", "GTX", "GTD"})


class KnownOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that the desk knew of before it was sent: the plan of an approved decision.

    ``known_at`` is when the decision was taken, UTC milliseconds.
    """

    decision_id: str
    symbol: str
    side: Side
    quantity: Decimal
    known_at: int


class Flow(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Orders by id, fills by time, decisions by client id; made by :func:`flow`."""

    orders: tuple[VenueOrder, ...]
    fills: tuple[Fill, ...]
    decisions: Mapping[str, str]
    known: tuple[KnownOrder, ...] = ()

    @cached_property
    def order_of(self) -> dict[tuple[str, int], VenueOrder]:
        """Orders by symbol and the venue's id."""
        return {(o.symbol, o.order_id): o for o in self.orders}

    @cached_property
    def fills_of(self) -> dict[tuple[str, int], list[Fill]]:
        """Fills of each order, by symbol and the venue's id, ascending in time."""
        found: dict[tuple[str, int], list[Fill]] = defaultdict(list)
        for fill in self.fills:
            found[fill.symbol, fill.order_id].append(fill)
        return found

    def decision(self, symbol: str, order_id: int) -> str:
        """The decision an order belongs to; empty for one that nobody here decided."""
        order = self.order_of.get((symbol, order_id))
        return "" if order is None else self.decisions.get(order.client_order_id, "")

    def one_decision(self, symbol: str, first: int, second: int) -> bool:
        """Whether two orders are parts of one decision: an entry, its stop, target or close."""
        decided = self.decision(symbol, first)
        return bool(decided) and decided == self.decision(symbol, second)


def flow(
    orders: Iterable[VenueOrder],
    fills: Iterable[Fill],
    decisions: Mapping[str, str] | None = None,
    known: Iterable[KnownOrder] = (),
) -> Flow:
    """A flow of parts that may come in any order and more than once.

    Of two views of an order the one with more executed, then the later one, counts. What the venue
    did by itself (a liquidation) is nobody's conduct and left out.
    """
    newest: dict[tuple[str, int], VenueOrder] = {}
    forced: set[tuple[str, int]] = set()
    for order in orders:
        key = (order.symbol, order.order_id)
        if order.client_order_id.startswith(VENUE_ORDERS):
            forced.add(key)
            continue
        held = newest.get(key)
        if held is None or _progress(order) > _progress(held):
            newest[key] = order
    executed = {
        (f.symbol, f.trade_id, f.order_id): f for f in fills if (f.symbol, f.order_id) not in forced
    }
    return Flow(
        orders=tuple(newest[k] for k in sorted(newest)),
        fills=tuple(
            sorted(executed.values(), key=lambda f: (f.time, f.symbol, f.trade_id, f.order_id))
        ),
        decisions=dict(decisions or {}),
        known=tuple(
            sorted({k.decision_id: k for k in known}.values(), key=lambda k: k.decision_id)
        ),
    )


def _progress(order: VenueOrder) -> tuple[Decimal, int]:
    return (order.executed_quantity, order.update_time)


def quantity_of(fills: Iterable[Fill]) -> Decimal:
    """Base quantity of some fills together."""
    return sum((f.quantity for f in fills), Decimal(0))


def average_price(fills: Iterable[Fill]) -> Decimal:
    """Price of some fills together, weighted by quantity; at least one is needed."""
    held = list(fills)
    return sum((f.price * f.quantity for f in held), Decimal(0)) / quantity_of(held)
