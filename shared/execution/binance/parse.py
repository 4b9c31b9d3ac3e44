"""Binance's answers as our records.

Fields that Binance leaves out, sends empty or adds are expected: only what is needed is read,
absence stays absence, and an answer that cannot be understood is an error, never a zero.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypeVar, cast

import msgspec

from shared.execution.exchange import (
    Account,
    AlgoStatus,
    BookTicker,
    Fill,
    Income,
    MaintenanceBracket,
    MarkPrice,
    OrderStatus,
    Side,
    SymbolConfig,
    VenueAlgoOrder,
    VenueOrder,
    VenuePosition,
)
from shared.market.candle import Candle

T = TypeVar("T")


class Unreadable(ValueError):
    """The body is not what the endpoint answers; the gateway's callers translate it."""


class _Raw(msgspec.Struct, rename="camel"):
    pass


class _Kline(msgspec.Struct, array_like=True):
    # Later elements (close time, quote volume, ...) are ignored.
    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class _PremiumIndex(_Raw):
    symbol: str
    mark_price: Decimal
    index_price: Decimal
    next_funding_time: int
    time: int
    last_funding_rate: str = ""


class _BookTicker(_Raw):
    symbol: str
    bid_price: Decimal
    bid_qty: Decimal
    ask_price: Decimal
    ask_qty: Decimal
    time: int = 0


class _Asset(_Raw):
    asset: str
    wallet_balance: Decimal
    unrealized_profit: Decimal
    margin_balance: Decimal
    available_balance: Decimal


class _Holding(_Raw):
    position_amt: Decimal


class _Account(_Raw):
    assets: list[_Asset]
    # Required: an account answer that lists no positions must not pass for a flat account.
    positions: list[_Holding]


class _AccountPosition(_Raw):
    symbol: str
    position_amt: Decimal
    unrealized_profit: Decimal
    notional: Decimal
    isolated_wallet: Decimal = Decimal(0)
    update_time: int = 0
    position_side: Literal["BOTH", "LONG", "SHORT"] = "BOTH"


class _AccountPositions(_Raw):
    positions: list[_AccountPosition]


class _Position(_Raw):
    symbol: str
    position_amt: Decimal
    entry_price: Decimal
    mark_price: Decimal
    un_realized_profit: Decimal
    liquidation_price: Decimal
    isolated_wallet: Decimal
    update_time: int
    position_side: Literal["BOTH", "LONG", "SHORT"] = "BOTH"


class _AccountConfig(_Raw):
    dual_side_position: bool


class _SymbolConfig(_Raw):
    symbol: str
    margin_type: str
    leverage: int


class _Bracket(_Raw):
    # Plain numbers, written as short as they are: Decimal reads them exactly.
    notional_floor: Decimal
    notional_cap: Decimal
    maint_margin_ratio: Decimal
    cum: Decimal


class _Brackets(_Raw):
    symbol: str
    brackets: list[_Bracket]


class _Leverage(_Raw):
    leverage: int


class _Trade(_Raw):
    symbol: str
    id: int
    order_id: int
    side: str
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    realized_pnl: Decimal
    maker: bool
    time: int


class _Income(_Raw):
    income_type: str
    income: Decimal
    asset: str
    time: int
    tran_id: int
    symbol: str = ""
    trade_id: str = ""


class _Order(_Raw):
    symbol: str
    order_id: int
    client_order_id: str
    side: str
    type: str
    status: str
    orig_qty: Decimal
    executed_qty: Decimal
    price: Decimal
    reduce_only: bool
    update_time: int
    avg_price: str = ""
    time: int = 0
    time_in_force: str = ""


class _AlgoOrder(_Raw):
    symbol: str
    algo_id: int
    client_algo_id: str
    side: str
    order_type: str
    algo_status: str
    working_type: str
    reduce_only: bool
    close_position: bool
    update_time: int
    quantity: str = ""
    trigger_price: str | None = None
    # Text, empty before triggering.
    actual_order_id: str | int = ""


def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    # Lax: numbers arrive as strings, and now and then as numbers.
    return msgspec.json.Decoder(type_, strict=False)


