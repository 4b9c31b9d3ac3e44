"""What the venue's parts share: the market at a moment, the accounts, numbering, events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from shared.market.timeframe import duration_ms
from shared.simulation.account import AccountState
from shared.simulation.book import AnyBook, Book, RecordedMarket, Remaining
from shared.simulation.contracts import Contract
from shared.simulation.orders import CENT, ZERO, AlgoOrder, IncomeEntry, Order, Position, Trade
from shared.simulation.path import BarPath, low_first
from shared.simulation.quantitative import QuantitativeRules
from shared.simulation.refusal import VenueRefusal
from shared.simulation.source import MarketSource


class VenueEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something an account's owner is told.

    ``kind`` is ORDER, ALGO, ACCOUNT, FUNDING, CONFIG or MARGIN; ``record`` a copy of the order at
    that moment. ``execution`` is Binance's ``x`` for orders and the reason ``m`` for accounts.
    """

    kind: str
    account: str
    time: int
    execution: str = ""
    record: Any = None
    trade: Trade | None = None
    wallet: Decimal | None = None
    cross_wallet: Decimal | None = None
    balance_change: Decimal = Decimal(0)
    positions: tuple[Position, ...] = ()
    isolated: bool = False
    leverage: int = 0
    symbol: str = ""


class VenueCore:
    """Shared state of one venue.

    Parameters
    ----------
    source : MarketSource
    contracts : mapping of str to Contract
    now : int
        Simulated time, UTC milliseconds.
    """

    def __init__(self, source: MarketSource, contracts: Mapping[str, Contract], now: int) -> None:
        self.source = source
        self.contracts = dict(contracts)
        # A recording is cut finer than any candle of the venue.
        self.bar_ms: int = getattr(source, "bar_ms", 0) or duration_ms(source.timeframe)
        self.now = now
        self.accounts: dict[str, AccountState] = {}
        self.listeners: list[Callable[[VenueEvent], None]] = []
        #: Counts changes of orders, positions, wallets; derived figures are cached by it.
        self.version = 0
        #: Whether a triggered conditional order reaches the matching engine (a fault).
        self.forward_trigger: Callable[[AlgoOrder], bool] | None = None
        self.quantitative = QuantitativeRules()
        self._sequence: dict[str, int] = {
            "order": 1_000_000,
            "algo": 2_000_000,
            "trade": 3_000_000,
            "income": 4_000_000,
            "amendment": 5_000_000,
            "margin": 6_000_000,
        }
        self._paths: dict[str, BarPath] = {}
        self._marks: dict[str, tuple[int, BarPath, Decimal]] = {}
        self._books: dict[str, tuple[int, AnyBook]] = {}
        self._met: dict[tuple[str, str], tuple[int, Decimal]] = {}
        self._recorded = source if isinstance(source, RecordedMarket) else None

    @property
    def is_recorded(self) -> bool:
        """Whether the market is a recording with a book of its own."""
        return self._recorded is not None

    # numbering and events

    def next_id(self, what: str) -> int:
        self._sequence[what] += 1
        return self._sequence[what]

    @property
    def sequence(self) -> dict[str, int]:
        return self._sequence

    def changed(self) -> None:
        self.version += 1

    def emit_order(
        self, account: AccountState, order: Order, execution: str, trade: Trade | None = None
    ) -> None:
        if self.listeners:
            self._emit(
                VenueEvent(
                    kind="ORDER",
                    account=account.name,
                    time=self.now,
                    execution=execution,
                    record=msgspec.structs.replace(order),
                    trade=trade,
                )
            )

    def emit_algo(self, account: AccountState, algo: AlgoOrder) -> None:
        if self.listeners:
            self._emit(
                VenueEvent(
                    kind="ALGO",
                    account=account.name,
                    time=self.now,
                    record=msgspec.structs.replace(algo),
                )
            )

    def emit_account(
        self,
        account: AccountState,
        reason: str,
        positions: tuple[Position, ...] = (),
        *,
        change: Decimal = Decimal(0),
        isolated: bool = False,
        symbol: str = "",
    ) -> None:
        if self.listeners:
            self._emit(
                VenueEvent(
                    kind="ACCOUNT",
                    account=account.name,
                    time=self.now,
                    execution=reason,
                    wallet=account.wallet_balance(),
                    cross_wallet=account.cross_wallet,
                    balance_change=change,
                    positions=tuple(msgspec.structs.replace(p) for p in positions),
                    isolated=isolated,
                    symbol=symbol,
                )
            )

    def emit_leverage(self, account: AccountState, symbol: str, leverage: int) -> None:
        if self.listeners:
            self._emit(
                VenueEvent(
                    kind="CONFIG",
                    account=account.name,
                    time=self.now,
                    symbol=symbol,
                    leverage=leverage,
                )
            )

    def emit_multi_assets(self, account: AccountState) -> None:
        if self.listeners:
            self._emit(
                VenueEvent(
                    kind="CONFIG",
                    account=account.name,
                    time=self.now,
                    record=account.multi_assets,
                )
            )

    def emit_margin_call(
        self, account: AccountState, positions: tuple[Position, ...], *, isolated: bool
    ) -> None:
        self._emit(
            VenueEvent(
                kind="MARGIN",
                account=account.name,
                time=self.now,
                cross_wallet=account.cross_wallet,
                positions=tuple(msgspec.structs.replace(p) for p in positions),
                isolated=isolated,
            )
        )

    def _emit(self, event: VenueEvent) -> None:
        for listener in self.listeners:
            listener(event)

    def book_income(
        self,
        account: AccountState,
        kind: str,
        amount: Decimal,
        *,
        symbol: str = "",
        trade_id: int = 0,
        info: str = "",
    ) -> None:
        """Write a line of the income ledger. The wallet itself is moved by the caller."""
        account.add_income(
            IncomeEntry(
                transaction_id=self.next_id("income"),
                symbol=symbol,
                kind=kind,
                amount=amount,
                time=self.now,
                trade_id=trade_id,
                info=info or kind,
            )
        )

    # the market at `now`

    def contract(self, symbol: str) -> Contract:
        try:
            return self.contracts[symbol]
        except KeyError:
            raise VenueRefusal(-1121) from None

    def path(self, symbol: str) -> BarPath:
        """The path through the current bar. Fixed when first looked at within the bar."""
        start = self.now - self.now % self.bar_ms
        path = self._paths.get(symbol)
        if path is None or path.bar.open_time != start:
            bar = self.source.bar(symbol, start)
            path = BarPath(bar, self.bar_ms, low_first(bar, self._held(symbol)))
            self._paths[symbol] = path
        return path

    def fix_path(self, symbol: str, low_first_: bool) -> None:
        """Set the order of the current bar's extremes, as a saved state had it."""
        start = self.now - self.now % self.bar_ms
        self._paths[symbol] = BarPath(self.source.bar(symbol, start), self.bar_ms, low_first_)

    def fixed_paths(self) -> dict[str, bool]:
        start = self.now - self.now % self.bar_ms
        return {s: p.low_first for s, p in self._paths.items() if p.bar.open_time == start}

    def _held(self, symbol: str) -> int:
        """Sign of what is held; where accounts differ, the first that holds anything decides."""
        for account in self.accounts.values():
            net = sum((p.quantity for p in account.positions_of(symbol)), Decimal(0))
            if net:
                return 1 if net > 0 else -1
        return 0

    def last(self, symbol: str) -> float:
        """Contract price now."""
        return self.path(symbol).at(self.now)[0]

    def last_price(self, symbol: str) -> Decimal:
        """Contract price now, on the tick grid."""
        tick = self.contract(symbol).instrument.tick_size
        return round(self.last(symbol) / float(tick)) * tick

    def mark_price(self, symbol: str) -> Decimal:
        """Mark price now, to eight decimals."""
        path = self.path(symbol)
        known = self._marks.get(symbol)
        if known is not None and known[0] == self.now and known[1] is path:
            return known[2]
        price = round(path.at(self.now)[1] * 1e8) * CENT
        self._marks[symbol] = (self.now, path, price)
        return price

    def book(self, symbol: str) -> AnyBook:
        """Bids and asks now."""
        known = self._books.get(symbol)
        path = self.path(symbol)
        if known is not None and known[0] == self.now:
            return known[1]
        book: AnyBook
        if self._recorded is not None:
            book = self._recorded.recorded_book(self.contract(symbol), self.now)
        else:
            bar = path.bar
            book = Book(self.contract(symbol), path.at(self.now)[0], bar.high - bar.low)
        self._books[symbol] = (self.now, book)
        return book

    def met(self, symbol: str, side: str) -> Decimal:
        """What resting orders of a side have got of the current bar."""
        start, quantity = self._met.get((symbol, side), (0, ZERO))
        return quantity if start == self.now - self.now % self.bar_ms else ZERO

    def meets(self, symbol: str, side: str, quantity: Decimal) -> None:
        """Count a fill of a resting order."""
        start = self.now - self.now % self.bar_ms
        self._met[symbol, side] = (start, self.met(symbol, side) + quantity)

    def take_from_book(self, symbol: str, buy: bool, price: Decimal, quantity: Decimal) -> None:
        """Let what a taker got be gone for all others at this moment; a later book is whole."""
        book = self.book(symbol)
        if not isinstance(book, Remaining):
            book = Remaining(book)
            self._books[symbol] = (self.now, book)
        book.take(buy, price, quantity)
