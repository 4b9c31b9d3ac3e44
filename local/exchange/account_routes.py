"""Account and configuration endpoints."""

from __future__ import annotations

from typing import Any

from local.exchange.endpoints import Call, Security, endpoint, per_symbol
from local.exchange.order_routes import DAY_MS, time_range
from local.exchange.views import (
    account_position,
    account_position_v2,
    asset_row,
    balance_fields,
    income_row,
    margin_move_row,
    money,
    position_risk,
    position_risk_v2,
)
from shared.simulation.filters import plain
from shared.simulation.orders import Position
from shared.simulation.quantitative import Indicator
from shared.simulation.refusal import VenueRefusal

_DONE = {"code": 200, "msg": "success"}


def _sides(call: Call, symbol: str) -> list[Position]:
    """All position rows of a symbol in the account's position mode, empty ones included."""
    return [call.owner.position(symbol, side) for side in call.owner.sides]


def _touched(call: Call, symbol: str | None) -> list[Position]:
    """Positions that are held, or of symbols with a working order, as v3 lists them."""
    account = call.owner
    if symbol:
        call.venue.core.contract(symbol)
    shown = []
    for name in call.venue.symbols:
        if symbol and name != symbol:
            continue
        for position in _sides(call, name):
            if position.quantity or name in account.open_orders:
                shown.append(position)
    return shown


@endpoint("GET", "/fapi/v3/account", weight=5)
def account_v3(call: Call) -> Any:
    fields = balance_fields(call.venue.balances(call.owner))
    return {
        **fields,
        "assets": [asset_row(fields, call.venue.now)],
        "positions": [
            account_position(call.venue.core, call.owner, p) for p in _touched(call, None)
        ],
    }


@endpoint("GET", "/fapi/v2/account", weight=5)
def account_v2(call: Call) -> Any:
    fields = balance_fields(call.venue.balances(call.owner))
    return {
        "feeTier": 0,
        "feeBurn": call.owner.fee_burn,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": 0,
        "multiAssetsMargin": call.owner.multi_assets,
        "tradeGroupId": -1,
        **fields,
        "assets": [{**asset_row(fields, call.venue.now), "marginAvailable": True}],
        "positions": [
            account_position_v2(call.venue.core, call.owner, p)
            for symbol in call.venue.symbols
            for p in _sides(call, symbol)
        ],
    }


def _balance(call: Call) -> list[dict[str, Any]]:
    b = call.venue.balances(call.owner)
    return [
        {
            "accountAlias": call.owner.name,
            "asset": "USDT",
            "balance": money(b.wallet),
            "crossWalletBalance": money(b.cross_wallet),
            "crossUnPnl": money(b.cross_unrealized),
            "availableBalance": money(b.available),
            "maxWithdrawAmount": money(b.available),
            "marginAvailable": True,
            "updateTime": call.venue.now,
        }
    ]


@endpoint("GET", "/fapi/v3/balance", weight=5)
def balance_v3(call: Call) -> Any:
    return _balance(call)


@endpoint("GET", "/fapi/v2/balance", weight=5)
def balance_v2(call: Call) -> Any:
    return _balance(call)


@endpoint("GET", "/fapi/v3/positionRisk", weight=5)
def position_risk_v3(call: Call) -> Any:
    shown = _touched(call, call.parameters.optional("symbol"))
    return [position_risk(call.venue.core, call.owner, p) for p in shown]


@endpoint("GET", "/fapi/v2/positionRisk", weight=5)
def position_risks_v2(call: Call) -> Any:
    symbol = call.parameters.optional("symbol")
    if symbol:
        call.venue.core.contract(symbol)
    return [
        position_risk_v2(call.venue.core, call.owner, p)
        for name in call.venue.symbols
        if not symbol or name == symbol
        for p in _sides(call, name)
    ]


@endpoint("GET", "/fapi/v1/accountConfig", weight=5)
def account_config(call: Call) -> Any:
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": call.owner.hedge,
        "updateTime": 0,
        "multiAssetsMargin": call.owner.multi_assets,
        "tradeGroupId": -1,
    }


@endpoint("GET", "/fapi/v1/symbolConfig", weight=5)
def symbol_config(call: Call) -> Any:
    named = call.parameters.optional("symbol")
    if named:
        call.venue.core.contract(named)
    rows = []
    for symbol in (named,) if named else call.venue.symbols:
        settings = call.owner.setting(symbol)
        largest = call.venue.core.contract(symbol).largest_notional(settings.leverage)
        rows.append(
            {
                "symbol": symbol,
                "marginType": "ISOLATED" if settings.isolated else "CROSSED",
                "isAutoAddMargin": False,
                "leverage": settings.leverage,
                "maxNotionalValue": plain(largest),
            }
        )
    return rows


