"""Records of the venue's books: orders, conditional orders, trades, income, positions."""

from __future__ import annotations

from decimal import Decimal

import msgspec

ZERO = Decimal(0)
#: Money is booked in units of 0.00000001 USDT, as the venue reports it.
CENT = Decimal("0.00000001")


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A plain order as asked for. ``price_match`` and ``good_till`` as on Binance."""

    symbol: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal = ZERO
    time_in_force: str = "GTC"
    position_side: str = "BOTH"
    reduce_only: bool = False
    client_order_id: str = ""
    self_trade_prevention: str = "EXPIRE_MAKER"
    good_till: int = 0
    price_match: str = "NONE"


class NewAlgoOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional order as asked for; ``callback_rate`` in percent."""

    symbol: str
    side: str
    type: str
    quantity: Decimal = ZERO
    price: Decimal = ZERO
    trigger_price: Decimal | None = None
    time_in_force: str = "GTC"
    position_side: str = "BOTH"
    working_type: str = "CONTRACT_PRICE"
    close_position: bool = False
    price_protect: bool = False
    reduce_only: bool = False
    activate_price: Decimal | None = None
    callback_rate: Decimal | None = None
    client_algo_id: str = ""
    self_trade_prevention: str = "EXPIRE_MAKER"
    good_till: int = 0
    price_match: str = "NONE"


class Order(msgspec.Struct, kw_only=True):
    """A plain order in the books; open while its status is NEW or PARTIALLY_FILLED."""

    order_id: int
    client_order_id: str
    symbol: str
    side: str
    position_side: str
    type: str
    original_type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    close_position: bool
    self_trade_prevention: str
    good_till: int
    price_match: str
    status: str
    time: int
    update_time: int
    executed: Decimal = ZERO
    quote: Decimal = ZERO
    stop_price: Decimal = ZERO
    working_type: str = "CONTRACT_PRICE"
    price_protect: bool = False
    algo_id: int = 0
    #: Binance's ``er``: why it expired.
    expiry_reason: int = 0
    #: A partly filled resting order waits for the next bar's volume.
    resume_at: int = 0
    #: How often it was changed, and the caller's number of the last change.
    amendments: int = 0
    modify_id: int | None = None

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.executed

    @property
    def average_price(self) -> Decimal:
        """Volume-weighted fill price in USDT, zero before the first fill."""
        return self.quote / self.executed if self.executed else ZERO

    @property
    def is_open(self) -> bool:
        return self.status in ("NEW", "PARTIALLY_FILLED")


class AlgoOrder(msgspec.Struct, kw_only=True):
    """A conditional order in the books; ``order_id`` is the plain order its trigger produced."""

    algo_id: int
    client_algo_id: str
    symbol: str
    side: str
    position_side: str
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    trigger_price: Decimal
    working_type: str
    close_position: bool
    price_protect: bool
    reduce_only: bool
    activate_price: Decimal | None
    callback_rate: Decimal | None
    self_trade_prevention: str
    good_till: int
    price_match: str
    status: str
    create_time: int
    update_time: int
    trigger_time: int = 0
    order_id: int = 0
    actual_price: Decimal = ZERO
    actual_quantity: Decimal = ZERO
    reject_reason: str = ""
    #: Trailing orders: whether following has begun, and the best price seen since.
    activated: bool = False
    extreme: float = 0.0

    @property
    def is_open(self) -> bool:
        return self.status == "NEW"


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a resting order; ``count`` numbers the changes of that order."""

    amendment_id: int
    order_id: int
    client_order_id: str
    symbol: str
    time: int
    price_before: Decimal
    price_after: Decimal
    quantity_before: Decimal
    quantity_after: Decimal
    count: int
    modify_id: int | None = None


class MarginMove(msgspec.Struct, frozen=True, kw_only=True):
    """Margin that the owner added to (positive) or took from an isolated position, in USDT."""

    move_id: int
    symbol: str
    side: str
    amount: Decimal
    time: int


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One execution; ``commission`` in USDT, positive when paid."""

    trade_id: int
    order_id: int
    client_order_id: str
    symbol: str
    side: str
    position_side: str
    price: Decimal
    quantity: Decimal
    realized_pnl: Decimal
    commission: Decimal
    maker: bool
    time: int


class IncomeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the income ledger; the wallet is the sum of all lines."""

    transaction_id: int
    symbol: str
    kind: str
    amount: Decimal
    time: int
    trade_id: int = 0
    info: str = ""


class Position(msgspec.Struct, kw_only=True):
    """A position; ``quantity`` is signed, ``isolated_wallet`` zero under cross margin."""

    symbol: str
    side: str
    quantity: Decimal = ZERO
    entry_price: Decimal = ZERO
    isolated_wallet: Decimal = ZERO
    #: Commission paid for the quantity still open, for the break-even price.
    entry_fees: Decimal = ZERO
    realized: Decimal = ZERO
    update_time: int = 0

    def unrealized(self, mark: Decimal) -> Decimal:
        """Unrealised P&L in USDT at a mark price."""
        return (self.quantity * (mark - self.entry_price)).quantize(CENT)

    @property
    def break_even_price(self) -> Decimal:
        return self.entry_price + self.entry_fees / self.quantity if self.quantity else ZERO


class SymbolSettings(msgspec.Struct, kw_only=True):
    """What an account has set for a symbol."""

    leverage: int = 20
    isolated: bool = False
