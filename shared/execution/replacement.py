"""Replacing a stop without a gap: the new one is live before the old one goes."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

import msgspec

from shared.execution import adopt, orders, protection
from shared.execution.books import Books
from shared.execution.desk import Desk
from shared.execution.elapsed import Deadline
from shared.execution.exchange import VenueAlgoOrder, VenuePosition
from shared.execution.ids import Leg, leg_of
from shared.portfolio import positions
from shared.portfolio.positions import PositionRecord
from shared.risk.stops import tighter


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
    current = moved
    if placed == "live":
        # Before anything that may fail now: a stop that the record does not know of would get a
        # sibling in the next round, and another in the round after that.
        current = books.write(
            lambda: positions.update(desk.store, record, partial(_tightened, moved)), moved
        )
    books.catch_up()
    if placed != "live":
        return False
    prune(desk, current, venue, desk.exchange.open_algo_orders(record.id))
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


def _tightened(moved: PositionRecord, current: PositionRecord) -> PositionRecord:
    """The record with the stop as it was moved, unless somebody has moved it further meanwhile."""
    if tighter(current.side, moved.stop_price, current.stop_price) != moved.stop_price:
        return current
    return msgspec.structs.replace(
        current, stop_price=moved.stop_price, stop_revision=moved.stop_revision
    )


def prune(
    desk: Desk, record: PositionRecord, venue: VenuePosition, algos: Sequence[VenueAlgoOrder]
) -> int:
    """Cancel stops and targets that a newer one replaces; returns how many.

    Only where the one that the record asks for is live and covers everything: what an
    interrupted replacement left behind goes, what still protects never does. Nor does a tighter
    stop of the same decision: stops only tighten, so that one is the younger, and whoever placed it
    has died, or is about to write it down.
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
            if (
                algo.client_algo_id != keep
                and algo.status == "NEW"
                and algo.quantity <= quantity
                and not (leg == "s" and _younger(desk, record, algo))
            ):
                adopt.cancel(desk, algo, "replaced", record.decision_id)
                cancelled += 1
    return cancelled


def _younger(desk: Desk, record: PositionRecord, algo: VenueAlgoOrder) -> bool:
    """Whether a stop is tighter than the one of the record, and not known to be another trade's."""
    trigger = algo.trigger_price
    if trigger is None or tighter(record.side, trigger, record.stop_price) == record.stop_price:
        return False
    known = orders.load(desk, algo.client_algo_id)
    return known is None or known[0].decision_id == record.decision_id
