"""Market data endpoints."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from local.exchange.endpoints import Call, Security, endpoint, per_symbol
from local.exchange.parameters import Parameters
from local.exchange.views import contract_row, money
from shared.market.timeframe import TIMEFRAMES
from shared.simulation.filters import plain
from shared.simulation.klines import Row
from shared.simulation.orders import ZERO
from shared.simulation.refusal import VenueRefusal
from shared.simulation.tape import number_at
from shared.simulation.venue import Venue

#: Closed candles kept as written; formatting is what a window of them costs.
_MOST_WRITTEN = 20_000


@endpoint("GET", "/fapi/v1/ping", security=Security.NONE)
def ping(call: Call) -> Any:
    return {}


@endpoint("GET", "/fapi/v1/time", security=Security.NONE)
def time(call: Call) -> Any:
    return {"serverTime": call.api.time()}


@endpoint("GET", "/fapi/v1/exchangeInfo", security=Security.NONE)
def exchange_info(call: Call) -> Any:
    limits = call.api.limits
    return {
        "timezone": "UTC",
        "serverTime": call.venue.now,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            _limit("REQUEST_WEIGHT", "MINUTE", 1, limits.weight),
            _limit("ORDERS", "MINUTE", 1, limits.orders_1m),
            _limit("ORDERS", "SECOND", 10, limits.orders_10s),
        ],
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "0"}],
        "symbols": [contract_row(c) for c in call.venue.core.contracts.values()],
    }


def _limit(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    return {
        "rateLimitType": kind,
        "interval": interval,
        "intervalNum": number,
        "limit": limit,
    }


def _kline_weight(parameters: Parameters) -> int:
    limit = parameters.limit(500, 1500)
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


@endpoint("GET", "/fapi/v1/klines", weight=_kline_weight, security=Security.NONE)
def klines(call: Call) -> Any:
    return _klines(call, call.parameters.text("symbol"))


@endpoint("GET", "/fapi/v1/continuousKlines", weight=_kline_weight, security=Security.NONE)
def continuous_klines(call: Call) -> Any:
    call.parameters.choice(
        "contractType",
        ("PERPETUAL",),
        refusal=(-1130, "Data sent for parameter 'contractType' is not valid."),
    )
    return _klines(call, call.parameters.text("pair"))


@endpoint("GET", "/fapi/v1/markPriceKlines", weight=_kline_weight, security=Security.NONE)
def mark_price_klines(call: Call) -> Any:
    return _klines(call, call.parameters.text("symbol"), mark=True)


@endpoint("GET", "/fapi/v1/indexPriceKlines", weight=_kline_weight, security=Security.NONE)
def index_price_klines(call: Call) -> Any:
    """The index is not modelled apart: it is the mark price, as in premiumIndex."""
    return _klines(call, call.parameters.text("pair"), mark=True)


@endpoint("GET", "/fapi/v1/premiumIndexKlines", weight=_kline_weight, security=Security.NONE)
def premium_index_klines(call: Call) -> Any:
    text = _klines(call, call.parameters.text("symbol"), mark=True)
    rows: list[list[Any]] = msgspec.json.decode(text)
    flat = money(ZERO)
    return [[row[0], flat, flat, flat, flat, *row[5:]] for row in rows]


def _klines(call: Call, symbol: str, *, mark: bool = False) -> msgspec.Raw:
    p = call.parameters
    contract = call.venue.core.contract(symbol)
    timeframe = p.choice("interval", TIMEFRAMES, refusal=(-1120, "Invalid interval."))
    rows = call.venue.klines(
        symbol,
        timeframe,
        start=p.optional_integer("startTime"),
        end=p.optional_integer("endTime"),
        limit=p.limit(500, 1500),
        mark=mark,
    )
    step = TIMEFRAMES[timeframe]
    digits = 8 if mark else contract.price_precision
    current = call.venue.now - call.venue.now % step
    known = call.api.written_klines
    if len(known) > _MOST_WRITTEN:
        known.clear()
    form = _form(digits, contract.quantity_precision)
    out: list[str] = []
    for row in rows:
        if row[0] >= current:
            out.append(form % _cells(row, step))
            continue
        key = (symbol, step, mark, row[0])
        written = known.get(key)
        if written is None:
            written = known[key] = form % _cells(row, step)
        out.append(written)
    return msgspec.Raw(f"[{','.join(out)}]".encode())


def kline_row(row: Row, step: int, digits: int, volume_digits: int) -> list[Any]:
    """A candle as the exchange writes it; what only trades could tell is estimated."""
    found: list[Any] = msgspec.json.decode(_form(digits, volume_digits) % _cells(row, step))
    return found


@cache
def _form(digits: int, volume_digits: int) -> str:
    """A candle's JSON with places for its cells: one formatting instead of ten."""
    price, volume = f'"%.{digits}f"', f'"%.{volume_digits}f"'
    cells = ("%d", *[price] * 4, volume, "%d", '"%.5f"', "%d", volume, '"%.5f"', '"0"')
    return f"[{','.join(cells)}]"


