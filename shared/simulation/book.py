"""The order book around the path: spread, depth, and what a taker pays.

The spread is the contract's usual one, at least a tick, and widens with the bar's range. Depth
grows with the distance from the touch; a large order walks it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Protocol, runtime_checkable

from shared.simulation.contracts import Contract

#: Distance of the levels from the touch, in basis points.
DISTANCES = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
#: Share of one basis point's depth that rests at the touch.
TOUCH_SHARE = 0.1


class AnyBook(Protocol):
    """Bids and asks of one contract at one moment."""

    @property
    def bid(self) -> Decimal: ...

    @property
    def ask(self) -> Decimal: ...

    def levels(self, buy: bool) -> Iterator[tuple[Decimal, Decimal]]:
        """Price and quantity of the levels a taker meets, best first."""
        ...


@runtime_checkable
class RecordedMarket(Protocol):
    """A market source that knows the real book."""

    def recorded_book(self, contract: Contract, now: int) -> AnyBook: ...


class Book:
    """Bids and asks of one contract at one moment."""

    __slots__ = ("_ask_ticks", "_bid_ticks", "_contract", "_price")

    def __init__(self, contract: Contract, price: float, bar_range: float) -> None:
        tick = contract.tick
        half = max(tick, price * contract.spread_bps / 1e4, bar_range * contract.range_share) / 2
        self._contract = contract
        self._price = price
        # The small epsilon keeps a price that is on the grid from slipping a tick.
        self._bid_ticks = max(1, math.floor((price - half) / tick + 1e-6))
        self._ask_ticks = max(self._bid_ticks + 1, math.ceil((price + half) / tick - 1e-6))

    @property
    def bid(self) -> Decimal:
        return self._bid_ticks * self._contract.instrument.tick_size

    @property
    def ask(self) -> Decimal:
        return self._ask_ticks * self._contract.instrument.tick_size

    def levels(self, buy: bool) -> Iterator[tuple[Decimal, Decimal]]:
        """Price and quantity of the levels a taker meets, best first.

        ``buy`` asks for the offers a buyer meets.
        """
        contract = self._contract
        instrument = contract.instrument
        step = float(instrument.step_size)
        touch = self._ask_ticks if buy else self._bid_ticks
        used = 0
        previous = 0.0
        for bps in DISTANCES:
            away = max(used, round(self._price * bps / 1e4 / contract.tick))
            ticks = touch + away if buy else touch - away
            if ticks <= 0:
                return
            share = bps - previous if bps else TOUCH_SHARE
            lots = max(1, round(contract.depth_per_bps * share / self._price / step))
            yield ticks * instrument.tick_size, lots * instrument.step_size
            used = away + 1
            previous = bps


class Remaining:
    """A book less what has been taken from it at this moment."""

    __slots__ = ("_book", "_gone")

    def __init__(self, book: AnyBook) -> None:
        self._book = book
        self._gone: dict[tuple[bool, Decimal], Decimal] = {}

    @property
    def bid(self) -> Decimal:
        return next((price for price, _ in self.levels(buy=False)), self._book.bid)

    @property
    def ask(self) -> Decimal:
        return next((price for price, _ in self.levels(buy=True)), self._book.ask)

    def take(self, buy: bool, price: Decimal, quantity: Decimal) -> None:
        self._gone[buy, price] = self._gone.get((buy, price), Decimal(0)) + quantity

    def levels(self, buy: bool) -> Iterator[tuple[Decimal, Decimal]]:
        """What is left, best first."""
        for price, offered in self._book.levels(buy):
            left = offered - self._gone.get((buy, price), Decimal(0))
            if left > 0:
                yield price, left
