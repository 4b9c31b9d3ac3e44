"""The table of cards: each module adds its own with :func:`card`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from local.acceptance.bench import Bench


@dataclass(frozen=True)
class Card:
    """One acceptance card. ``trades`` when it places orders."""

    number: int
    title: str
    group: str
    run: Callable[[Bench], None]
    trades: bool = True

    @property
    def id(self) -> str:
        return f"TC-{self.number:02d}"


CARDS: dict[int, Card] = {}


def card(
    number: int, title: str, group: str, *, trades: bool = True
) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    """Register a function as a card."""

    def register(run: Callable[[Bench], None]) -> Callable[[Bench], None]:
        CARDS[number] = Card(number, title, group, run, trades)
        return run

    return register
