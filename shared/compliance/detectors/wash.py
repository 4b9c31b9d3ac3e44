"""Wash trading: the account on both sides of a trade, or in and out again and again for nothing."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from itertools import pairwise

import msgspec

from shared.compliance.detectors.episodes import begins
from shared.compliance.flow import Flow, average_price, quantity_of
from shared.compliance.rules import EVIDENCE, Hit, Thresholds, WashThresholds, hit
from shared.execution.exchange import Fill


def matched(flow: Flow, thresholds: Thresholds) -> list[Hit]:
    """Trades with both sides ours.

    The venue gives both sides one trade id. Where it does not: one moment, price and quantity, one
    side maker and the other taker.
    """
    same_id: dict[tuple[object, ...], list[Fill]] = defaultdict(list)
    same_trade: dict[tuple[object, ...], list[Fill]] = defaultdict(list)
    for fill in flow.fills:
        same_id[fill.symbol, fill.trade_id].append(fill)
        same_trade[fill.symbol, fill.time, fill.price, fill.quantity].append(fill)
    found: dict[str, Hit] = {}
    for groups, by_id in ((same_id, True), (same_trade, False)):
        for group in groups.values():
            buys = [f for f in group if f.side == "BUY"]
            sells = [f for f in group if f.side == "SELL"]
            for buy, sell in zip(buys, sells, strict=False):
                if buy.order_id != sell.order_id and (by_id or buy.maker != sell.maker):
                    one = _self_trade(buy, sell)
                    found.setdefault(one.key, one)
    return list(found.values())


def _self_trade(buy: Fill, sell: Fill) -> Hit:
    return hit(
        "self-trade",
        buy.symbol,
        f"{buy.order_id}-{sell.order_id}",
        max(buy.time, sell.time),
        f"Orders {buy.order_id} and {sell.order_id} of this account were matched with each other: "
        f"{buy.quantity} {buy.symbol} at {buy.price}",
        {
            "buyOrderId": buy.order_id,
            "sellOrderId": sell.order_id,
            "tradeIds": sorted({buy.trade_id, sell.trade_id}),
            "price": str(buy.price),
            "quantity": str(buy.quantity),
            "time": buy.time,
        },
    )


def prevented(flow: Flow, thresholds: Thresholds) -> list[Hit]:
    """Orders that the venue expired because they would have met an own order."""
    found = []
    for order in flow.orders:
        if order.status != "EXPIRED_IN_MATCH":
            continue
        others = [
            o.order_id
            for o in flow.orders
            if o.symbol == order.symbol
            and o.side != order.side
            and o.placed_at <= order.update_time <= max(o.update_time, o.placed_at)
        ]
        found.append(
            hit(
                "self-trade-prevented",
                order.symbol,
                order.order_id,
                order.update_time,
                f"{order.side} order {order.order_id} of {order.quantity} {order.symbol} at "
                f"{order.price} was expired by the exchange: it would have met an own order",
                {
                    "orderId": order.order_id,
                    "clientOrderId": order.client_order_id,
                    "side": order.side,
                    "price": str(order.price),
                    "quantity": str(order.quantity),
                    "otherOrderIds": others[:EVIDENCE],
                    "time": order.update_time,
                },
            )
        )
    return found


class _Executed(msgspec.Struct, frozen=True):
    """An order's executions in one."""

    order_id: int
    side: str
    quantity: Decimal
    price: Decimal
    time: int


def rounds(flow: Flow, thresholds: Thresholds) -> list[Hit]:
    """Turn after turn of one quantity at one price within seconds: three round trips or more."""
    limits = thresholds.wash
    executed: dict[str, list[_Executed]] = defaultdict(list)
    for (symbol, order_id), fills in flow.fills_of.items():
        executed[symbol].append(
            _Executed(
                order_id,
                fills[0].side,
                quantity_of(fills),
                average_price(fills),
                fills[-1].time,
            )
        )
    found = []
    for symbol, orders in executed.items():
        orders.sort(key=lambda o: (o.time, o.order_id))
        turns = [
            (b.time, (a, b))
            for a, b in pairwise(orders)
            if _is_turn(a, b, limits) and not flow.one_decision(symbol, a.order_id, b.order_id)
        ]
        for at, of_window in begins(turns, limits.window_ms, limits.turns):
            ids = list(dict.fromkeys(o.order_id for turn in of_window for o in turn))
            volume = sum((b.quantity for _, b in of_window), of_window[0][0].quantity)
            found.append(
                hit(
                    "wash-rounds",
                    symbol,
                    of_window[-1][1].order_id,
                    at,
                    f"{len(of_window)} turns of {symbol} within {limits.window_ms // 60_000} "
                    f"minutes at one price: {volume} traded, nothing held",
                    {
                        "orderIds": ids[:EVIDENCE],
                        "turns": len(of_window),
                        "volume": str(volume),
                        "limit": limits.turns,
                    },
                )
            )
    return found


def _is_turn(a: _Executed, b: _Executed, limits: WashThresholds) -> bool:
    return (
        a.side != b.side
        and b.time - a.time <= limits.apart_ms
        and abs(a.quantity - b.quantity) <= limits.quantity * a.quantity
        and abs(a.price - b.price) <= limits.price * a.price
    )