@endpoint("POST", "/fapi/v1/leverage")
def set_leverage(call: Call) -> Any:
    symbol = call.parameters.text("symbol")
    leverage = call.parameters.integer("leverage")
    largest = call.venue.set_leverage(call.owner, symbol, leverage)
    return {"leverage": leverage, "maxNotionalValue": plain(largest), "symbol": symbol}


@endpoint("POST", "/fapi/v1/marginType")
def set_margin_type(call: Call) -> Any:
    symbol = call.parameters.text("symbol")
    wanted = call.parameters.choice(
        "marginType",
        ("ISOLATED", "CROSSED"),
        refusal=(-1130, "Data sent for parameter 'marginType' is not valid."),
    )
    call.venue.set_margin_type(call.owner, symbol, isolated=wanted == "ISOLATED")
    return _DONE


@endpoint("POST", "/fapi/v1/positionMargin")
def move_position_margin(call: Call) -> Any:
    p = call.parameters
    symbol, amount, way = p.text("symbol"), p.decimal("amount"), p.integer("type")
    if amount <= 0:
        raise VenueRefusal(-4055)
    if way not in (1, 2):
        raise VenueRefusal(-1130, "Data sent for parameter 'type' is not valid.")
    side = p.optional("positionSide") or "BOTH"
    signed = amount if way == 1 else -amount
    call.venue.move_position_margin(call.owner, symbol, signed, side)
    return {
        "amount": float(amount),
        "code": 200,
        "msg": "Successfully modify position margin.",
        "type": way,
    }


@endpoint("GET", "/fapi/v1/positionMargin/history")
def position_margin_history(call: Call) -> Any:
    p = call.parameters
    symbol = p.text("symbol")
    call.venue.core.contract(symbol)
    way = p.optional_integer("type")
    if way not in (None, 1, 2):
        raise VenueRefusal(-1130, "Data sent for parameter 'type' is not valid.")
    limit = p.limit(500, 500)
    start, end = time_range(call, 30 * DAY_MS, 30 * DAY_MS)
    rows = [
        move
        for move in call.owner.margin_moves
        if move.symbol == symbol
        and start <= move.time <= end
        and (way is None or way == (1 if move.amount > 0 else 2))
    ]
    return [margin_move_row(move) for move in rows[-limit:]]


@endpoint("GET", "/fapi/v1/feeBurn", weight=30)
def get_fee_burn(call: Call) -> Any:
    return {"feeBurn": call.owner.fee_burn}


@endpoint("POST", "/fapi/v1/feeBurn")
def set_fee_burn(call: Call) -> Any:
    call.parameters.text("feeBurn")
    call.venue.set_fee_burn(call.owner, call.parameters.flag("feeBurn"))
    return _DONE


@endpoint("GET", "/fapi/v1/positionSide/dual", weight=30)
def get_position_mode(call: Call) -> Any:
    return {"dualSidePosition": call.owner.hedge}


@endpoint("POST", "/fapi/v1/positionSide/dual")
def set_position_mode(call: Call) -> Any:
    call.parameters.text("dualSidePosition")
    call.venue.set_hedge(call.owner, call.parameters.flag("dualSidePosition"))
    return _DONE


@endpoint("GET", "/fapi/v1/multiAssetsMargin", weight=30)
def get_multi_assets(call: Call) -> Any:
    return {"multiAssetsMargin": call.owner.multi_assets}


@endpoint("POST", "/fapi/v1/multiAssetsMargin")
def set_multi_assets(call: Call) -> Any:
    call.parameters.text("multiAssetsMargin")
    call.venue.set_multi_assets(call.owner, call.parameters.flag("multiAssetsMargin"))
    return _DONE


@endpoint("GET", "/fapi/v1/income", weight=30)
def income(call: Call) -> Any:
    p = call.parameters
    symbol, kind = p.optional("symbol"), p.optional("incomeType")
    limit = p.limit(100, 1000)
    start, end = time_range(call, 7 * DAY_MS, 90 * DAY_MS)
    rows = [
        entry
        for entry in call.owner.income
        if start <= entry.time <= end
        and (not symbol or entry.symbol == symbol)
        and (not kind or entry.kind == kind)
    ]
    return [income_row(entry) for entry in rows[:limit]]