def _cells(row: Row, step: int) -> tuple[float, ...]:
    opened, o, h, low, c, volume = row
    quote = volume * (o + h + low + c) / 4
    # Takers buy more where the candle closes high.
    share = 0.5 if h <= low else 0.35 + 0.3 * (c - low) / (h - low)
    count = quote // 2_000 + (1 if volume else 0)
    end = opened + step - 1
    return opened, o, h, low, c, volume, end, quote, count, volume * share, quote * share


@endpoint("GET", "/fapi/v1/premiumIndex", weight=per_symbol(1, 10), security=Security.NONE)
def premium_index(call: Call) -> Any:
    symbol = call.parameters.optional("symbol")
    if symbol:
        return premium_row(call, symbol)
    return [premium_row(call, s) for s in call.venue.symbols]


def premium_row(call: Call, symbol: str) -> dict[str, Any]:
    core = call.venue.core
    core.contract(symbol)
    mark = core.mark_price(symbol)
    upcoming = core.source.next_settlement(symbol, core.now)
    # The rate being formed is shown as the last one, as the exchange does between settlements.
    return {
        "symbol": symbol,
        "markPrice": money(mark),
        "indexPrice": money(mark),
        "estimatedSettlePrice": money(mark),
        "lastFundingRate": money(upcoming.rate),
        "interestRate": "0.00010000",
        "nextFundingTime": upcoming.time,
        "time": core.now,
    }


@endpoint("GET", "/fapi/v1/fundingRate", weight=0, security=Security.NONE, weighed=False)
def funding_rate(call: Call) -> Any:
    p = call.parameters
    core = call.venue.core
    limit = p.limit(100, 1000)
    named = p.optional("symbol")
    if named:
        core.contract(named)
    start, end = p.optional_integer("startTime"), p.optional_integer("endTime")
    stop = min(core.now, end if end is not None else core.now) + 1
    begin = start if start is not None else stop - limit * 8 * 3_600_000
    rows: list[dict[str, Any]] = []
    for symbol in (named,) if named else call.venue.symbols:
        for row in core.source.settlements(symbol, begin, stop):
            bar = row.time - row.time % core.bar_ms
            rows.append(
                {
                    "symbol": symbol,
                    "fundingRate": money(row.rate),
                    "fundingTime": row.time,
                    "markPrice": f"{core.source.bar(symbol, bar).mark_open:.8f}",
                    "rateType": "Regular",
                }
            )
    rows.sort(key=lambda row: row["fundingTime"])
    return rows[:limit] if start is not None else rows[-limit:]


@endpoint("GET", "/fapi/v1/fundingInfo", weight=0, security=Security.NONE, weighed=False)
def funding_info(call: Call) -> Any:
    return []


def _depth_weight(parameters: Parameters) -> int:
    limit = parameters.optional_integer("limit") or 500
    return 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20


