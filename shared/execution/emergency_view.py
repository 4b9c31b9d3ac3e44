"""What an emergency stop sees of the account, as far as the exchange tells it.

One endpoint that fails keeps nothing from being closed: positions are in the balances as well, and
orders that cannot be listed are cancelled wherever some could be. What could not be read is
collected in ``unread``: with anything in it the account does not count as flat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from shared.errors import ExchangeError
from shared.execution import stuck as stuck_orders
from shared.execution.desk import Desk
from shared.execution.exchange import VenueAlgoOrder, VenuePosition

T = TypeVar("T")

#: The two lists of open orders, and that of positions, as they are told where one cannot be read.
PLAIN, CONDITIONAL, POSITIONS = "open orders", "conditional orders", "positions"


def positions(desk: Desk, failures: list[str], unread: set[str]) -> list[VenuePosition]:
    """The positions, from the balances where their own endpoint fails.

    Raises
    ------
    ExchangeError
        When neither can be read.
    """
    if POSITIONS not in unread:
        try:
            return desk.exchange.positions()
        except ExchangeError as error:
            failures.append(f"{POSITIONS}: {type(error).__name__}: {error}")
    held = desk.exchange.account_positions()
    unread.add(POSITIONS)
    return held


def listed(
    failures: list[str], unread: set[str], what: str, read: Callable[[], list[T]]
) -> list[T]:
    """A list of open orders; empty where it cannot be read, which is noted in ``unread``.

    Positions are closed all the same. It is asked for once in a run that it has failed: the next
    one verifies.
    """
    if what in unread:
        return []
    try:
        return read()
    except ExchangeError as error:
        unread.add(what)
        failures.append(f"{what}: {type(error).__name__}: {error}")
        return []


def stuck(
    desk: Desk, held: Sequence[VenuePosition], algos: Sequence[VenueAlgoOrder]
) -> list[VenueAlgoOrder]:
    """Orders that are stuck; none while the exchange does not tell the time."""
    try:
        return stuck_orders.stuck(desk, held, algos)
    except ExchangeError:
        return []
