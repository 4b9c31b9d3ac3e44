"""Conditional ("algo") order endpoints."""

from __future__ import annotations

from typing import Any

from local.exchange.endpoints import Call, endpoint, per_symbol
from local.exchange.order_routes import (
    BAD_SIDE,
    BAD_TIME_IN_FORCE,
    BAD_TYPE,
    DAY_MS,
    PREVENTIONS,
    good_till,
    price_match,
    time_range,
)
from local.exchange.order_views import algo_answer, algo_row
from local.exchange.parameters import Parameters, refuse_unwanted
from shared.simulation.entry import CONDITIONAL_TYPES
from shared.simulation.orders import ZERO, AlgoOrder, NewAlgoOrder
from shared.simulation.refusal import VenueRefusal

_TIMES_IN_FORCE = frozenset({"GTC", "IOC", "FOK", "GTX", "GTD", "GTE_GTC"})


def new_algo_order(p: Parameters) -> NewAlgoOrder:
    """A conditional order from request parameters."""
    if p.text("algoType") != "CONDITIONAL":
        raise VenueRefusal(-1130, "Data sent for parameter 'algoType' is not valid.")
    kind = p.text("type")
    if kind not in CONDITIONAL_TYPES:
        raise VenueRefusal(*BAD_TYPE)
    closing = p.flag("closePosition")
    quantity = p.optional_decimal("quantity")
    if quantity is None:
        quantity = ZERO if closing else p.decimal("quantity")
    limit = kind in ("STOP", "TAKE_PROFIT")
    match = price_match(p, limit=limit)
    if not limit:
        refuse_unwanted(p, "price")
    if kind != "TRAILING_STOP_MARKET":
        refuse_unwanted(p, "activatePrice", "callbackRate")
    force = p.choice(
        "timeInForce",
        _TIMES_IN_FORCE,
        default="GTE_GTC" if closing else "GTC",
        refusal=BAD_TIME_IN_FORCE,
    )
    return NewAlgoOrder(
        symbol=p.text("symbol"),
        side=p.choice("side", ("BUY", "SELL"), refusal=BAD_SIDE),
        type=kind,
        quantity=quantity,
        price=p.decimal("price") if limit and match == "NONE" else ZERO,
        trigger_price=p.optional_decimal("triggerPrice"),
        time_in_force=force,
        position_side=p.optional("positionSide") or "BOTH",
        working_type=p.choice(
            "workingType",
            ("MARK_PRICE", "CONTRACT_PRICE"),
            default="CONTRACT_PRICE",
            refusal=(-4031, "Invalid parameter working type"),
        ),
        close_position=closing,
        price_protect=p.flag("priceProtect"),
        reduce_only=p.flag("reduceOnly"),
        activate_price=p.optional_decimal("activatePrice"),
        callback_rate=p.optional_decimal("callbackRate"),
        client_algo_id=p.client_id("clientAlgoId"),
        self_trade_prevention=p.choice(
            "selfTradePreventionMode",
            PREVENTIONS,
            default="EXPIRE_MAKER",
            refusal=(-5039, "Invalid self trade prevention mode."),
        ),
        good_till=good_till(p, force),
        price_match=match,
    )


@endpoint("POST", "/fapi/v1/algoOrder", weight=0, orders=(1, 1))
def place_algo_order(call: Call) -> Any:
    request = new_algo_order(call.parameters)
    return algo_answer(call.venue.place_algo_order(call.owner, request))


def _named(call: Call) -> AlgoOrder | None:
    p = call.parameters
    algo_id, client_id = p.optional_integer("algoId"), p.optional("clientAlgoId")
    if algo_id is None and client_id is None:
        raise VenueRefusal(
            -1102, "Param 'clientAlgoId' or 'algoId' must be sent, but both were empty/null!"
        )
    return call.venue.find_algo_order(call.owner, algo_id=algo_id, client_algo_id=client_id)


@endpoint("GET", "/fapi/v1/algoOrder")
def get_algo_order(call: Call) -> Any:
    algo = _named(call)
    if algo is None or not _visible(call, algo) or not _remembered(call, algo):
        raise VenueRefusal(-2013)
    return algo_row(algo)


def _visible(call: Call, algo: AlgoOrder) -> bool:
    """Whether queries see it yet."""
    return call.venue.now - algo.create_time >= call.api.algo_query_lag_ms


def _remembered(call: Call, algo: AlgoOrder) -> bool:
    """A query by id forgets orders that ended long ago, as for plain ones; the history does not."""
    age = call.venue.now - algo.update_time
    return algo.is_open or age <= (90 if algo.actual_quantity else 3) * DAY_MS


@endpoint("DELETE", "/fapi/v1/algoOrder")
def cancel_algo_order(call: Call) -> Any:
    algo = call.venue.cancel_algo_order(call.owner, _named(call))
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_algo_id,
        "code": "200",
        "msg": "success",
    }


@endpoint("GET", "/fapi/v1/openAlgoOrders", weight=per_symbol(1, 40))
def open_algo_orders(call: Call) -> Any:
    p = call.parameters
    symbol, algo_id = p.optional("symbol"), p.optional_integer("algoId")
    if symbol:
        call.venue.core.contract(symbol)
    account = call.owner
    books = [account.open_algos.get(symbol, {})] if symbol else account.open_algos.values()
    return [
        algo_row(algo)
        for book in books
        for algo in book.values()
        if (algo_id is None or algo.algo_id == algo_id) and _visible(call, algo)
    ]


@endpoint("DELETE", "/fapi/v1/algoOpenOrders")
def cancel_all_algo_orders(call: Call) -> Any:
    call.venue.cancel_all_algo_orders(call.owner, call.parameters.text("symbol"))
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


@endpoint("GET", "/fapi/v1/allAlgoOrders", weight=5)
def all_algo_orders(call: Call) -> Any:
    p = call.parameters
    symbol = p.text("symbol")
    call.venue.core.contract(symbol)
    limit = p.limit(500, 1000)
    first_id = p.optional_integer("algoId")
    algos = [a for a in call.owner.algos.values() if a.symbol == symbol and _visible(call, a)]
    if first_id is not None:
        chosen = [algo for algo in algos if algo.algo_id >= first_id][:limit]
    else:
        start, end = time_range(call, 7 * DAY_MS, 7 * DAY_MS)
        chosen = [algo for algo in algos if start <= algo.create_time <= end][-limit:]
    return [algo_row(algo) for algo in chosen]
