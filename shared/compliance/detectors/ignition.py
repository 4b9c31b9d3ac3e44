"""Momentum ignition: push the price with aggressive orders, then trade against those who follow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from shared.compliance.flow import Flow, average_price, quantity_of
from shared.compliance.rules import EVIDENCE, Hit, IgnitionThresholds, Thresholds, hit
from shared.execution.exchange import Fill


class _Taken(msgspec.Struct, frozen=True):
    """What an order took from the book, ascending in time."""

    order_id: int
    fills: tuple[Fill, ...]


def detect(flow: Flow, thresholds: Thresholds) -> list[Hit]:
    """One hit for each burst that was turned round; orders that only reduce begin none."""
    limits = thresholds.ignition
    taken: dict[tuple[str, str], list[_Taken]] = defaultdict(list)
    for (symbol, order_id), fills in flow.fills_of.items():
        order = flow.order_of.get((symbol, order_id))
        took = tuple(f for f in fills if not f.maker)
        if took and (order is None or not order.reduce_only):
            taken[symbol, took[0].side].append(_Taken(order_id, took))
    found = []
    for (symbol, side), orders in taken.items():
        orders.sort(key=lambda t: (t.fills[0].time, t.order_id))
        back = [f for f in flow.fills if f.symbol == symbol and f.side != side]
        first = 0
        while first < len(orders):
            burst = _burst(orders, first, limits)
            one = _reversed(flow, symbol, burst, back, limits) if _moved(burst, limits) else None
            if one is None:
                first += 1
                continue
            found.append(one)
            first += len(burst)
    return found


def _burst(orders: Sequence[_Taken], first: int, limits: IgnitionThresholds) -> Sequence[_Taken]:
    until = orders[first].fills[0].time + limits.window_ms
    last = first
    while last < len(orders) and orders[last].fills[0].time <= until:
        last += 1
    return orders[first:last]


def _moved(burst: Sequence[_Taken], limits: IgnitionThresholds) -> bool:
    return len(burst) >= limits.orders and _move(burst) >= limits.move


def _move(burst: Sequence[_Taken]) -> Decimal:
    """From the first price paid to the last, as a fraction, positive in the burst's direction."""
    start, end = burst[0].fills[0], burst[-1].fills[-1]
    change = end.price / start.price - 1
    return change if start.side == "BUY" else -change


def _reversed(
    flow: Flow,
    symbol: str,
    burst: Sequence[_Taken],
    back: Sequence[Fill],
    limits: IgnitionThresholds,
) -> Hit | None:
    """The burst as a hit, once enough of it was turned round at a better price."""
    pushed = [f for t in burst for f in t.fills]
    quantity, paid = quantity_of(pushed), average_price(pushed)
    began, ended = pushed[0].time, max(f.time for f in pushed)
    returned: list[Fill] = []
    for fill in back:
        if not began < fill.time <= ended + limits.reversal_ms:
            continue
        if any(flow.one_decision(symbol, t.order_id, fill.order_id) for t in burst):
            continue
        returned.append(fill)
        if quantity_of(returned) >= quantity * limits.reversed_part:
            break
    else:
        return None
    got = average_price(returned)
    side = pushed[0].side
    if not (got > paid if side == "BUY" else got < paid):
        return None
    return hit(
        "momentum-ignition",
        symbol,
        burst[0].order_id,
        max(ended, returned[-1].time),
        f"{len(burst)} aggressive {side} orders of {quantity} {symbol} moved the price by "
        f"{_move(burst):.3%} and {quantity_of(returned)} was turned round at {got:.8g}, "
        f"paid {paid:.8g}",
        {
            "side": side,
            "orderIds": [t.order_id for t in burst[:EVIDENCE]],
            "quantity": str(quantity),
            "paid": str(round(paid, 8)),
            "move": str(round(_move(burst), 6)),
            "burst": [began, ended],
            "reversalOrderIds": sorted({f.order_id for f in returned})[:EVIDENCE],
            "reversed": str(quantity_of(returned)),
            "got": str(round(got, 8)),
            "reversedAt": returned[-1].time,
        },
    )