_KLINES = _decoder(list[_Kline])
_PREMIUM = _decoder(list[_PremiumIndex])
_BOOK = _decoder(list[_BookTicker])
_ACCOUNT = _decoder(_Account)
_POSITIONS = _decoder(list[_Position])
_ACCOUNT_POSITIONS = _decoder(_AccountPositions)
_ACCOUNT_CONFIG = _decoder(_AccountConfig)
_SYMBOL_CONFIGS = _decoder(list[_SymbolConfig])
_BRACKETS = _decoder(list[_Brackets])
_LEVERAGE = _decoder(_Leverage)
_TRADES = _decoder(list[_Trade])
_INCOMES = _decoder(list[_Income])
_ORDERS = _decoder(list[_Order])
_ALGO_ORDERS = _decoder(list[_AlgoOrder])


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise Unreadable(str(error)) from None


def _listed(decoder: msgspec.json.Decoder[Any], body: bytes) -> list[Any]:
    """A list, also where Binance answers a single object."""
    if body[:1] == b"{":
        body = b"[" + body + b"]"
    return cast("list[Any]", _decode(decoder, body))


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise Unreadable(f"{text!r} is no number") from None


def candles(body: bytes, symbol: str, timeframe: str) -> list[Candle]:
    """Klines as the exchange ordered them, the forming one included."""
    return [
        Candle(
            symbol=symbol,
            timeframe=timeframe,
            open_time=k.open_time,
            open=k.open,
            high=k.high,
            low=k.low,
            close=k.close,
            volume=k.volume,
        )
        for k in _decode(_KLINES, body)
    ]


def mark_prices(body: bytes) -> list[MarkPrice]:
    return [
        MarkPrice(
            symbol=p.symbol,
            mark_price=p.mark_price,
            index_price=p.index_price,
            # Empty for delivery contracts, which have no funding.
            last_funding_rate=_decimal(p.last_funding_rate or "0"),
            next_funding_time=p.next_funding_time,
            time=p.time,
        )
        for p in _listed(_PREMIUM, body)
    ]


def book_ticker(body: bytes) -> BookTicker:
    (b,) = _one(_listed(_BOOK, body))
    return BookTicker(
        symbol=b.symbol,
        bid_price=b.bid_price,
        bid_quantity=b.bid_qty,
        ask_price=b.ask_price,
        ask_quantity=b.ask_qty,
        time=b.time,
    )


def _one(rows: list[T]) -> list[T]:
    if len(rows) != 1:
        raise Unreadable(f"{len(rows)} rows instead of one")
    return rows


def account(body: bytes) -> tuple[Account, bool]:
    """The USDT balances, and whether there is any position.

    An account that never held USDT has no row, and no money.
    """
    decoded = _decode(_ACCOUNT, body)
    holds = any(p.position_amt for p in decoded.positions)
    for a in decoded.assets:
        if a.asset == "USDT":
            return Account(
                wallet_balance=a.wallet_balance,
                unrealized_pnl=a.unrealized_profit,
                equity=a.margin_balance,
                available_balance=a.available_balance,
            ), holds
    zero = Decimal(0)
    nothing = Account(wallet_balance=zero, unrealized_pnl=zero, equity=zero, available_balance=zero)
    return nothing, holds


def positions(body: bytes) -> list[VenuePosition]:
    """Positions other than zero: a resting order alone makes a row of zeros."""
    return [
        VenuePosition(
            symbol=p.symbol,
            quantity=p.position_amt,
            entry_price=p.entry_price,
            mark_price=p.mark_price,
            unrealized_pnl=p.un_realized_profit,
            liquidation_price=p.liquidation_price,
            isolated_wallet=p.isolated_wallet,
            update_time=p.update_time,
            position_side=p.position_side,
        )
        for p in _listed(_POSITIONS, body)
        if p.position_amt
    ]


def account_positions(body: bytes) -> list[VenuePosition]:
    """Positions other than zero in an account answer, which tells no prices."""
    return [
        VenuePosition(
            symbol=p.symbol,
            quantity=p.position_amt,
            entry_price=(p.notional - p.unrealized_profit) / p.position_amt,
            mark_price=p.notional / p.position_amt,
            unrealized_pnl=p.unrealized_profit,
            liquidation_price=Decimal(0),
            isolated_wallet=p.isolated_wallet,
            update_time=p.update_time,
            position_side=p.position_side,
        )
        for p in _decode(_ACCOUNT_POSITIONS, body).positions
        if p.position_amt
    ]


