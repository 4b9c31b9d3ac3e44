"""Futures trading quantitative rules: who floods a symbol with orders may only reduce for a while.

Judged per account and symbol at the end of each cycle of ten minutes. The ratios and counts are
those of an older copy of Binance's rules; how long a ban lasts is not published, so it is a
parameter here.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shared.simulation.account import AccountState
from shared.simulation.orders import ZERO, Order
from shared.simulation.refusal import VenueRefusal

CYCLE_MS = 600_000
_DAY_MS = 86_400_000
#: A cancel within this time of the order counts as one that meant nothing.
_HASTY_MS = 5_000
#: Notional in USDT below which an order is dust.
_DUST = 50
_RESTING = frozenset({"GTC", "GTX", "GTD"})
_IMMEDIATE = frozenset({"IOC", "FOK"})


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """From how many orders in a cycle a ratio is looked at, which ratio bans, for how long."""

    orders: int = 10_000
    cancels: int = 5_000
    expiries: int = 5_000
    unfilled: float = 0.99
    cancelled: float = 0.99
    expired: float = 0.99
    dust: float = 0.90
    #: Bans of a day at which the account as a whole is restricted.
    bans: int = 10
    ban_ms: int = CYCLE_MS


class Indicator(msgspec.Struct, frozen=True, kw_only=True):
    """One ratio of a symbol, as the trading status shows it."""

    name: str
    value: float
    threshold: float
    locked: bool
    #: When the ban ends, UTC milliseconds; the end of the cycle where there is none.
    recovers: int


class QuantitativeRules:
    """The rules' memory of one venue."""

    def __init__(self) -> None:
        self.thresholds = Thresholds()
        #: Cycle and number of orders in it, by account and symbol.
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._found: dict[tuple[str, str], tuple[Indicator, ...]] = {}
        self._banned_until: dict[tuple[str, str], int] = {}
        self._bans: dict[str, list[int]] = {}

    def record(self, account: AccountState, symbol: str, now: int) -> None:
        """Count an order that reached the matching engine."""
        count = self._counts.get((account.name, symbol))
        cycle = now - now % CYCLE_MS
        if count is None:
            self._counts[account.name, symbol] = [cycle, 1]
            return
        if count[0] != cycle:
            self._judge(account, symbol, now)
            count[0], count[1] = cycle, 0
        count[1] += 1

    def check(self, account: AccountState, symbol: str, now: int) -> None:
        """Refuse an order that opens or increases while the symbol or the account is banned.

        Raises
        ------
        VenueRefusal
            -4400.
        """
        self._judge(account, symbol, now)
        banned = self._banned_until
        if banned and now < max(
            banned.get((account.name, symbol), 0), banned.get((account.name, ""), 0)
        ):
            raise VenueRefusal(-4400)

    def indicators(self, account: AccountState, now: int) -> dict[str, tuple[Indicator, ...]]:
        """What the trading status tells, by symbol; ``ACCOUNT`` for the account as a whole."""
        told: dict[str, tuple[Indicator, ...]] = {}
        for name, symbol in list(self._counts):
            if name == account.name:
                self._judge(account, symbol, now)
                current = [i for i in self._found.get((name, symbol), ()) if now < i.recovers]
                if current:
                    told[symbol] = tuple(current)
        until = self._banned_until.get((account.name, ""), 0)
        if now < until:
            bans = float(len(self._bans[account.name]))
            most = float(self.thresholds.bans)
            told["ACCOUNT"] = (
                Indicator(name="TMV", value=bans, threshold=most, locked=True, recovers=until),
            )
        return told

    def _judge(self, account: AccountState, symbol: str, now: int) -> None:
        """Judge the cycle of the last orders once it is over."""
        count = self._counts.get((account.name, symbol))
        if count is None or not count[1] or now < (end := count[0] + CYCLE_MS):
            return
        t = self.thresholds
        placed, count[1] = count[1], 0
        if placed < min(t.orders, t.cancels, t.expiries):
            return
        until = end + t.ban_ms
        found = tuple(
            Indicator(
                name=name,
                value=round(value, 4),
                threshold=most,
                locked=value >= most,
                recovers=until if value >= most else end + CYCLE_MS,
            )
            for name, value, most in self._ratios(_placed_in(account, symbol, count[0], end))
        )
        self._found[account.name, symbol] = found
        if any(one.locked for one in found):
            self._ban(account.name, symbol, end, until)

    def _ban(self, account: str, symbol: str, at: int, until: int) -> None:
        self._banned_until[account, symbol] = until
        bans = [t for t in self._bans.get(account, []) if t > at - _DAY_MS]
        self._bans[account] = [*bans, at]
        if len(bans) + 1 >= self.thresholds.bans:
            self._banned_until[account, ""] = until

    def _ratios(self, orders: list[Order]) -> Iterable[tuple[str, float, float]]:
        t = self.thresholds
        resting = [o for o in orders if o.type == "LIMIT" and o.time_in_force in _RESTING]
        immediate = [o for o in orders if o.type == "LIMIT" and o.time_in_force in _IMMEDIATE]
        if len(orders) >= t.orders:
            wanted = sum((o.quantity for o in orders), ZERO)
            done = sum((o.executed for o in orders), ZERO)
            yield "UFR", float(1 - done / wanted), t.unfilled
            dust = sum(_notional(o) < _DUST for o in orders)
            yield "DR", dust / len(orders), t.dust
        if len(immediate) >= t.expiries:
            expired = sum(o.status.startswith("EXPIRED") for o in immediate)
            yield "IFER", expired / len(immediate), t.expired
        if len(resting) >= t.cancels:
            hasty = sum(
                o.status == "CANCELED" and o.update_time - o.time <= _HASTY_MS for o in resting
            )
            # The trading status still calls the cancellation ratio by its former name.
            yield "GCR", hasty / len(resting), t.cancelled


def _placed_in(account: AccountState, symbol: str, start: int, end: int) -> list[Order]:
    found = []
    for order in reversed(account.orders.values()):
        if order.time < start:
            break
        if order.symbol == symbol and order.time < end:
            found.append(order)
    return found


def _notional(order: Order) -> float:
    return float(order.quantity * (order.price or order.average_price))
