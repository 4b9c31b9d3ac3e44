"""Replacing a stop without a gap: the new one is live before the old one goes."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from shared.execution import adopt, protection
from shared.execution.books import Books
from shared.execution.desk import Desk
from shared.execution.elapsed import Deadline
from shared.execution.exchange import VenueAlgoOrder, VenuePosition
from shared.execution.ids import Leg, leg_of
from shared.portfolio import positions
from shared.portfolio.positions import PositionRecord


def move_stop(
    desk: Desk,
    record: PositionRecord,
    venue: VenuePosition,
    stop: Decimal,
    *,
    reason: str = "trailing",
) -> bool:
    """Replace the stop without a gap: the new one is live before the old ones are cancelled."""
    deadline = Deadline(desk.clock, protection.DEADLINE_MS)
    moved = msgspec.structs.replace(record, stop_price=stop, stop_revision=record.stop_revision + 1)
    books = Books(desk.clock)
    placed = protection.place(desk, moved, "s", stop, abs(venue.quantity), deadline, books)
    if placed == "live":
        revision = moved.stop_revision
        # Before anything that may fail now: a stop that the record does not know of would get a
        # sibling in the next round, and another in the round after that.
        books.write(
            lambda: positions.change(desk.store, record, stop_price=stop, stop_revision=revision),
            record,
        )
    books.catch_up()
    if placed != "live":
        return False
    prune(desk, moved, venue, desk.exchange.open_algo_orders(record.id))
    desk.note(
        "protection",
        {
            "symbol": record.id,
            "quantity": str(abs(venue.quantity)),
            "stopPrice": str(stop),
            "stopRevision": moved.stop_revision,
            "reason": reason,
        },
        correlation=record.decision_id,
    )
    return True


def prune(
    desk: Desk, record: PositionRecord, venue: VenuePosition, algos: Sequence[VenueAlgoOrder]
) -> int:
    """Cancel stops and targets that a newer one replaces; returns how many.

    Only where the one that the record asks for is live and covers everything: what an
    interrupted replacement left behind goes, what still protects never does.
    """
    quantity = abs(venue.quantity)
    cancelled = 0
    legs: tuple[tuple[Leg, Decimal], ...] = (
        ("s", record.stop_price),
        ("t", record.take_profit_price),
    )
    for leg, trigger in legs:
        mine = [a for a in algos if a.symbol == record.id and leg_of(a.client_algo_id) == leg]
        if len(mine) < 2:
            continue
        keep = protection.algo_id(desk.account, record, leg, trigger, quantity)
        if not any(a.client_algo_id == keep and a.status == "NEW" for a in mine):
            continue
        for algo in mine:
            # One that has triggered is at work: it is not in the way. One for more than was seen
            # may be younger than that look: a position grows while its entry is still filling.
            if algo.client_algo_id != keep and algo.status == "NEW" and algo.quantity <= quantity:
                adopt.cancel(desk, algo, "replaced", record.decision_id)
                cancelled += 1
    return cancelled
