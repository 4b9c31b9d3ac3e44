"""The exchange port: what the application may ask of Binance USD-M, in our own terms.

Money and quantities are ``Decimal``; times are UTC milliseconds. One-way mode, isolated margin.
Every method may raise an :class:`~shared.errors.ExchangeError`; methods that change something
raise :class:`~shared.errors.OutcomeUnknown` when the venue's answer was lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal, Protocol

import msgspec

from shared.errors import ExchangeRejected
from shared.market.candle import Candle
from shared.market.instrument import Instrument

Side = Literal["BUY", "SELL"]
#: ``LONG`` and ``SHORT`` only on an account in hedge mode, where nothing of ours is opened.
PositionSide = Literal["BOTH", "LONG", "SHORT"]
OrderStatus = Literal[
    "NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"
]
AlgoStatus = Literal[
    "NEW", "CANCELED", "TRIGGERING", "TRIGGERED", "FINISHED", "REJECTED", "EXPIRED"
]

#: Statuses after which a plain order changes no more.
FINAL_ORDER: frozenset[str] = frozenset(
    {"FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"}
)
#: Statuses in which a conditional order still protects or is just about to.
LIVE_ALGO: frozenset[str] = frozenset({"NEW", "TRIGGERING", "TRIGGERED"})


def opposite(side: Side) -> Side:
    """The side that closes a position opened by ``side``."""
    return "SELL" if side == "BUY" else "BUY"


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A plain order. ``price`` and ``time_in_force`` only for LIMIT.

    With a ``position_side`` of hedge mode it can only close that side: ``reduce_only`` is not said.
    """

    symbol: str
    side: Side
    type: Literal["MARKET", "LIMIT"]
    quantity: Decimal
    client_order_id: str
    price: Decimal | None = None
    time_in_force: Literal["GTC", "IOC", "FOK", "GTX"] | None = None
    reduce_only: bool = False
    position_side: PositionSide = "BOTH"


class AlgoOrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional order; always reduce-only with an explicit quantity.

    ``trigger_price`` for STOP_MARKET and TAKE_PROFIT_MARKET; ``callback_rate`` in percent and
    ``activate_price`` for TRAILING_STOP_MARKET.
    """

    symbol: str
    side: Side
    type: Literal["STOP_MARKET", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
    quantity: Decimal
    client_algo_id: str
    trigger_price: Decimal | None = None
    callback_rate: Decimal | None = None
    activate_price: Decimal | None = None
    working_type: Literal["MARK_PRICE", "CONTRACT_PRICE"] = "MARK_PRICE"
    reduce_only: bool = True


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A plain order as the venue reports it.

    ``average_price`` is ``None`` where the answer carries none (POST answers since 2026-07);
    absence is never zero. ``placed_at`` is 0 where the answer does not say when it was placed.
    """

    symbol: str
    order_id: int
    client_order_id: str
    side: Side
    type: str
    status: OrderStatus
    quantity: Decimal
    executed_quantity: Decimal
    price: Decimal
    average_price: Decimal | None
    reduce_only: bool
    update_time: int
    placed_at: int = 0
    time_in_force: str = ""


class VenueAlgoOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional order as the venue reports it.

    ``order_id`` is the plain order that triggering produced, ``None`` before. ``placed_at`` is 0
    where the answer does not say when it was placed.
    """

    symbol: str
    algo_id: int
    client_algo_id: str
    side: Side
    type: str
    status: AlgoStatus
    quantity: Decimal
    trigger_price: Decimal | None
    working_type: str
    reduce_only: bool
    close_position: bool
    order_id: int | None
    update_time: int
    placed_at: int = 0


class VenuePosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position. ``quantity`` is signed: positive long, negative short.

    ``position_side`` is ``BOTH`` in one-way mode.
    """

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    unrealized_pnl: Decimal
    liquidation_price: Decimal
    isolated_wallet: Decimal
    update_time: int
    position_side: PositionSide = "BOTH"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """USDT balances. ``equity`` is wallet balance plus unrealised P&L."""

    wallet_balance: Decimal
    unrealized_pnl: Decimal
    equity: Decimal
    available_balance: Decimal


class MarkPrice(msgspec.Struct, frozen=True, kw_only=True):
    """Mark and index price with the funding that comes next; ``time`` is that of the prices."""

    symbol: str
    mark_price: Decimal
    index_price: Decimal
    last_funding_rate: Decimal
    next_funding_time: int
    time: int


class BookTicker(msgspec.Struct, frozen=True, kw_only=True):
    """Best bid and ask; ``time`` is that of their last change, 0 if the venue does not say."""

    symbol: str
    bid_price: Decimal
    bid_quantity: Decimal
    ask_price: Decimal
    ask_quantity: Decimal
    time: int


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. ``commission`` is positive when paid, in ``commission_asset``."""

    symbol: str
    trade_id: int
    order_id: int
    side: Side
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    realized_pnl: Decimal
    maker: bool
    time: int


class Income(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the account's income history, signed from our point of view."""

    symbol: str
    income_type: str
    income: Decimal
    asset: str
    time: int
    transaction_id: int
    trade_id: str


class SymbolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Leverage and margin type set for a symbol."""

    symbol: str
    leverage: int
    margin_type: Literal["ISOLATED", "CROSSED"]


class MaintenanceBracket(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a contract's maintenance table. Notionals in USDT.

    A position whose notional is above ``floor`` and up to ``cap`` needs ``notional * rate - cum``
    of margin; below that it is liquidated.
    """

    floor: Decimal
    cap: Decimal
    rate: Decimal
    cum: Decimal


