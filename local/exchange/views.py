"""How the exchange's records look in its JSON answers. Nearly every number is a string."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from shared.simulation.account import AccountState
from shared.simulation.balances import (
    Balances,
    PositionFigures,
    figures,
    liquidation_price,
    order_margin,
    order_notionals,
)
from shared.simulation.contracts import Contract
from shared.simulation.core import VenueCore
from shared.simulation.filters import plain
from shared.simulation.orders import (
    AlgoOrder,
    Amendment,
    IncomeEntry,
    MarginMove,
    Order,
    Position,
    Trade,
)

Json = dict[str, Any]


def money(value: Decimal) -> str:
    return f"{value:.8f}"


def price_text(value: Decimal) -> str:
    """A price of full precision, at most eight decimals, no trailing zeros."""
    return plain(Decimal(f"{value:.8f}"))


def order_answer(order: Order, *, average_price: bool, acknowledge: bool) -> Json:
    """An order in the answer to POST and DELETE; an acknowledgement shows it as it was new."""
    executed = "0" if acknowledge else plain(order.executed)
    out: Json = {
        "clientOrderId": order.client_order_id,
        "cumQty": executed,
        "executedQty": executed,
        "orderId": order.order_id,
        "origQty": plain(order.quantity),
        "price": plain(order.price),
        "reduceOnly": order.reduce_only,
        "side": order.side,
        "positionSide": order.position_side,
        "status": "NEW" if acknowledge else order.status,
        "stopPrice": plain(order.stop_price),
        "closePosition": order.close_position,
        "symbol": order.symbol,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "origType": order.original_type,
        "updateTime": order.update_time,
        "workingType": order.working_type,
        "priceProtect": order.price_protect,
        "priceMatch": order.price_match,
        "selfTradePreventionMode": order.self_trade_prevention,
        "goodTillDate": order.good_till,
    }
    if average_price:
        out["avgPrice"] = "0.00000" if acknowledge else price_text(order.average_price)
        out["cumQuote"] = "0" if acknowledge else price_text(order.quote)
    return out


def order_row(order: Order) -> Json:
    """An order in the answers to queries."""
    return {
        "avgPrice": price_text(order.average_price) if order.executed else "0.00000",
        "clientOrderId": order.client_order_id,
        "cumQuote": price_text(order.quote),
        "executedQty": plain(order.executed),
        "orderId": order.order_id,
        "origQty": plain(order.quantity),
        "origType": order.original_type,
        "price": plain(order.price),
        "reduceOnly": order.reduce_only,
        "side": order.side,
        "positionSide": order.position_side,
        "status": order.status,
        "stopPrice": plain(order.stop_price),
        "closePosition": order.close_position,
        "symbol": order.symbol,
        "time": order.time,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "updateTime": order.update_time,
        "workingType": order.working_type,
        "priceProtect": order.price_protect,
        "priceMatch": order.price_match,
        "selfTradePreventionMode": order.self_trade_prevention,
        "goodTillDate": order.good_till,
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


def margin_move_row(move: MarginMove) -> Json:
    return {
        "symbol": move.symbol,
        "type": 1 if move.amount > 0 else 2,
        "deltaType": "USER_ADJUST",
        "amount": plain(abs(move.amount)),
        "asset": "USDT",
        "time": move.time,
        "positionSide": move.side,
    }


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


def income_row(entry: IncomeEntry) -> Json:
    return {
        "symbol": entry.symbol,
        "incomeType": entry.kind,
        "income": money(entry.amount),
        "asset": "USDT",
        "info": entry.info,
        "time": entry.time,
        "tranId": entry.transaction_id,
        "tradeId": str(entry.trade_id) if entry.trade_id else "",
    }


def balance_fields(b: Balances) -> Json:
    return {
        "totalInitialMargin": money(b.position_margin + b.order_margin),
        "totalMaintMargin": money(b.maintenance),
        "totalWalletBalance": money(b.wallet),
        "totalUnrealizedProfit": money(b.unrealized),
        "totalMarginBalance": money(b.margin_balance),
        "totalPositionInitialMargin": money(b.position_margin),
        "totalOpenOrderInitialMargin": money(b.order_margin),
        "totalCrossWalletBalance": money(b.cross_wallet),
        "totalCrossUnPnl": money(b.cross_unrealized),
        "availableBalance": money(b.available),
        "maxWithdrawAmount": money(b.available),
    }


def asset_row(b: Balances, now: int) -> Json:
    return {
        "asset": "USDT",
        "walletBalance": money(b.wallet),
        "unrealizedProfit": money(b.unrealized),
        "marginBalance": money(b.margin_balance),
        "maintMargin": money(b.maintenance),
        "initialMargin": money(b.position_margin + b.order_margin),
        "positionInitialMargin": money(b.position_margin),
        "openOrderInitialMargin": money(b.order_margin),
        "crossWalletBalance": money(b.cross_wallet),
        "crossUnPnl": money(b.cross_unrealized),
        "availableBalance": money(b.available),
        "maxWithdrawAmount": money(b.available),
        "updateTime": now,
    }


def account_position(core: VenueCore, account: AccountState, position: Position) -> Json:
    """A position in v3/account."""
    f = figures(core, account, position)
    orders = order_margin(core, account, position.symbol)
    return {
        "symbol": position.symbol,
        "positionSide": position.side,
        "positionAmt": plain(position.quantity),
        "unrealizedProfit": money(f.unrealized),
        "isolatedMargin": _isolated_margin(position, f),
        "notional": price_text(f.notional),
        "isolatedWallet": price_text(position.isolated_wallet),
        "initialMargin": price_text(f.initial_margin + orders),
        "maintMargin": price_text(f.maintenance),
        "updateTime": position.update_time,
    }


def account_position_v2(core: VenueCore, account: AccountState, position: Position) -> Json:
    """A position in v2/account, which lists every symbol."""
    f = figures(core, account, position)
    orders = order_margin(core, account, position.symbol)
    bids, asks = order_notionals(account, position.symbol)
    return {
        "symbol": position.symbol,
        "initialMargin": price_text(f.initial_margin + orders),
        "maintMargin": price_text(f.maintenance),
        "unrealizedProfit": money(f.unrealized),
        "positionInitialMargin": price_text(f.initial_margin),
        "openOrderInitialMargin": price_text(orders),
        "leverage": str(f.leverage),
        "isolated": f.isolated,
        "entryPrice": price_text(position.entry_price),
        "breakEvenPrice": price_text(position.break_even_price),
        "maxNotional": plain(core.contract(position.symbol).largest_notional(f.leverage)),
        "bidNotional": price_text(bids),
        "askNotional": price_text(asks),
        "positionSide": position.side,
        "positionAmt": plain(position.quantity),
        "notional": price_text(f.notional),
        "isolatedWallet": price_text(position.isolated_wallet),
        "updateTime": position.update_time,
    }


def position_risk(core: VenueCore, account: AccountState, position: Position) -> Json:
    """A row of v3/positionRisk."""
    f = figures(core, account, position)
    orders = order_margin(core, account, position.symbol)
    bids, asks = order_notionals(account, position.symbol)
    liquidation = liquidation_price(core, account, position)
    return {
        "symbol": position.symbol,
        "positionSide": position.side,
        "positionAmt": plain(position.quantity),
        "entryPrice": price_text(position.entry_price),
        "breakEvenPrice": price_text(position.break_even_price),
        "markPrice": money(f.mark_price),
        "unRealizedProfit": money(f.unrealized),
        "liquidationPrice": price_text(liquidation),
        "isolatedMargin": _isolated_margin(position, f),
        "notional": price_text(f.notional),
        "marginAsset": "USDT",
        "isolatedWallet": price_text(position.isolated_wallet),
        "initialMargin": price_text(f.initial_margin + orders),
        "maintMargin": price_text(f.maintenance),
        "positionInitialMargin": price_text(f.initial_margin),
        "openOrderInitialMargin": price_text(orders),
        "adl": 1 if position.quantity else 0,
        "bidNotional": price_text(bids),
        "askNotional": price_text(asks),
        "updateTime": position.update_time,
    }


def position_risk_v2(core: VenueCore, account: AccountState, position: Position) -> Json:
    """A row of v2/positionRisk, with leverage and margin type."""
    row = position_risk(core, account, position)
    settings = account.setting(position.symbol)
    keep = (
        "symbol",
        "positionAmt",
        "entryPrice",
        "breakEvenPrice",
        "markPrice",
        "unRealizedProfit",
        "liquidationPrice",
        "isolatedMargin",
        "notional",
        "isolatedWallet",
        "positionSide",
        "updateTime",
    )
    out = {name: row[name] for name in keep}
    out["marginType"] = "isolated" if settings.isolated else "cross"
    out["isAutoAddMargin"] = "false"
    out["leverage"] = str(settings.leverage)
    largest = core.contract(position.symbol).largest_notional(settings.leverage)
    out["maxNotionalValue"] = plain(largest)
    return out


def _isolated_margin(position: Position, f: PositionFigures) -> str:
    return money(position.isolated_wallet + f.unrealized if f.isolated else Decimal(0))


def contract_row(contract: Contract) -> Json:
    """A symbol of exchangeInfo."""
    i = contract.instrument
    first = contract.brackets[0]
    return {
        "symbol": i.symbol,
        "pair": i.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": contract.onboard_date,
        "status": i.status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": contract.base_asset,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": contract.price_precision,
        "quantityPrecision": contract.quantity_precision,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"] if first.leverage > 100 else ["Layer-1"],
        "triggerProtect": str(i.trigger_protect),
        "liquidationFee": str(i.liquidation_fee),
        "marketTakeBound": str(i.market_take_bound),
        "maxMoveOrderLimit": 10000,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": str(i.min_price),
                "maxPrice": str(i.max_price),
                "tickSize": str(i.tick_size),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": str(i.min_quantity),
                "maxQty": str(i.max_quantity),
                "stepSize": str(i.step_size),
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": str(i.market_min_quantity),
                "maxQty": str(i.market_max_quantity),
                "stepSize": str(i.market_step_size),
            },
            {"filterType": "MAX_NUM_ORDERS", "limit": contract.max_orders},
            {"filterType": "MIN_NOTIONAL", "notional": str(i.min_notional)},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": str(i.multiplier_up),
                "multiplierDown": str(i.multiplier_down),
                "multiplierDecimal": "4",
            },
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
        "orderTypes": [
            "LIMIT",
            "MARKET",
            "STOP",
            "STOP_MARKET",
            "TAKE_PROFIT",
            "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET",
        ],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY", "DCA", "PSB"],
    }