@endpoint("GET", "/fapi/v1/leverageBracket")
def leverage_bracket(call: Call) -> Any:
    named = call.parameters.optional("symbol")
    if named:
        return _bracket_row(call, named)
    return [_bracket_row(call, symbol) for symbol in call.venue.symbols]


def _bracket_row(call: Call, symbol: str) -> dict[str, Any]:
    contract = call.venue.core.contract(symbol)
    return {
        "symbol": symbol,
        "brackets": [
            {
                "bracket": row.number,
                "initialLeverage": row.leverage,
                "notionalCap": int(row.cap),
                "notionalFloor": int(row.floor),
                "maintMarginRatio": float(row.rate),
                # A whole number is written as one.
                "cum": int(row.cum) if row.cum == int(row.cum) else float(row.cum),
            }
            for row in contract.brackets
        ],
    }


@endpoint("GET", "/fapi/v1/commissionRate", weight=20)
def commission_rate(call: Call) -> Any:
    symbol = call.parameters.text("symbol")
    contract = call.venue.core.contract(symbol)
    return {
        "symbol": symbol,
        "makerCommissionRate": str(contract.maker_fee),
        "takerCommissionRate": str(contract.taker_fee),
        "rpiCommissionRate": "0.00005",
    }


@endpoint("GET", "/fapi/v1/rateLimit/order")
def order_rate_limit(call: Call) -> Any:
    limits = call.api.limits
    return [
        {
            "rateLimitType": "ORDERS",
            "interval": "SECOND",
            "intervalNum": 10,
            "limit": limits.orders_10s,
        },
        {
            "rateLimitType": "ORDERS",
            "interval": "MINUTE",
            "intervalNum": 1,
            "limit": limits.orders_1m,
        },
    ]


@endpoint("GET", "/fapi/v1/apiTradingStatus", weight=per_symbol(1, 10))
def api_trading_status(call: Call) -> Any:
    found = call.venue.core.quantitative.indicators(call.owner, call.venue.now)
    named = call.parameters.optional("symbol")
    if named:
        call.venue.core.contract(named)
        found = {name: rows for name, rows in found.items() if name == named}
    return {
        "indicators": {name: [_indicator(row) for row in rows] for name, rows in found.items()},
        "updateTime": call.venue.now,
    }


def _indicator(found: Indicator) -> dict[str, Any]:
    whole = found.name == "TMV"
    return {
        "isLocked": found.locked,
        "plannedRecoverTime": found.recovers,
        "indicator": found.name,
        "value": int(found.value) if whole else found.value,
        "triggerValue": int(found.threshold) if whole else found.threshold,
    }


@endpoint("GET", "/fapi/v1/adlQuantile", weight=5)
def adl_quantile(call: Call) -> Any:
    held = [p for p in _touched(call, call.parameters.optional("symbol")) if p.quantity]
    return [
        {"symbol": symbol, "adlQuantile": _quantile(call, symbol)}
        for symbol in dict.fromkeys(p.symbol for p in held)
    ]


def _quantile(call: Call, symbol: str) -> dict[str, int]:
    """Place in the queue: there is nobody else, so whatever is held stands in the first fifth.

    Cross positions of hedge mode stand together.
    """
    if not call.owner.hedge:
        return {"LONG": 0, "SHORT": 0, "BOTH": 1}
    held = {p.side for p in call.owner.positions_of(symbol)}
    if call.owner.setting(symbol).isolated:
        return {"LONG": int("LONG" in held), "SHORT": int("SHORT" in held), "BOTH": 0}
    return {"LONG": 1, "SHORT": 1, "HEDGE": 0}


@endpoint("POST", "/fapi/v1/listenKey", security=Security.KEY)
def open_listen_key(call: Call) -> Any:
    return {"listenKey": call.api.listen_keys.open(call.owner.name, call.venue.now)}


@endpoint("PUT", "/fapi/v1/listenKey", security=Security.KEY)
def extend_listen_key(call: Call) -> Any:
    return {"listenKey": call.api.listen_keys.extend(call.owner.name, call.venue.now)}


@endpoint("DELETE", "/fapi/v1/listenKey", security=Security.KEY)
def close_listen_key(call: Call) -> Any:
    call.api.listen_keys.close(call.owner.name)
    return {}