class Exchange(Protocol):
    """Binance USD-M as the application needs it. Implemented over python-binance."""

    # market data
    def server_time(self) -> int: ...
    def now_ms(self) -> int:
        """The exchange's time as far as it is known here, without asking; UTC ms."""
        ...

    def earliest_ms(self) -> int:
        """The earliest that the exchange's time can be by what is known here; UTC ms."""
        ...

    def instruments(self) -> Mapping[str, Instrument]:
        """All instruments of the venue, cached briefly."""
        ...

    def candles(
        self,
        symbol: str,
        timeframe: str,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int = 500,
    ) -> list[Candle]:
        """Closed candles with ``start <= open_time`` and ``close_time <= end``, ascending.

        Pages by itself when ``limit`` exceeds the venue's page. Without ``start``, the newest.
        """
        ...

    def mark_price(self, symbol: str) -> MarkPrice: ...
    def mark_prices(self) -> dict[str, MarkPrice]: ...
    def book_ticker(self, symbol: str) -> BookTicker: ...

    # account
    def account(self) -> Account: ...
    def positions(self) -> list[VenuePosition]:
        """Positions with a quantity other than zero."""
        ...

    def account_and_positions(self) -> tuple[Account, list[VenuePosition]]:
        """Balances and positions together: the guardian's view, as cheap as the venue allows."""
        ...

    def account_positions(self) -> list[VenuePosition]:
        """Positions as the balances' own endpoint lists them, where :meth:`positions` fails: mark
        and entry price follow from notional and profit, the liquidation price is not told (0).
        """
        ...

    def symbol_config(self, symbol: str) -> SymbolConfig: ...
    def maintenance_brackets(self, symbol: str) -> tuple[MaintenanceBracket, ...]:
        """The contract's maintenance table, ascending."""
        ...

    def set_leverage(self, symbol: str, leverage: int) -> None: ...
    def set_isolated(self, symbol: str) -> None:
        """Isolated margin; already isolated is success."""
        ...

    def hedge_mode(self) -> bool:
        """Whether the account holds long and short positions apart; nothing is opened then."""
        ...

    def ensure_one_way(self) -> None:
        """One-way position mode, for USD-M and COIN-M alike; already one-way is success."""
        ...

    def fills(
        self, symbol: str, *, start: int | None = None, from_id: int | None = None
    ) -> list[Fill]:
        """Executions ascending by trade id, paged to the end."""
        ...

    def income(self, *, start: int, end: int | None = None) -> list[Income]: ...

    # orders
    def place_order(self, request: OrderRequest, *, until: int | None = None) -> VenueOrder:
        """Place. No request leaves after ``until`` (our clock, UTC ms), whatever hindered it.

        After that somebody else may have sent the same id; a refusal is then final here.
        """
        ...

    def test_order(self, request: OrderRequest) -> None:
        """Have the venue check an order without placing it; raises as placing would."""
        ...

    def order(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """The order, or ``None`` when the venue does not (yet) know it (-2013)."""
        ...

    def order_behind(self, fill: Fill) -> VenueOrder | None:
        """The order that a fill belongs to, whoever sent it."""
        ...

    def order_history(self, symbol: str, *, start: int) -> list[VenueOrder]:
        """Plain orders placed at or after ``start``, whoever sent them, ascending by order id.

        The venue forgets orders without a fill three days after they ended.
        """
        ...

    def open_orders(self, symbol: str | None = None) -> list[VenueOrder]: ...
    def cancel_order(self, symbol: str, client_order_id: str) -> None:
        """Cancel; an order that is not open any more is success."""
        ...

    def cancel_all_orders(self, symbol: str) -> None: ...
    def place_algo_order(
        self, request: AlgoOrderRequest, *, until: int | None = None
    ) -> VenueAlgoOrder:
        """Place; as with plain orders, no request leaves after ``until``."""
        ...

    def algo_order(self, client_algo_id: str) -> VenueAlgoOrder | None: ...
    def algo_history(self, symbol: str, *, start: int) -> list[VenueAlgoOrder]:
        """Conditional orders placed at or after ``start``, as :meth:`order_history` lists plain
        ones."""
        ...

    def open_algo_orders(self, symbol: str | None = None) -> list[VenueAlgoOrder]: ...
    def cancel_algo_order(self, client_algo_id: str) -> None:
        """Cancel; an order that is not open any more is success."""
        ...

    def cancel_all_algo_orders(self, symbol: str) -> None: ...


def open_symbols(
    positions: Sequence[VenuePosition],
    orders: Sequence[VenueOrder],
    algo_orders: Sequence[VenueAlgoOrder],
) -> list[str]:
    """Every symbol on which the account has anything at all, sorted."""
    return sorted({x.symbol for group in (positions, orders, algo_orders) for x in group})


def instrument_of(exchange: Exchange, symbol: str) -> Instrument:
    """The instrument of a symbol.

    Raises
    ------
    ExchangeError
        When the instruments cannot be read, or the venue does not list this one (any more).
    """
    found = exchange.instruments().get(symbol)
    if found is None:
        raise ExchangeRejected(f"the exchange does not list {symbol}")
    return found
