"""Plain order endpoints."""

from __future__ import annotations

from typing import Any

import msgspec

from local.exchange.endpoints import Call, endpoint, per_symbol
from local.exchange.order_views import amended_answer, amendment_row, order_answer, order_row
from local.exchange.parameters import Parameters, missing, refuse_unwanted, unwanted
from shared.simulation.entry import CONDITIONAL_TYPES
from shared.simulation.orders import ZERO, NewOrder, Order
from shared.simulation.refusal import VenueRefusal

DAY_MS = 86_400_000
#: OPPONENT_10 and OPPONENT_20 are suspended since 2025-10-23.
_PRICE_MATCHES = frozenset(
    {"NONE", "OPPONENT", "OPPONENT_5", "QUEUE", "QUEUE_5", "QUEUE_10", "QUEUE_20"}
)
_TIMES_IN_FORCE = frozenset({"GTC", "IOC", "FOK", "GTX", "GTD"})
_PREVENTIONS = frozenset({"EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"})
#: Conditional orders may also have none.
PREVENTIONS = _PREVENTIONS | {"NONE"}


BAD_SIDE = (-1117, "Invalid side.")
BAD_TYPE = (-1116, "Invalid orderType.")
BAD_TIME_IN_FORCE = (-1115, "Invalid timeInForce.")


def price_match(p: Parameters, *, limit: bool) -> str:
    """The price match asked for, ``NONE`` without one; it takes the place of a limit price."""
    match = p.choice(
        "priceMatch", _PRICE_MATCHES, default="NONE", refusal=(-5037, "Invalid price match")
    )
    if match != "NONE" and not limit:
        raise VenueRefusal(
            -5038, "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT"
        )
    if match != "NONE" and p.optional("price"):
        raise unwanted("price")
    return match


def good_till(p: Parameters, time_in_force: str) -> int:
    """When an order asks to be ended: GTD orders have to, no other may."""
    date = p.optional_integer("goodTillDate")
    if time_in_force == "GTD":
        if not date:
            raise missing("goodTillDate")
        return date
    if date:
        raise unwanted("goodTillDate")
    return 0


def new_order(p: Parameters) -> NewOrder:
    """A plain order from request parameters.

    Raises
    ------
    VenueRefusal
        A parameter is missing, malformed or does not go with the type.
    """
    symbol = p.text("symbol")
    side = p.choice("side", ("BUY", "SELL"), refusal=BAD_SIDE)
    kind = p.text("type")
    if kind in CONDITIONAL_TYPES:
        raise VenueRefusal(-4120)
    if kind not in ("LIMIT", "MARKET"):
        raise VenueRefusal(*BAD_TYPE)
    refuse_unwanted(p, "stopPrice", "activationPrice", "callbackRate")
    if p.flag("closePosition"):
        raise VenueRefusal(
            -4136, f"Target strategy invalid for orderType: {kind}, closePosition: true."
        )
    limit = kind == "LIMIT"
    match = price_match(p, limit=limit)
    price = ZERO
    if limit:
        if match == "NONE":
            price = p.decimal("price")
        if not p.optional("timeInForce"):
            raise missing("timeInForce")
    else:
        refuse_unwanted(p, "price", "timeInForce")
    force = p.choice("timeInForce", _TIMES_IN_FORCE, default="GTC", refusal=BAD_TIME_IN_FORCE)
    return NewOrder(
        symbol=symbol,
        side=side,
        type=kind,
        quantity=p.decimal("quantity"),
        price=price,
        time_in_force=force,
        position_side=p.optional("positionSide") or "BOTH",
        reduce_only=p.flag("reduceOnly"),
        client_order_id=p.client_id("newClientOrderId"),
        self_trade_prevention=p.choice(
            "selfTradePreventionMode",
            _PREVENTIONS,
            default="EXPIRE_MAKER",
            refusal=(-5039, "Invalid self trade prevention mode."),
        ),
        good_till=good_till(p, force),
        price_match=match,
    )


def _amend(call: Call, p: Parameters) -> dict[str, Any]:
    order = _named(call, p)
    match = price_match(p, limit=True)
    amended = call.venue.amend_order(
        call.owner,
        order,
        side=p.choice("side", ("BUY", "SELL"), refusal=BAD_SIDE),
        quantity=p.decimal("quantity"),
        price=p.decimal("price") if match == "NONE" else ZERO,
        price_match=match,
        modify_id=p.optional_integer("modifyId"),
        reduce_only=p.flag("reduceOnly"),
    )
    return amended_answer(amended)


