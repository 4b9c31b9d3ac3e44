"""Spoofing and layering: orders shown on one side while the other side is executed.

Bait is a limit order that could rest, is not reduce-only, was withdrawn (nearly) unexecuted within
seconds of an execution on the other side, and lived at most a minute. One or two prices are
spoofing, three or more are layering.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from operator import attrgetter

from shared.compliance.flow import RESTING, Flow, quantity_of
from shared.compliance.rules import EVIDENCE, Hit, SpoofingThresholds, Thresholds, hit
from shared.execution.exchange import Fill, VenueOrder

_placed_at = attrgetter("placed_at")


def detect(flow: Flow, thresholds: Thresholds) -> list[Hit]:
    """One hit for each run of executions of an order that had bait on the other side."""
    limits = thresholds.spoofing
    baits: dict[str, list[VenueOrder]] = defaultdict(list)
    for order in flow.orders:
        if _is_bait(order, limits):
            baits[order.symbol].append(order)
    for of_symbol in baits.values():
        of_symbol.sort(key=lambda o: (o.placed_at, o.order_id))
    found = []
    for (symbol, order_id), fills in flow.fills_of.items():
        if symbol not in baits:
            continue
        for together in _runs(fills, limits.life_ms + limits.withdrawn_within_ms):
            shown = _shown(flow, order_id, together, baits[symbol], limits)
            if shown:
                found += _judged(symbol, order_id, together, shown, limits)
    return found


def _runs(fills: Sequence[Fill], apart_ms: int) -> Iterator[Sequence[Fill]]:
    """Executions of one order, split where no bait could belong to both sides of a pause.

    An order may rest for hours and execute piece by piece: each piece is judged by itself.
    """
    run: list[Fill] = []
    for fill in fills:
        if run and fill.time - run[-1].time > apart_ms:
            yield run
            run = []
        run.append(fill)
    if run:
        yield run


def _is_bait(order: VenueOrder, limits: SpoofingThresholds) -> bool:
    return (
        order.type == "LIMIT"
        and order.time_in_force in RESTING
        and not order.reduce_only
        and order.status == "CANCELED"
        and 0 <= order.update_time - order.placed_at <= limits.life_ms
        and order.executed_quantity <= order.quantity * limits.executed
    )


def _shown(
    flow: Flow,
    order_id: int,
    fills: Sequence[Fill],
    baits: Sequence[VenueOrder],
    limits: SpoofingThresholds,
) -> list[VenueOrder]:
    """Bait that stood on the other side at one of the fills and was gone soon after it."""
    # What lives at most a minute was placed within it: of a long history little is looked at.
    first = bisect_left(baits, fills[0].time - limits.life_ms, key=_placed_at)
    end = bisect_right(baits, fills[-1].time, key=_placed_at)
    return [
        bait
        for bait in baits[first:end]
        if bait.side != fills[0].side
        and bait.order_id != order_id
        and not flow.one_decision(bait.symbol, bait.order_id, order_id)
        and any(
            bait.placed_at <= f.time <= bait.update_time <= f.time + limits.withdrawn_within_ms
            for f in fills
        )
    ]


def _judged(
    symbol: str,
    order_id: int,
    fills: Sequence[Fill],
    shown: Sequence[VenueOrder],
    limits: SpoofingThresholds,
) -> list[Hit]:
    executed = quantity_of(fills)
    offered = sum((b.quantity - b.executed_quantity for b in shown), Decimal(0))
    worth = sum(((b.quantity - b.executed_quantity) * b.price for b in shown), Decimal(0))
    prices = sorted({b.price for b in shown})
    layered = len(prices) >= limits.levels
    ratio = limits.layered_ratio if layered else limits.single_ratio
    if offered < ratio * executed or worth < limits.notional:
        return []
    side = shown[0].side
    at = max(b.update_time for b in shown)
    return [
        hit(
            "layering" if layered else "spoofing",
            symbol,
            f"{order_id}-{fills[0].trade_id}",
            at,
            f"{len(shown)} {side} order(s) of {offered} {symbol} at {len(prices)} price(s) were "
            f"withdrawn around the execution of {executed} on the other side (order {order_id})",
            {
                "side": side,
                "bait": [
                    {
                        "orderId": b.order_id,
                        "clientOrderId": b.client_order_id,
                        "price": str(b.price),
                        "quantity": str(b.quantity),
                        "executed": str(b.executed_quantity),
                        "placedAt": b.placed_at,
                        "withdrawnAt": b.update_time,
                    }
                    for b in shown[:EVIDENCE]
                ],
                "baits": len(shown),
                "executedOrderId": order_id,
                "executed": str(executed),
                "executedAt": [fills[0].time, fills[-1].time],
                "ratio": str(round(offered / executed, 4)),
                "limit": str(ratio),
            },
        )
    ]