def hedge_mode(body: bytes) -> bool:
    """Whether the account is in hedge (dual side) mode."""
    return cast("bool", _decode(_ACCOUNT_CONFIG, body).dual_side_position)


def symbol_config(body: bytes, symbol: str) -> SymbolConfig:
    for c in _listed(_SYMBOL_CONFIGS, body):
        if c.symbol == symbol:
            return SymbolConfig(
                symbol=symbol,
                leverage=c.leverage,
                margin_type="ISOLATED" if c.margin_type.upper() == "ISOLATED" else "CROSSED",
            )
    raise Unreadable(f"no configuration of {symbol}")


def maintenance_brackets(body: bytes, symbol: str) -> tuple[MaintenanceBracket, ...]:
    for listed in _listed(_BRACKETS, body):
        if listed.symbol == symbol and listed.brackets:
            found = [
                MaintenanceBracket(
                    floor=b.notional_floor,
                    cap=b.notional_cap,
                    rate=b.maint_margin_ratio,
                    cum=b.cum,
                )
                for b in listed.brackets
            ]
            return tuple(sorted(found, key=lambda b: b.floor))
    raise Unreadable(f"no maintenance table of {symbol}")


def leverage(body: bytes) -> int:
    return cast("int", _decode(_LEVERAGE, body).leverage)


def fills(body: bytes) -> list[Fill]:
    return [
        Fill(
            symbol=t.symbol,
            trade_id=t.id,
            order_id=t.order_id,
            side=cast("Side", t.side),
            price=t.price,
            quantity=t.qty,
            commission=t.commission,
            commission_asset=t.commission_asset,
            realized_pnl=t.realized_pnl,
            maker=t.maker,
            time=t.time,
        )
        for t in _decode(_TRADES, body)
    ]


def incomes(body: bytes) -> list[Income]:
    return [
        Income(
            symbol=i.symbol,
            income_type=i.income_type,
            income=i.income,
            asset=i.asset,
            time=i.time,
            transaction_id=i.tran_id,
            trade_id=i.trade_id,
        )
        for i in _decode(_INCOMES, body)
    ]


def orders(body: bytes) -> list[VenueOrder]:
    return [_order(o) for o in _listed(_ORDERS, body)]


def order(body: bytes) -> VenueOrder:
    (o,) = _one(_listed(_ORDERS, body))
    return _order(o)


def _order(o: _Order) -> VenueOrder:
    # "0.00000" before the first fill is Binance's way of saying there is none.
    average = _decimal(o.avg_price) if o.avg_price else None
    return VenueOrder(
        symbol=o.symbol,
        order_id=o.order_id,
        client_order_id=o.client_order_id,
        side=cast("Side", o.side),
        type=o.type,
        status=cast("OrderStatus", o.status),
        quantity=o.orig_qty,
        executed_quantity=o.executed_qty,
        price=o.price,
        average_price=average or None,
        reduce_only=o.reduce_only,
        update_time=o.update_time,
        placed_at=o.time,
        time_in_force=o.time_in_force,
    )


def algo_orders(body: bytes) -> list[VenueAlgoOrder]:
    return [_algo_order(a) for a in _listed(_ALGO_ORDERS, body)]


def algo_order(body: bytes) -> VenueAlgoOrder:
    (a,) = _one(_listed(_ALGO_ORDERS, body))
    return _algo_order(a)


def _algo_order(a: _AlgoOrder) -> VenueAlgoOrder:
    trigger = _decimal(a.trigger_price) if a.trigger_price else None
    produced = str(a.actual_order_id)
    return VenueAlgoOrder(
        symbol=a.symbol,
        algo_id=a.algo_id,
        client_algo_id=a.client_algo_id,
        side=cast("Side", a.side),
        type=a.order_type,
        status=cast("AlgoStatus", a.algo_status),
        # A close-position stop names no quantity: it closes whatever there is.
        quantity=_decimal(a.quantity) if a.quantity else Decimal(0),
        # A trailing stop has none (empty, or zero) until it trails.
        trigger_price=trigger or None,
        working_type=a.working_type,
        reduce_only=a.reduce_only,
        close_position=a.close_position,
        order_id=int(produced) if produced.isdigit() and produced != "0" else None,
        update_time=a.update_time,
    )