@endpoint("PUT", "/fapi/v1/order", weight=0, orders=(1, 1))
def amend_order(call: Call) -> Any:
    return _amend(call, call.parameters)


@endpoint("GET", "/fapi/v1/orderAmendment")
def order_amendments(call: Call) -> Any:
    p = call.parameters
    order = _named(call, p)
    limit = p.limit(50, 100)
    start, end = time_range(call, 90 * DAY_MS, 90 * DAY_MS)
    if order is None:
        return []
    rows = [
        a for a in call.owner.amendments if a.order_id == order.order_id and start <= a.time <= end
    ]
    return [amendment_row(a) for a in reversed(rows[-limit:])]


def _place(call: Call, p: Parameters) -> dict[str, Any]:
    wanted = p.choice(
        "newOrderRespType",
        ("ACK", "RESULT"),
        default="ACK",
        refusal=(-1136, "Invalid newOrderRespType."),
    )
    order = call.venue.place_order(call.owner, new_order(p))
    return order_answer(
        order,
        average_price=call.api.average_price_in_answers,
        # The result is awaited only for orders that end at once.
        acknowledge=wanted == "ACK"
        or (order.type == "LIMIT" and order.time_in_force not in ("IOC", "FOK")),
    )


@endpoint("POST", "/fapi/v1/order", weight=0, orders=(1, 1))
def place_order(call: Call) -> Any:
    return _place(call, call.parameters)


@endpoint("POST", "/fapi/v1/order/test", weight=0)
def test_order(call: Call) -> Any:
    order = call.venue.test_order(call.owner, new_order(call.parameters))
    # The answer shows the order as it would have been accepted.
    return order_answer(order, average_price=True, acknowledge=True)


def visible(order: Order, now: int) -> bool:
    """Orders without a fill are forgotten 3 days after they ended, all others after 90."""
    if order.is_open:
        return True
    age = now - order.update_time
    return age <= (90 if order.executed else 3) * DAY_MS


def _named_order(call: Call) -> Order | None:
    return _named(call, call.parameters)


def _named(call: Call, p: Parameters) -> Order | None:
    symbol = p.text("symbol")
    call.venue.core.contract(symbol)
    order_id = p.optional_integer("orderId")
    client_id = p.optional("origClientOrderId")
    if order_id is None and client_id is None:
        raise VenueRefusal(
            -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        )
    return call.venue.find_order(call.owner, symbol, order_id=order_id, client_order_id=client_id)


@endpoint("GET", "/fapi/v1/order")
def get_order(call: Call) -> Any:
    order = _named_order(call)
    if order is None or not visible(order, call.venue.now):
        raise VenueRefusal(-2013)
    return order_row(order)


@endpoint("GET", "/fapi/v1/openOrder")
def get_open_order(call: Call) -> Any:
    order = _named_order(call)
    if order is None or not order.is_open:
        raise VenueRefusal(-2013)
    return order_row(order)


@endpoint("DELETE", "/fapi/v1/order")
def cancel_order(call: Call) -> Any:
    order = call.venue.cancel_order(call.owner, _named_order(call))
    return order_answer(order, average_price=call.api.average_price_in_answers, acknowledge=False)


@endpoint("GET", "/fapi/v1/openOrders", weight=per_symbol(1, 40))
def open_orders(call: Call) -> Any:
    symbol = call.parameters.optional("symbol")
    if symbol:
        call.venue.core.contract(symbol)
    account = call.owner
    books = [account.open_orders.get(symbol, {})] if symbol else account.open_orders.values()
    return [order_row(order) for book in books for order in book.values()]


def time_range(call: Call, default_ms: int, most_ms: int) -> tuple[int, int]:
    """The asked-for range of times, both ends included."""
    p = call.parameters
    start, end = p.optional_integer("startTime"), p.optional_integer("endTime")
    if start is None and end is None:
        return call.venue.now - default_ms, call.venue.now
    if start is None:
        start = (end or 0) - default_ms
    if end is None:
        end = min(call.venue.now, start + most_ms)
    if end < start:
        raise VenueRefusal(-1023, "Start time is greater than end time.")
    if end - start > most_ms:
        if most_ms < 30 * DAY_MS:
            raise VenueRefusal(-4165, f"Maximum time interval is {most_ms // DAY_MS} days.")
        raise VenueRefusal(-4166, "Search window is restricted to recent 90 days only.")
    return start, end