@endpoint("GET", "/fapi/v1/depth", weight=_depth_weight, security=Security.NONE)
def depth(call: Call) -> Any:
    symbol = call.parameters.text("symbol")
    limit = call.parameters.optional_integer("limit") or 500
    if limit not in (5, 10, 20, 50, 100, 500, 1000):
        raise VenueRefusal(-4021, f"{limit} is not valid depth limit.")
    core = call.venue.core
    core.contract(symbol)
    book = core.book(symbol)

    def side(buy: bool) -> list[list[str]]:
        return [[str(price), plain(q)] for price, q in book.levels(buy)][:limit]

    return {
        "lastUpdateId": core.now,
        "E": core.now,
        "T": core.now,
        "bids": side(buy=False),
        "asks": side(buy=True),
    }


@endpoint("GET", "/fapi/v1/ticker/bookTicker", weight=per_symbol(2, 5), security=Security.NONE)
def book_ticker(call: Call) -> Any:
    return _each(call, book_row)


def book_row(call: Call, symbol: str) -> dict[str, Any]:
    core = call.venue.core
    core.contract(symbol)
    book = core.book(symbol)
    bid, bid_quantity = next(book.levels(buy=False))
    ask, ask_quantity = next(book.levels(buy=True))
    return {
        "symbol": symbol,
        "bidPrice": str(bid),
        "bidQty": plain(bid_quantity),
        "askPrice": str(ask),
        "askQty": plain(ask_quantity),
        "time": core.now,
    }


def _price_row(call: Call, symbol: str) -> dict[str, Any]:
    core = call.venue.core
    return {"symbol": symbol, "price": str(core.last_price(symbol)), "time": core.now}


@endpoint("GET", "/fapi/v1/ticker/price", weight=per_symbol(1, 2), security=Security.NONE)
def ticker_price_v1(call: Call) -> Any:
    return _each(call, _price_row)


@endpoint("GET", "/fapi/v2/ticker/price", weight=per_symbol(1, 2), security=Security.NONE)
def ticker_price(call: Call) -> Any:
    return _each(call, _price_row)


@endpoint("GET", "/fapi/v1/ticker/24hr", weight=per_symbol(1, 40), security=Security.NONE)
def ticker_day(call: Call) -> Any:
    return _each(call, _day_row)


def _day_row(call: Call, symbol: str) -> dict[str, Any]:
    return day_figures(call.venue, symbol)


def day_figures(venue: Venue, symbol: str) -> dict[str, Any]:
    """The last 24 hours of a symbol."""
    core = venue.core
    contract = core.contract(symbol)
    # A market that began within this hour has no hourly candle yet.
    rows = venue.klines(symbol, "1h", limit=25) or venue.klines(symbol, core.source.timeframe)
    first, last = rows[0], rows[-1]
    volume = sum(row[5] for row in rows)
    quote = sum(row[5] * (row[1] + row[4]) / 2 for row in rows)
    change = last[4] - first[1]
    n = contract.price_precision
    return {
        "symbol": symbol,
        "priceChange": f"{change:.{n}f}",
        "priceChangePercent": f"{change / first[1] * 100:.3f}",
        "weightedAvgPrice": f"{quote / volume if volume else last[4]:.{n}f}",
        "lastPrice": str(core.last_price(symbol)),
        "lastQty": plain(contract.instrument.min_quantity),
        "openPrice": f"{first[1]:.{n}f}",
        "highPrice": f"{max(row[2] for row in rows):.{n}f}",
        "lowPrice": f"{min(row[3] for row in rows):.{n}f}",
        "volume": f"{volume:.3f}",
        "quoteVolume": f"{quote:.2f}",
        "openTime": first[0],
        "closeTime": core.now,
        "firstId": number_at(core, symbol, first[0]),
        "lastId": number_at(core, symbol, core.now),
        "count": max(1, int(quote // 2_000)),
    }


def _each(call: Call, row: Any) -> Any:
    symbol = call.parameters.optional("symbol")
    if symbol:
        call.venue.core.contract(symbol)
        return row(call, symbol)
    return [row(call, s) for s in call.venue.symbols]
