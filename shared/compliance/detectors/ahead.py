"""Front-running: trading ahead of a larger order that the desk has decided and not yet executed.

What the desk knows is its own: decisions that wait for a person, and entries under way. Whoever
trades by hand on the account, or by another decision, on the same side in between trades ahead.
"""

from __future__ import annotations

from shared.compliance.flow import Flow, KnownOrder, quantity_of
from shared.compliance.rules import EVIDENCE, AheadThresholds, Hit, Thresholds, hit
from shared.execution.exchange import Fill


def detect(flow: Flow, thresholds: Thresholds) -> list[Hit]:
    """One hit for each order that was executed ahead of a larger known one."""
    found = []
    for known in flow.known:
        executed = [
            f
            for f in flow.fills
            if f.symbol == known.symbol
            and f.side == known.side
            and f.time >= known.known_at
            and flow.decision(f.symbol, f.order_id) == known.decision_id
        ]
        if executed:
            found += _ahead(flow, known, executed[0].time, thresholds.ahead)
    return found


def _ahead(flow: Flow, known: KnownOrder, executed_at: int, limits: AheadThresholds) -> list[Hit]:
    since = max(known.known_at, executed_at - limits.known_ms)
    orders: dict[int, list[Fill]] = {}
    for fill in flow.fills:
        if (
            fill.symbol == known.symbol
            and fill.side == known.side
            and since <= fill.time < executed_at
            and flow.decision(fill.symbol, fill.order_id) != known.decision_id
        ):
            orders.setdefault(fill.order_id, []).append(fill)
    found = []
    for order_id, fills in orders.items():
        order = flow.order_of.get((known.symbol, order_id))
        quantity = quantity_of(fills)
        if quantity >= known.quantity or (order is not None and order.reduce_only):
            continue
        found.append(
            hit(
                "front-running",
                known.symbol,
                f"{order_id}-{known.decision_id}",
                executed_at,
                f"Order {order_id} {'bought' if known.side == 'BUY' else 'sold'} {quantity} "
                f"{known.symbol} while the larger decision {known.decision_id} of "
                f"{known.quantity} waited to be executed",
                {
                    "orderId": order_id,
                    "side": known.side,
                    "quantity": str(quantity),
                    "times": [f.time for f in fills[:EVIDENCE]],
                    "decisionId": known.decision_id,
                    "decisionQuantity": str(known.quantity),
                    "knownAt": known.known_at,
                    "executedAt": executed_at,
                },
            )
        )
    return found
