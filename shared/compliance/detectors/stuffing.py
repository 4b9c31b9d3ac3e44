"""Quote stuffing: order messages beyond what trading needs, and orders that are never executed.

A message is a plain order that was placed, or withdrawn by its owner. Conditional orders wait
outside the book and are none.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from shared.clock import iso
from shared.compliance.detectors.episodes import begins
from shared.compliance.flow import Flow
from shared.compliance.rules import EVIDENCE, Hit, Thresholds, hit
from shared.execution.exchange import VenueOrder


def bursts(flow: Flow, thresholds: Thresholds) -> list[Hit]:
    """One hit for each episode of too many messages of a symbol within the window."""
    limits = thresholds.stuffing
    messages: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for order in flow.orders:
        messages[order.symbol].append((order.placed_at, order.order_id))
        if order.status == "CANCELED":
            messages[order.symbol].append((order.update_time, order.order_id))
    found = []
    for symbol, of_symbol in messages.items():
        for at, ids in begins(sorted(of_symbol), limits.window_ms, limits.messages):
            found.append(
                hit(
                    "quote-stuffing",
                    symbol,
                    at,
                    at,
                    f"{len(ids)} order messages of {symbol} within {limits.window_ms // 1000} s, "
                    f"{limits.messages} are too many",
                    {
                        "messages": len(ids),
                        "orders": len(set(ids)),
                        "firstOrderIds": list(dict.fromkeys(ids))[:EVIDENCE],
                        "windowMs": limits.window_ms,
                        "limit": limits.messages,
                    },
                )
            )
    return found


def ratios(flow: Flow, thresholds: Thresholds) -> list[Hit]:
    """One hit for each cycle of ten minutes in which nearly nothing of many orders executed."""
    limits = thresholds.stuffing
    cycles: dict[tuple[str, int], list[VenueOrder]] = defaultdict(list)
    for order in flow.orders:
        start = order.placed_at - order.placed_at % limits.cycle_ms
        cycles[order.symbol, start].append(order)
    found = []
    for (symbol, start), orders in cycles.items():
        if len(orders) < limits.cycle_orders:
            continue
        wanted = sum((o.quantity for o in orders), Decimal(0))
        done = sum((o.executed_quantity for o in orders), Decimal(0))
        unfilled = 1 - done / wanted
        if unfilled < limits.unfilled:
            continue
        found.append(
            hit(
                "order-to-trade",
                symbol,
                start,
                start + limits.cycle_ms,
                f"{unfilled:.2%} of {len(orders)} {symbol} orders placed from {iso(start)} on, "
                "within ten minutes, was not executed",
                {
                    "orders": len(orders),
                    "quantity": str(wanted),
                    "executed": str(done),
                    "unfilled": str(round(unfilled, 6)),
                    "limit": str(limits.unfilled),
                    "cycle": [start, start + limits.cycle_ms],
                },
            )
        )
    return found
