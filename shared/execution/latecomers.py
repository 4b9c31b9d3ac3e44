"""A position that an entry of ours opened after its record was closed.

It should not come to be: what rests of an entry is ended before its record is. If it does all the
same, it is ours, has no stop, and is closed; a stranger's position would be left alone. It gets a
record of its own, so that whatever hinders the close it is taken up again, and what it earned or
lost is booked as a trade of its own.

An emergency stop asks nobody whose a position is before it closes it. What it closed is given its
record afterwards, and its trade.
"""

from __future__ import annotations

import logging
from decimal import Decimal
from functools import partial

import msgspec

from shared.errors import BorsaError
from shared.execution import chase, flatten, settlement
from shared.execution.absence import ABSENT
from shared.execution.books import Books
from shared.execution.desk import Desk
from shared.execution.exchange import Fill, VenuePosition
from shared.portfolio import positions, trades
from shared.portfolio.positions import PositionRecord
from shared.storage.records import readable, record_of
from shared.storage.store import Where, every

#: A record that was closed longer ago explains no position: its entry's orders are long over.
EXPLAINS_MS = 86_400_000

#: For so long after an entry that was given up unseen began its position is looked for.
AWAITED_MS = 600_000

REASON = "filled after its trade was over"


def close(desk: Desk, position: VenuePosition) -> bool:
    """Close a position without an open record if an entry of ours began it; whether it was ours.

    Ownership is by the order behind the fill that began the position, never by side or size.
    """
    found = positions.load(desk.store, desk.account, position.symbol)
    if found is None or (record := found[0]).state != "closed" or not _explains(desk, record):
        return False
    ours = settlement.entry_orders(desk, record)
    net: Decimal = Decimal(0)
    began: Fill | None = None
    for fill in desk.exchange.fills(record.id, start=record.opened_at - settlement.LOOK_BACK_MS):
        if not net:
            if fill.order_id not in ours and began is None:
                continue  # of an earlier trade, perhaps only its end
            began = fill
        net += fill.quantity if fill.side == "BUY" else -fill.quantity
    if not net or began is None or began.order_id not in ours:
        return False
    late = _reopened(record, began, abs(position.quantity), position.entry_price)
    books = Books(desk.clock)
    books.write(partial(positions.begin, desk.store, late), late)
    # Closing first: whatever hinders the alert must not keep the position naked.
    try:
        flatten.close_position(desk, late, REASON, books)
    finally:
        books.catch_up()
    _tell(desk, late, "closed")
    return True


def awaited(desk: Desk, record: PositionRecord) -> bool:
    """Whether an entry was given up lately of which the exchange had shown nothing at all.

    Its views were not behind for that long before; they may be all the same, and then there is a
    position without a stop. Reads nothing but the store.
    """
    if record.state != "closed" or desk.clock.now_ms() - record.opened_at > AWAITED_MS:
        return False
    decision_id = record.late_of or record.decision_id
    return any(
        known.left and known.reason == ABSENT for known in chase.entry_orders(desk, decision_id)
    )


def take_up(desk: Desk) -> int:
    """Record late positions that were closed as if they were nobody's; how many trades they made.

    Symbols that have a position are left alone: whose that is the guardian finds out. A trade whose
    fills are not complete yet is settled by it, as every other one.

    Raises
    ------
    ExchangeError
        When the positions could not be read.
    """
    held = {p.symbol for p in desk.exchange.positions()}
    settled = 0
    closed = [Where("state", "=", "closed")]
    for record in readable(
        every(desk.store, positions.CONTAINER, desk.account, where=closed), PositionRecord
    ):
        if record.id in held or not _explains(desk, record):
            continue
        try:
            fills = _in_no_trade(desk, record)
            if not fills:
                continue
            entered = [f for f in fills if f.side == fills[0].side]
            quantity = sum((f.quantity for f in entered), Decimal(0))
            late = _reopened(record, fills[0], quantity, trades.average_price(entered))
            positions.begin(desk.store, late)
            settled += settlement.settle_closed(desk, late) is not None
            _tell(desk, late, "it was closed")
        except BorsaError as error:
            # One symbol's books must not keep the others from being written.
            logging.getLogger("borsa").error(
                "%s: late fills not looked for: %s: %s", record.id, type(error).__name__, error
            )
    return settled


def _in_no_trade(desk: Desk, record: PositionRecord) -> list[Fill]:
    """The round trip that begins with fills of the entry which no trade has counted."""
    start = record.opened_at - settlement.LOOK_BACK_MS
    booked = (
        desk.store.get(trades.CONTAINER, desk.account, id_)
        for id_ in {record.decision_id, record.late_of or record.decision_id}
    )
    known = (record_of(t.body, trades.Trade) for t in booked if t is not None)
    last = max((trade.closed_at for trade in known), default=0)
    fills = [f for f in desk.exchange.fills(record.id, start=start) if f.time > last]
    if not fills:
        return []
    ours = settlement.entry_orders(desk, record)
    first = next((i for i, f in enumerate(fills) if f.order_id in ours), None)
    return [] if first is None else settlement.round_trip(fills[first:], ours)


def _explains(desk: Desk, record: PositionRecord) -> bool:
    return desk.clock.now_ms() - max(record.opened_at, record.updated_at) <= EXPLAINS_MS


def _tell(desk: Desk, late: PositionRecord, then: str) -> None:
    desk.alert(
        "critical",
        "late-fill",
        f"{late.id}: an entry filled after its trade was over; {then}",
        f"The exchange held {late.quantity} ({late.side}) from an order of {late.late_of}. Its "
        f"result is booked as trade {late.decision_id}.",
        correlation=late.decision_id,
    )


def _reopened(
    record: PositionRecord, began: Fill, quantity: Decimal, entry_price: Decimal
) -> PositionRecord:
    """The record of the late position; what was planned for it counts for nothing any more."""
    decision_id = record.late_of or record.decision_id
    return msgspec.structs.replace(
        record,
        decision_id=f"{decision_id}-late-{began.trade_id}",
        late_of=decision_id,
        state="open",
        side=began.side,
        quantity=quantity,
        entry_price=entry_price,
        opened_at=began.time,
        risk_amount=Decimal(0),
        exit_reason=REASON,
        closes=0,
        updated_at=began.time,
    )
