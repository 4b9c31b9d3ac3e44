"""The venue: one market, any number of accounts, explicit time.

Call :meth:`Venue.advance` with the time of a request before the request; everything that was due
until then has happened when it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from shared.errors import InvalidInput
from shared.simulation import (
    amendment,
    conditional,
    configuration,
    deleveraging,
    entry,
    klines,
    matching,
)
from shared.simulation.account import AccountState
from shared.simulation.balances import Balances, balances
from shared.simulation.contracts import DEFAULT_CONTRACTS, Contract
from shared.simulation.core import VenueCore, VenueEvent
from shared.simulation.ledger import Ledger, ledger_of
from shared.simulation.margin_call import MarginWatch
from shared.simulation.orders import ZERO, AlgoOrder, NewAlgoOrder, NewOrder, Order
from shared.simulation.refusal import VenueRefusal
from shared.simulation.source import MarketSource
from shared.simulation.timeline import Timeline

DEFAULT_DEPOSIT = Decimal("5000")
MAIN = "main"


class Venue:
    """A simulated USD-M futures venue.

    Parameters
    ----------
    source : MarketSource
        Prices; the venue lists those of its symbols that have a contract.
    start_ms : int
        Simulated time to begin at, UTC milliseconds.
    contracts : mapping of str to Contract, optional
        Listed contracts; the shipped ones by default.
    deposit : Decimal
        USDT that a new account starts with.

    Raises
    ------
    InvalidInput
        A symbol of the source has no contract.
    """

    def __init__(
        self,
        source: MarketSource,
        *,
        start_ms: int,
        contracts: Mapping[str, Contract] | None = None,
        deposit: Decimal = DEFAULT_DEPOSIT,
    ) -> None:
        listed = DEFAULT_CONTRACTS if contracts is None else contracts
        unknown = [s for s in source.symbols if s not in listed]
        if unknown:
            raise InvalidInput(
                f"no contract for {', '.join(unknown)}; the venue knows {', '.join(listed)}"
            )
        self.core = VenueCore(source, {s: listed[s] for s in source.symbols}, start_ms)
        self.deposit = deposit
        self._timeline = Timeline(self.core)
        self._margin_watch = MarginWatch(self.core)

    @property
    def now(self) -> int:
        """Simulated time reached, UTC milliseconds."""
        return self.core.now

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self.core.contracts)

    def advance(self, to_ms: int) -> None:
        """Let everything due until ``to_ms`` happen; an earlier time changes nothing."""
        self._timeline.advance(to_ms)
        self._margin_watch.look()

    def on_event(self, listener: Callable[[VenueEvent], None]) -> None:
        """Tell a listener what happens to any account, in order."""
        self.core.listeners.append(listener)

    def account(self, name: str = MAIN) -> AccountState:
        """An account, opened with the deposit when first asked for."""
        found = self.core.accounts.get(name)
        if found is None:
            found = self.core.accounts[name] = AccountState(name)
            if self.deposit:
                self.transfer(found, self.deposit)
        return found

    def transfer(self, account: AccountState, amount: Decimal) -> None:
        """Deposit (positive) or withdraw USDT."""
        if amount < 0 and -amount > self.balances(account).available:
            raise VenueRefusal(-4050)
        account.cross_wallet += amount
        self.core.book_income(account, "TRANSFER", amount)
        self.core.changed()
        self.core.emit_account(account, "DEPOSIT" if amount > 0 else "WITHDRAW", change=amount)

    def ledger(self, name: str = MAIN) -> Ledger:
        """Copies of an account's books, for invariant checks."""
        return ledger_of(self.account(name), self.now)

    def balances(self, account: AccountState) -> Balances:
        return balances(self.core, account)

    # plain orders

    def test_order(self, account: AccountState, request: NewOrder) -> Order:
        """Check an order without placing it; the order as it would be."""
        return entry.check(self.core, account, request)

    def place_order(self, account: AccountState, request: NewOrder) -> Order:
        """Check and submit a plain order; it may be filled when this returns."""
        return entry.submit(self.core, account, entry.check(self.core, account, request))

    def find_order(
        self,
        account: AccountState,
        symbol: str,
        *,
        order_id: int | None = None,
        client_order_id: str | None = None,
    ) -> Order | None:
        """The order with an id, or the newest with a client id."""
        if order_id is None and client_order_id is not None:
            order_id = account.latest_order.get(client_order_id)
        order = account.orders.get(order_id) if order_id is not None else None
        return order if order is not None and order.symbol == symbol else None

    def cancel_order(self, account: AccountState, order: Order | None) -> Order:
        """Cancel a working order; -2011 when there is none."""
        if order is None or not order.is_open:
            raise VenueRefusal(-2011)
        matching.cancel(self.core, account, order)
        return order

    def cancel_all_orders(self, account: AccountState, symbol: str) -> None:
        """Cancel a symbol's plain orders; conditional orders stay."""
        self.core.contract(symbol)
        for order in account.working_orders(symbol):
            matching.cancel(self.core, account, order)

    def amend_order(
        self,
        account: AccountState,
        order: Order | None,
        *,
        side: str,
        quantity: Decimal,
        price: Decimal = ZERO,
        price_match: str = "NONE",
        modify_id: int | None = None,
        reduce_only: bool = False,
    ) -> Order:
        """Change price and quantity of a resting limit order; -2013 when there is none."""
        if order is None or not order.is_open:
            raise VenueRefusal(-2013)
        if price_match != "NONE":
            price = entry.matched_price(self.core, order.symbol, order.side, price_match)
        return amendment.amend(
            self.core,
            account,
            order,
            side=side,
            quantity=quantity,
            price=price,
            modify_id=modify_id,
            reduce_only=reduce_only,
        )

    def set_countdown(self, account: AccountState, symbol: str, countdown_ms: int) -> None:
        """Cancel a symbol's plain orders after a while unless renewed; 0 disarms."""
        self.core.contract(symbol)
        if countdown_ms:
            account.countdowns[symbol] = self.now + countdown_ms
        else:
            account.countdowns.pop(symbol, None)
        account.dirty["countdown", symbol] = account.countdowns.get(symbol)
        self.core.changed()

    def deleverage(
        self, account: AccountState, symbol: str, quantity: Decimal, side: str = "BOTH"
    ) -> Order:
        """Let the venue reduce a position by auto-deleveraging, which no request can."""
        return deleveraging.deleverage(self.core, account, symbol, quantity, side)

    # conditional orders

    def place_algo_order(self, account: AccountState, request: NewAlgoOrder) -> AlgoOrder:
        return conditional.place(self.core, account, request)

    def find_algo_order(
        self,
        account: AccountState,
        *,
        algo_id: int | None = None,
        client_algo_id: str | None = None,
    ) -> AlgoOrder | None:
        """The conditional order with an id, or the newest with a client id."""
        if algo_id is None and client_algo_id is not None:
            algo_id = account.latest_algo.get(client_algo_id)
        return account.algos.get(algo_id) if algo_id is not None else None

    def cancel_algo_order(self, account: AccountState, algo: AlgoOrder | None) -> AlgoOrder:
        if algo is None:
            raise VenueRefusal(-2011)
        conditional.cancel(self.core, account, algo)
        return algo

    def cancel_all_algo_orders(self, account: AccountState, symbol: str) -> None:
        self.core.contract(symbol)
        for algo in account.working_algos(symbol):
            conditional.cancel(self.core, account, algo)

    # configuration

    def set_leverage(self, account: AccountState, symbol: str, leverage: int) -> Decimal:
        return configuration.set_leverage(self.core, account, symbol, leverage)

    def set_margin_type(self, account: AccountState, symbol: str, *, isolated: bool) -> None:
        configuration.set_margin_type(self.core, account, symbol, isolated=isolated)

    def move_position_margin(
        self, account: AccountState, symbol: str, amount: Decimal, side: str = "BOTH"
    ) -> None:
        configuration.move_position_margin(self.core, account, symbol, side, amount)

    def set_hedge(self, account: AccountState, hedge: bool) -> None:
        configuration.set_hedge(self.core, account, hedge)

    def set_multi_assets(self, account: AccountState, multi_assets: bool) -> None:
        configuration.set_multi_assets(self.core, account, multi_assets)

    def set_fee_burn(self, account: AccountState, fee_burn: bool) -> None:
        configuration.set_fee_burn(self.core, account, fee_burn)

    # market

    def klines(
        self,
        symbol: str,
        timeframe: str,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int = 500,
        mark: bool = False,
    ) -> list[klines.Row]:
        """Candles up to the forming one; see :func:`shared.simulation.klines.klines`."""
        return klines.klines(
            self.core, symbol, timeframe, start=start, end=end, limit=limit, mark=mark
        )
