"""One account's state: wallet, positions, both order books, ledgers, settings."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from shared.simulation.orders import (
    ZERO,
    AlgoOrder,
    Amendment,
    IncomeEntry,
    MarginMove,
    Order,
    Position,
    SymbolSettings,
    Trade,
)


class AccountState:
    """State of one account. Changing it is the business of the modules around it.

    Attributes
    ----------
    cross_wallet : Decimal
        USDT not locked in isolated positions.
    positions : dict
        Only positions other than zero, by (symbol, position side).
    open_orders, open_algos : dict
        By symbol, then by id; a symbol without any is absent.
    dirty : dict
        Records changed since the last save, by (kind, key).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.cross_wallet = ZERO
        self.hedge = False
        self.multi_assets = False
        self.fee_burn = False
        self.positions: dict[tuple[str, str], Position] = {}
        self.settings: dict[str, SymbolSettings] = {}
        self.orders: dict[int, Order] = {}
        self.open_orders: dict[str, dict[int, Order]] = {}
        self.latest_order: dict[str, int] = {}
        self.algos: dict[int, AlgoOrder] = {}
        self.open_algos: dict[str, dict[int, AlgoOrder]] = {}
        self.latest_algo: dict[str, int] = {}
        self.trades: list[Trade] = []
        self.trades_of: dict[int, list[Trade]] = {}
        self.income: list[IncomeEntry] = []
        self.amendments: list[Amendment] = []
        self.margin_moves: list[MarginMove] = []
        self.countdowns: dict[str, int] = {}
        self.dirty: dict[tuple[str, str], Any] = {}

    @property
    def sides(self) -> tuple[str, ...]:
        """Position sides of the account's mode."""
        return ("LONG", "SHORT") if self.hedge else ("BOTH",)

    def setting(self, symbol: str) -> SymbolSettings:
        """Leverage and margin type of a symbol; the venue's defaults until set."""
        found = self.settings.get(symbol)
        return found if found is not None else SymbolSettings()

    def change_setting(self, symbol: str, settings: SymbolSettings) -> None:
        self.settings[symbol] = settings
        self.dirty["setting", symbol] = settings

    def position(self, symbol: str, side: str = "BOTH") -> Position:
        """The position, an empty one where nothing is held."""
        found = self.positions.get((symbol, side))
        return found if found is not None else Position(symbol=symbol, side=side)

    def positions_of(self, symbol: str) -> list[Position]:
        return [p for (held, _), p in self.positions.items() if held == symbol]

    def symbols(self) -> set[str]:
        """Symbols with a position or a working order."""
        held = {symbol for symbol, _ in self.positions}
        return held.union(self.open_orders, self.open_algos)

    def is_idle(self) -> bool:
        return not (self.positions or self.open_orders or self.open_algos or self.countdowns)

    def wallet_balance(self) -> Decimal:
        """Total wallet in USDT: free plus isolated."""
        return sum((p.isolated_wallet for p in self.positions.values()), self.cross_wallet)

    def add_order(self, order: Order) -> None:
        self.orders[order.order_id] = order
        self.latest_order[order.client_order_id] = order.order_id
        self.touch(order)

    def add_algo(self, algo: AlgoOrder) -> None:
        self.algos[algo.algo_id] = algo
        self.latest_algo[algo.client_algo_id] = algo.algo_id
        self.touch_algo(algo)

    def touch(self, order: Order) -> None:
        """Book an order under open or closed after its status changed."""
        self.dirty["order", str(order.order_id)] = order
        _file(self.open_orders, order.symbol, order.order_id, order, order.is_open)

    def touch_algo(self, algo: AlgoOrder) -> None:
        self.dirty["algo", str(algo.algo_id)] = algo
        _file(self.open_algos, algo.symbol, algo.algo_id, algo, algo.is_open)

    def store_position(self, position: Position) -> None:
        key = (position.symbol, position.side)
        if position.quantity:
            self.positions[key] = position
        else:
            self.positions.pop(key, None)
        self.dirty["position", f"{position.symbol}/{position.side}"] = position

    def add_trade(self, trade: Trade) -> None:
        self.trades.append(trade)
        self.trades_of.setdefault(trade.order_id, []).append(trade)
        self.dirty["trade", str(trade.trade_id)] = trade

    def add_income(self, entry: IncomeEntry) -> None:
        self.income.append(entry)
        self.dirty["income", str(entry.transaction_id)] = entry

    def add_amendment(self, amendment: Amendment) -> None:
        self.amendments.append(amendment)
        self.dirty["amendment", str(amendment.amendment_id)] = amendment

    def add_margin_move(self, move: MarginMove) -> None:
        self.margin_moves.append(move)
        self.dirty["margin", str(move.move_id)] = move

    def working_orders(self, symbol: str) -> Iterable[Order]:
        return list(self.open_orders.get(symbol, {}).values())

    def working_algos(self, symbol: str) -> Iterable[AlgoOrder]:
        return list(self.open_algos.get(symbol, {}).values())


def _file(book: dict[str, dict[int, Any]], symbol: str, key: int, record: Any, keep: bool) -> None:
    if keep:
        book.setdefault(symbol, {})[key] = record
    elif symbol in book:
        book[symbol].pop(key, None)
        if not book[symbol]:
            del book[symbol]
