"""What Binance answers about orders, as our records: plain ones, conditional ones, fills."""

from __future__ import annotations

from decimal import Decimal
from typing import cast

from shared.execution.binance.answers.decoding import Raw, decimal, decode, decoder, listed, one
from shared.execution.exchange import (
    AlgoStatus,
    Fill,
    OrderStatus,
    Side,
    VenueAlgoOrder,
    VenueOrder,
)


class _Order(Raw):
    symbol: str
    order_id: int
    client_order_id: str
    side: str
    type: str
    status: str
    orig_qty: Decimal
    executed_qty: Decimal
    price: Decimal
    reduce_only: bool
    update_time: int
    avg_price: str = ""
    time: int = 0
    time_in_force: str = ""


class _AlgoOrder(Raw):
    symbol: str
    algo_id: int
    client_algo_id: str
    side: str
    order_type: str
    algo_status: str
    working_type: str
    reduce_only: bool
    close_position: bool
    update_time: int
    create_time: int = 0
    quantity: str = ""
    trigger_price: str | None = None
    # Text, empty before triggering.
    actual_order_id: str | int = ""


class _Trade(Raw):
    symbol: str
    id: int
    order_id: int
    side: str
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    realized_pnl: Decimal
    maker: bool
    time: int


_ORDERS = decoder(list[_Order])
_ALGO_ORDERS = decoder(list[_AlgoOrder])
_TRADES = decoder(list[_Trade])


def orders(body: bytes) -> list[VenueOrder]:
    return [_order(o) for o in listed(_ORDERS, body)]


def order(body: bytes) -> VenueOrder:
    return _order(one(listed(_ORDERS, body)))


def _order(o: _Order) -> VenueOrder:
    # "0.00000" before the first fill is Binance's way of saying there is none.
    average = decimal(o.avg_price) if o.avg_price else None
    return VenueOrder(
        symbol=o.symbol,
        order_id=o.order_id,
        client_order_id=o.client_order_id,
        side=cast("Side", o.side),
        type=o.type,
        status=cast("OrderStatus", o.status),
        quantity=o.orig_qty,
        executed_quantity=o.executed_qty,
        price=o.price,
        average_price=average or None,
        reduce_only=o.reduce_only,
        update_time=o.update_time,
        placed_at=o.time,
        time_in_force=o.time_in_force,
    )


def algo_orders(body: bytes) -> list[VenueAlgoOrder]:
    return [_algo_order(a) for a in listed(_ALGO_ORDERS, body)]


def algo_order(body: bytes) -> VenueAlgoOrder:
    return _algo_order(one(listed(_ALGO_ORDERS, body)))


def _algo_order(a: _AlgoOrder) -> VenueAlgoOrder:
    trigger = decimal(a.trigger_price) if a.trigger_price else None
    produced = str(a.actual_order_id)
    return VenueAlgoOrder(
        symbol=a.symbol,
        algo_id=a.algo_id,
        client_algo_id=a.client_algo_id,
        side=cast("Side", a.side),
        type=a.order_type,
        status=cast("AlgoStatus", a.algo_status),
        # A close-position stop names no quantity: it closes whatever there is.
        quantity=decimal(a.quantity) if a.quantity else Decimal(0),
        # A trailing stop has none (empty, or zero) until it trails.
        trigger_price=trigger or None,
        working_type=a.working_type,
        reduce_only=a.reduce_only,
        close_position=a.close_position,
        order_id=int(produced) if produced.isdigit() and produced != "0" else None,
        update_time=a.update_time,
        placed_at=a.create_time,
    )


def fills(body: bytes) -> list[Fill]:
    return [
        Fill(
            symbol=t.symbol,
            trade_id=t.id,
            order_id=t.order_id,
            side=cast("Side", t.side),
            price=t.price,
            quantity=t.qty,
            commission=t.commission,
            commission_asset=t.commission_asset,
            realized_pnl=t.realized_pnl,
            maker=t.maker,
            time=t.time,
        )
        for t in decode(_TRADES, body)
    ]