@endpoint("GET", "/fapi/v1/allOrders", weight=5)
def all_orders(call: Call) -> Any:
    p = call.parameters
    symbol = p.optional("symbol")
    if symbol:
        call.venue.core.contract(symbol)
    limit = p.limit(500, 1000)
    first_id = p.optional_integer("orderId")
    orders = [
        order
        for order in call.owner.orders.values()
        if (symbol is None or order.symbol == symbol) and visible(order, call.venue.now)
    ]
    if first_id is not None:
        chosen = [order for order in orders if order.order_id >= first_id][:limit]
    else:
        start, end = time_range(call, 7 * DAY_MS, 7 * DAY_MS)
        chosen = [order for order in orders if start <= order.time <= end][-limit:]
    return [{**order_row(o), "pair": o.symbol, "cumBase": str(o.executed)} for o in chosen]


@endpoint("DELETE", "/fapi/v1/allOpenOrders")
def cancel_all_orders(call: Call) -> Any:
    call.venue.cancel_all_orders(call.owner, call.parameters.text("symbol"))
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def _json_list(text: str, name: str) -> list[Any]:
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        found = None
    if not isinstance(found, list):
        raise VenueRefusal(-1130, f"Data sent for parameter '{name}' is not valid.")
    return found


def _each(items: list[Any], run: Any) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for item in items:
        try:
            out.append(run(item))
        except VenueRefusal as refusal:
            out.append({"code": refusal.code, "msg": refusal.message})
    return out


def _batch(call: Call) -> list[Any]:
    """The orders of a batch, at most five."""
    items = _json_list(call.parameters.text("batchOrders"), "batchOrders")
    if not 1 <= len(items) <= 5:
        raise VenueRefusal(-4082, "Invalid number of batch place orders.")
    return items


@endpoint("POST", "/fapi/v1/batchOrders", weight=5, orders=(5, 1))
def place_batch(call: Call) -> Any:
    return _each(_batch(call), lambda item: _place(call, _item(item)))


@endpoint("PUT", "/fapi/v1/batchOrders", weight=5, orders=(5, 1))
def amend_batch(call: Call) -> Any:
    return _each(_batch(call), lambda item: _amend(call, _item(item)))


def _item(item: Any) -> Parameters:
    """One order of a batch as parameters."""
    if not isinstance(item, dict):
        raise VenueRefusal(-1130, "Data sent for parameter 'batchOrders' is not valid.")
    return Parameters(
        {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in item.items()
            if value is not None
        }
    )


@endpoint("DELETE", "/fapi/v1/batchOrders")
def cancel_batch(call: Call) -> Any:
    p = call.parameters
    symbol = p.text("symbol")
    call.venue.core.contract(symbol)
    # python-binance only sends these lists in lower case.
    ids = p.optional("orderIdList") or p.optional("orderidlist")
    names = p.optional("origClientOrderIdList") or p.optional("origclientorderidlist")
    if not ids and not names:
        raise missing("orderIdList")
    items = _json_list(ids or names or "", "orderIdList" if ids else "origClientOrderIdList")
    if not 1 <= len(items) <= 10:
        raise VenueRefusal(-4032, "Exceed maximum cancel order size.")
    if ids and not all(str(item).isascii() and str(item).isdigit() for item in items):
        raise VenueRefusal(-1130, "Data sent for parameter 'orderIdList' is not valid.")

    def run(item: Any) -> dict[str, Any]:
        order = (
            call.venue.find_order(call.owner, symbol, order_id=int(item))
            if ids
            else call.venue.find_order(call.owner, symbol, client_order_id=str(item))
        )
        return order_answer(
            call.venue.cancel_order(call.owner, order),
            average_price=call.api.average_price_in_answers,
            acknowledge=False,
        )

    return _each(items, run)


@endpoint("POST", "/fapi/v1/countdownCancelAll", weight=10)
def countdown_cancel_all(call: Call) -> Any:
    symbol = call.parameters.text("symbol")
    countdown = call.parameters.integer("countdownTime")
    if countdown < 0:
        raise VenueRefusal(-1130, "Data sent for parameter 'countdownTime' is not valid.")
    call.venue.set_countdown(call.owner, symbol, countdown)
    return {"symbol": symbol, "countdownTime": str(countdown)}
