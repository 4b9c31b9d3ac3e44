"""What an emergency stop sees of the account, as far as the exchange tells it.

One endpoint that fails keeps nothing from being closed: positions are in the balances as well, and
orders that cannot be listed are cancelled wherever some could be. What could not be read is
collected in ``unread``: with anything in it the account does not count as flat.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import TypeVar

from shared.errors import ExchangeError
from shared.execution import chase
from shared.execution import stuck as stuck_orders
from shared.execution.desk import Desk
from shared.execution.exchange import VenueAlgoOrder, VenuePosition
from shared.execution.settlement import LOOK_BACK_BY_SIDE_MS
from shared.execution.sighting import POSITION_LAG_MS
from shared.portfolio import positions as position_records
from shared.portfolio.positions import PositionRecord

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


def unshown(desk: Desk, shown: Collection[str]) -> set[str]:
    """Symbols whose position the exchange may not show yet: views lag behind fills.

    Such a one is no sign that there is none, and its stop no leftover.

    Parameters
    ----------
    shown : collection of str
        Where a position has been seen: that one is closed when it is not shown any more.
    """
    records = position_records.open_records(desk.store, desk.account)
    return {s for s, record in records.items() if s not in shown and _just_filled(desk, record)}


def _just_filled(desk: Desk, record: PositionRecord) -> bool:
    try:
        if record.state == "open":
            executed = record.quantity
            filled_for = abs(desk.clock.now_ms() - record.updated_at)
        else:
            entered = [
                order
                for known in chase.entry_orders(desk, record.decision_id)
                if (order := desk.exchange.order(record.id, known.id)) and order.executed_quantity
            ]
            executed = sum((o.executed_quantity for o in entered), Decimal(0))
            filled_for = desk.exchange.now_ms() - max((o.update_time for o in entered), default=0)
        return filled_for <= POSITION_LAG_MS and not _closed_since(desk, record, executed)
    except ExchangeError:
        return True


def _closed_since(desk: Desk, record: PositionRecord, executed: Decimal) -> bool:
    """Whether fills prove that what was opened is closed again."""
    fills = desk.exchange.fills(record.id, start=record.opened_at - LOOK_BACK_BY_SIDE_MS)
    entered = sum((f.quantity for f in fills if f.side == record.side), Decimal(0))
    return executed <= entered == sum((f.quantity for f in fills), Decimal(0)) - entered
