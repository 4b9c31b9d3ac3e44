"""How orders, conditional orders and trades look in the exchange's JSON answers."""

from __future__ import annotations

from local.exchange.views import Json, money, price_text
from shared.simulation.filters import plain
from shared.simulation.orders import AlgoOrder, Amendment, Order, Trade


def _terms(order: Order) -> Json:
    """What every answer shows of an order alike: what it is, and what was asked for."""
    return {
        "clientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "origQty": plain(order.quantity),
        "origType": order.original_type,
        "price": plain(order.price),
        "reduceOnly": order.reduce_only,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": plain(order.stop_price),
        "closePosition": order.close_position,
        "symbol": order.symbol,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "updateTime": order.update_time,
        "workingType": order.working_type,
        "priceProtect": order.price_protect,
        "priceMatch": order.price_match,
        "selfTradePreventionMode": order.self_trade_prevention,
        "goodTillDate": order.good_till,
    }


def order_answer(order: Order, *, average_price: bool, acknowledge: bool) -> Json:
    """An order in the answer to POST and DELETE; an acknowledgement shows it as it was new."""
    executed = "0" if acknowledge else plain(order.executed)
    out = {
        **_terms(order),
        "cumQty": executed,
        "executedQty": executed,
        "status": "NEW" if acknowledge else order.status,
    }
    if average_price:
        out["avgPrice"] = "0.00000" if acknowledge else price_text(order.average_price)
        out["cumQuote"] = "0" if acknowledge else price_text(order.quote)
    return out


def order_row(order: Order) -> Json:
    """An order in the answers to queries."""
    return {
        **_terms(order),
        "avgPrice": price_text(order.average_price) if order.executed else "0.00000",
        "cumQuote": price_text(order.quote),
        "executedQty": plain(order.executed),
        "status": order.status,
        "time": order.time,
    }


def amended_answer(order: Order) -> Json:
    """An order in the answer to an amendment."""
    out = order_answer(order, average_price=False, acknowledge=False)
    out["pair"] = order.symbol
    if order.modify_id is not None:
        out["modifyId"] = order.modify_id
    return out


def amendment_row(amendment: Amendment) -> Json:
    change: Json = {
        "price": {
            "before": plain(amendment.price_before),
            "after": plain(amendment.price_after),
        },
        "origQty": {
            "before": plain(amendment.quantity_before),
            "after": plain(amendment.quantity_after),
        },
        "count": amendment.count,
    }
    if amendment.modify_id is not None:
        change["modifyId"] = amendment.modify_id
    return {
        "amendmentId": amendment.amendment_id,
        "symbol": amendment.symbol,
        "pair": amendment.symbol,
        "orderId": amendment.order_id,
        "clientOrderId": amendment.client_order_id,
        "time": amendment.time,
        "amendment": change,
    }


def force_row(order: Order) -> Json:
    """An order of the venue's own, as forceOrders lists it."""
    out = order_row(order)
    for name in ("priceProtect", "priceMatch", "selfTradePreventionMode", "goodTillDate"):
        del out[name]
    return out


def algo_answer(algo: AlgoOrder) -> Json:
    """A conditional order in the answer to POST."""
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_algo_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.type,
        "symbol": algo.symbol,
        "side": algo.side,
        "positionSide": algo.position_side,
        "timeInForce": algo.time_in_force,
        "quantity": plain(algo.quantity),
        "algoStatus": algo.status,
        "triggerPrice": plain(algo.trigger_price),
        "price": plain(algo.price),
        "icebergQuantity": None,
        "selfTradePreventionMode": algo.self_trade_prevention,
        "workingType": algo.working_type,
        "priceMatch": algo.price_match,
        "closePosition": algo.close_position,
        "priceProtect": algo.price_protect,
        "reduceOnly": algo.reduce_only,
        "activatePrice": "" if algo.activate_price is None else plain(algo.activate_price),
        "callbackRate": "" if algo.callback_rate is None else plain(algo.callback_rate),
        "createTime": algo.create_time,
        "updateTime": algo.update_time,
        "triggerTime": algo.trigger_time,
        "goodTillDate": algo.good_till,
    }


def algo_row(algo: AlgoOrder) -> Json:
    """A conditional order in the answers to queries."""
    out = algo_answer(algo)
    limit = algo.type in ("STOP", "TAKE_PROFIT")
    out["actualOrderId"] = str(algo.order_id) if algo.order_id else ""
    out["actualPrice"] = price_text(algo.actual_price) if algo.actual_quantity else "0.00000"
    out["actualType"] = "LIMIT" if limit else "MARKET"
    out["actualQty"] = plain(algo.actual_quantity)
    for name in ("tpTriggerPrice", "tpPrice", "slTriggerPrice", "slPrice"):
        out[name] = "0.000"
    out["tpOrderType"] = ""
    return out


def trade_row(trade: Trade) -> Json:
    return {
        "symbol": trade.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "side": trade.side,
        "price": plain(trade.price),
        "qty": plain(trade.quantity),
        "realizedPnl": money(trade.realized_pnl),
        "quoteQty": price_text(trade.price * trade.quantity),
        "baseQty": plain(trade.quantity),
        "commission": money(trade.commission),
        "commissionAsset": "USDT",
        "marginAsset": "USDT",
        "time": trade.time,
        "positionSide": trade.position_side,
        "buyer": trade.side == "BUY",
        "maker": trade.maker,
        "pair": trade.symbol,
    }
