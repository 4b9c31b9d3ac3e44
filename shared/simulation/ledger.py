"""The venue's own books for whoever checks the application: not part of Binance's API."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.simulation.account import AccountState
from shared.simulation.orders import ZERO, AlgoOrder, IncomeEntry, Order, Position, Trade


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Everything true about an account at one moment; the records are copies."""

    time: int
    wallet_balance: Decimal
    positions: tuple[Position, ...]
    open_orders: tuple[Order, ...]
    open_algo_orders: tuple[AlgoOrder, ...]
    orders: tuple[Order, ...]
    algo_orders: tuple[AlgoOrder, ...]
    fills: tuple[Trade, ...]
    income: tuple[IncomeEntry, ...]

    def problems(self) -> list[str]:
        """Contradictions between the books; empty when money and quantities are conserved."""
        found = []
        booked = sum((entry.amount for entry in self.income), ZERO)
        if booked != self.wallet_balance:
            found.append(f"wallet {self.wallet_balance} is not the income ledger's sum {booked}")
        held = {(p.symbol, p.side): p.quantity for p in self.positions}
        moved: dict[tuple[str, str], Decimal] = {}
        for fill in self.fills:
            key = (fill.symbol, fill.position_side)
            change = fill.quantity if fill.side == "BUY" else -fill.quantity
            moved[key] = moved.get(key, ZERO) + change
        for key in held.keys() | moved.keys():
            if held.get(key, ZERO) != moved.get(key, ZERO):
                found.append(
                    f"{key[0]} {key[1]}: position {held.get(key, ZERO)} "
                    f"is not the sum of fills {moved.get(key, ZERO)}"
                )
        executed: dict[int, Decimal] = {}
        for fill in self.fills:
            executed[fill.order_id] = executed.get(fill.order_id, ZERO) + fill.quantity
        found += [
            f"order {order.order_id}: executed {order.executed} is not the sum of its fills"
            for order in self.orders
            if order.executed != executed.get(order.order_id, ZERO)
        ]
        return found


def ledger_of(account: AccountState, now: int) -> Ledger:
    """Copy an account's books."""

    return Ledger(
        time=now,
        wallet_balance=account.wallet_balance(),
        positions=tuple(msgspec.structs.replace(p) for p in account.positions.values()),
        open_orders=tuple(
            msgspec.structs.replace(o)
            for book in account.open_orders.values()
            for o in book.values()
        ),
        open_algo_orders=tuple(
            msgspec.structs.replace(a)
            for book in account.open_algos.values()
            for a in book.values()
        ),
        orders=tuple(msgspec.structs.replace(o) for o in account.orders.values()),
        algo_orders=tuple(msgspec.structs.replace(a) for a in account.algos.values()),
        fills=tuple(account.trades),
        income=tuple(account.income),
    )
