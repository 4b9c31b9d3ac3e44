"""Public trades, and what the venue tells about the market besides prices."""

from __future__ import annotations

from typing import Any

from local.exchange.endpoints import Call, Security, endpoint
from local.exchange.views import Json, price_text
from shared.simulation.filters import plain
from shared.simulation.orders import ZERO
from shared.simulation.refusal import VenueRefusal
from shared.simulation.tape import Print, from_number, newest, prints

HOUR_MS = 3_600_000
#: How far back aggregate trades reach.
_REACH_MS = 48 * HOUR_MS


def _trade_row(one: Print) -> Json:
    return {
        "id": one.number,
        "price": str(one.price),
        "qty": plain(one.quantity),
        "quoteQty": price_text(one.price * one.quantity),
        "time": one.time,
        "isBuyerMaker": one.buyer_is_maker,
        "isRPITrade": False,
    }


def aggregate(one: Print) -> Json:
    """A print as an aggregate trade; each stands for itself."""
    quantity = plain(one.quantity)
    return {
        "a": one.number,
        "p": str(one.price),
        "q": quantity,
        "nq": quantity,
        "f": one.number,
        "l": one.number,
        "T": one.time,
        "m": one.buyer_is_maker,
    }


@endpoint("GET", "/fapi/v1/trades", weight=5, security=Security.NONE)
def trades(call: Call) -> Any:
    p = call.parameters
    symbol = p.text("symbol")
    return [_trade_row(one) for one in newest(call.venue.core, symbol, p.limit(500, 1000))]


@endpoint("GET", "/fapi/v1/historicalTrades", weight=200, security=Security.KEY)
def historical_trades(call: Call) -> Any:
    p = call.parameters
    symbol, limit = p.text("symbol"), p.limit(100, 500)
    number = p.optional_integer("fromId")
    core = call.venue.core
    found = (
        newest(core, symbol, limit) if number is None else from_number(core, symbol, number, limit)
    )
    return [_trade_row(one) for one in found]


@endpoint("GET", "/fapi/v1/aggTrades", weight=20, security=Security.NONE)
def aggregate_trades(call: Call) -> Any:
    p = call.parameters
    core = call.venue.core
    symbol, limit = p.text("symbol"), p.limit(500, 1000)
    core.contract(symbol)
    number = p.optional_integer("fromId")
    start, end = p.optional_integer("startTime"), p.optional_integer("endTime")
    if number is not None:
        found = from_number(core, symbol, number, limit)
    elif start is None and end is None:
        found = newest(core, symbol, limit)
    else:
        if start is None:
            start = (end or 0) - HOUR_MS + 1
        if end is None:
            end = start + HOUR_MS - 1
        if end - start >= HOUR_MS:
            raise VenueRefusal(-1127, "More than 1 hours between startTime and endTime.")
        found = prints(core, symbol, start, end + 1)[:limit]
    return [aggregate(one) for one in found if one.time >= core.now - _REACH_MS]


@endpoint("GET", "/fapi/v1/openInterest", security=Security.NONE)
def open_interest(call: Call) -> Any:
    """What the accounts of this venue hold; the market around them has no positions."""
    symbol = call.parameters.text("symbol")
    call.venue.core.contract(symbol)
    held = sum(
        (
            abs(position.quantity)
            for account in call.venue.core.accounts.values()
            for position in account.positions_of(symbol)
        ),
        ZERO,
    )
    return {"symbol": symbol, "openInterest": plain(held), "time": call.venue.now}


@endpoint("GET", "/fapi/v1/symbolAdlRisk", security=Security.NONE)
def adl_risk(call: Call) -> Any:
    named = call.parameters.optional("symbol")
    if named:
        call.venue.core.contract(named)
    now = call.venue.now
    rows = [
        {"symbol": symbol, "adlRisk": "low", "updateTime": now - now % (HOUR_MS // 2)}
        for symbol in ((named,) if named else call.venue.symbols)
    ]
    return rows[0] if named else rows


@endpoint("GET", "/fapi/v1/tradingSchedule", weight=5, security=Security.NONE)
def trading_schedule(call: Call) -> Any:
    """Trading hours of contracts on other assets; crypto has none."""
    return {"updateTime": call.venue.now, "marketSchedules": {}}


@endpoint("GET", "/fapi/v1/constituents", weight=2, security=Security.NONE)
def index_constituents(call: Call) -> Any:
    symbol = call.parameters.text("symbol")
    core = call.venue.core
    core.contract(symbol)
    one = {
        "exchange": "binance",
        "symbol": symbol,
        "price": plain(core.mark_price(symbol)),
        "weight": "1.00000000",
    }
    return {"symbol": symbol, "time": core.now, "constituents": [one]}
