"""exchangeInfo: the instruments with their filters, and the venue's own rate limits."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from shared.execution.binance.answers.decoding import Unreadable
from shared.market.instrument import Instrument


class _Limit(msgspec.Struct, rename="camel"):
    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int


class _Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    filters: list[dict[str, Any]]
    price_precision: int = 8
    quantity_precision: int = 8
    trigger_protect: Decimal = Decimal("0.05")
    liquidation_fee: Decimal = Decimal("0.0125")
    market_take_bound: Decimal = Decimal("0.05")


class _ExchangeInfo(msgspec.Struct, rename="camel"):
    symbols: list[_Symbol]
    rate_limits: list[_Limit] = []


class ExchangeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer of exchangeInfo says.

    ``limits`` has the keys ``weight_1m``, ``orders_10s`` and ``orders_1m`` as far as stated.
    """

    instruments: Mapping[str, Instrument]
    limits: Mapping[str, int]


_DECODER = msgspec.json.Decoder(_ExchangeInfo, strict=False)
_LIMIT_NAMES = {
    ("REQUEST_WEIGHT", "MINUTE", 1): "weight_1m",
    ("ORDERS", "SECOND", 10): "orders_10s",
    ("ORDERS", "MINUTE", 1): "orders_1m",
}


def parse(body: bytes) -> ExchangeInfo:
    """Read exchangeInfo; filters we do not know are ignored.

    Symbols without a price or lot filter cannot be traded and are left out.

    Raises
    ------
    Unreadable
    """
    try:
        info = _DECODER.decode(body)
    except msgspec.MsgspecError as error:
        raise Unreadable(str(error)) from None
    instruments = {}
    for symbol in info.symbols:
        found = _instrument(symbol)
        if found is not None:
            instruments[symbol.symbol] = found
    limits = {
        _LIMIT_NAMES[key]: x.limit
        for x in info.rate_limits
        if (key := (x.rate_limit_type, x.interval, x.interval_num)) in _LIMIT_NAMES
    }
    return ExchangeInfo(instruments=instruments, limits=limits)


def _instrument(s: _Symbol) -> Instrument | None:
    filters = {f.get("filterType"): f for f in s.filters}
    price = filters.get("PRICE_FILTER")
    lot = filters.get("LOT_SIZE")
    if price is None or lot is None:
        return None
    market = filters.get("MARKET_LOT_SIZE", lot)
    percent = filters.get("PERCENT_PRICE", {})
    step = _number(lot, "stepSize") or Decimal(1).scaleb(-s.quantity_precision)
    return Instrument(
        symbol=s.symbol,
        status=s.status,
        # Zero switches a part of a filter off; the precision then is the grid.
        tick_size=_number(price, "tickSize") or Decimal(1).scaleb(-s.price_precision),
        min_price=_number(price, "minPrice"),
        max_price=_number(price, "maxPrice"),
        step_size=step,
        min_quantity=_number(lot, "minQty"),
        max_quantity=_number(lot, "maxQty"),
        market_step_size=_number(market, "stepSize") or step,
        market_min_quantity=_number(market, "minQty"),
        market_max_quantity=_number(market, "maxQty"),
        min_notional=_number(filters.get("MIN_NOTIONAL", {}), "notional"),
        # Where nothing is stated, the strictest bounds in use on the venue.
        multiplier_up=_number(percent, "multiplierUp", "1.05"),
        multiplier_down=_number(percent, "multiplierDown", "0.95"),
        market_take_bound=s.market_take_bound,
        trigger_protect=s.trigger_protect,
        liquidation_fee=s.liquidation_fee,
    )


def _number(filter_: Mapping[str, Any], key: str, default: str = "0") -> Decimal:
    try:
        return Decimal(str(filter_.get(key, default)))
    except ArithmeticError:
        raise Unreadable(f"{key} is no number") from None
