"""What has become of orders: an account's trades, and orders that the venue itself placed."""

from __future__ import annotations

from typing import Any

from local.exchange.endpoints import Call, endpoint
from local.exchange.order_routes import DAY_MS, time_range
from local.exchange.order_views import force_row, trade_row
from local.exchange.parameters import Parameters
from shared.simulation.account import AccountState
from shared.simulation.refusal import VenueRefusal

#: How client ids of the venue's own orders begin.
AUTO_CLOSES = {"LIQUIDATION": "autoclose-", "ADL": "adl_autoclose"}


@endpoint("GET", "/fapi/v1/userTrades", weight=5)
def user_trades(call: Call) -> Any:
    p = call.parameters
    symbol = p.text("symbol")
    call.venue.core.contract(symbol)
    limit = p.limit(500, 1000)
    order_id, from_id = p.optional_integer("orderId"), p.optional_integer("fromId")
    if from_id is not None and (p.optional("startTime") or p.optional("endTime")):
        raise VenueRefusal(-1128, "Combination of optional parameters invalid.")
    trades = [
        trade
        for trade in _trades(call.owner, order_id)
        if trade.symbol == symbol and trade.time >= call.venue.now - 90 * DAY_MS
    ]
    if from_id is not None:
        chosen = [trade for trade in trades if trade.trade_id >= from_id][:limit]
    elif order_id is not None:
        chosen = trades[-limit:]
    else:
        start, end = time_range(call, 7 * DAY_MS, 7 * DAY_MS)
        chosen = [trade for trade in trades if start <= trade.time <= end]
        chosen = chosen[:limit] if p.optional("startTime") else chosen[-limit:]
    return [trade_row(trade) for trade in chosen]


def _trades(account: AccountState, order_id: int | None) -> list[Any]:
    if order_id is not None:
        return account.trades_of.get(order_id, [])
    return account.trades


def _force_weight(parameters: Parameters) -> int:
    return 20 if parameters.optional("symbol") else 50


@endpoint("GET", "/fapi/v1/forceOrders", weight=_force_weight)
def force_orders(call: Call) -> Any:
    """Orders by which the venue itself reduced a position."""
    p = call.parameters
    symbol = p.optional("symbol")
    if symbol:
        call.venue.core.contract(symbol)
    kind = p.choice(
        "autoCloseType",
        tuple(AUTO_CLOSES),
        default="",
        refusal=(-1130, "Data sent for parameter 'autoCloseType' is not valid."),
    )
    prefixes = (AUTO_CLOSES[kind],) if kind else tuple(AUTO_CLOSES.values())
    limit = p.limit(50, 100)
    start, end = time_range(call, 7 * DAY_MS, 7 * DAY_MS)
    rows = [
        order
        for order in call.owner.orders.values()
        if order.client_order_id.startswith(prefixes)
        and (symbol is None or order.symbol == symbol)
        and start <= order.time <= end
    ]
    return [force_row(order) for order in reversed(rows[-limit:])]
