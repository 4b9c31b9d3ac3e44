"""How accounts and contracts look in the exchange's JSON answers.

Nearly every number is a string.
"""

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
from shared.simulation.orders import IncomeEntry, MarginMove, Position

Json = dict[str, Any]


def money(value: Decimal) -> str:
    return f"{value:.8f}"


def price_text(value: Decimal) -> str:
    """A price of full precision, at most eight decimals, no trailing zeros."""
    return f"{value:.8f}".rstrip("0").rstrip(".")


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
    available = money(b.available)
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
        "availableBalance": available,
        "maxWithdrawAmount": available,
    }


#: Fields of an asset's row beside those of the account: there is one asset.
_ASSET_FIELDS = {
    "walletBalance": "totalWalletBalance",
    "unrealizedProfit": "totalUnrealizedProfit",
    "marginBalance": "totalMarginBalance",
    "maintMargin": "totalMaintMargin",
    "initialMargin": "totalInitialMargin",
    "positionInitialMargin": "totalPositionInitialMargin",
    "openOrderInitialMargin": "totalOpenOrderInitialMargin",
    "crossWalletBalance": "totalCrossWalletBalance",
    "crossUnPnl": "totalCrossUnPnl",
    "availableBalance": "availableBalance",
    "maxWithdrawAmount": "maxWithdrawAmount",
}


def asset_row(fields: Json, now: int) -> Json:
    """The asset's row, from what :func:`balance_fields` made."""
    row: Json = {"asset": "USDT"}
    for name, total in _ASSET_FIELDS.items():
        row[name] = fields[total]
    row["updateTime"] = now
    return row


def account_position(core: VenueCore, account: AccountState, position: Position) -> Json:
    """A position in v3/account."""
    f = figures(core, account, position)
    orders = order_margin(core, account, position.symbol, position.side)
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
    orders = order_margin(core, account, position.symbol, position.side)
    bids, asks = order_notionals(account, position.symbol, position.side)
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
    orders = order_margin(core, account, position.symbol, position.side)
    bids, asks = order_notionals(account, position.symbol, position.side)
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
