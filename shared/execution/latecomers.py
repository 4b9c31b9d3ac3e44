"""A position that an entry of ours opened after its record was closed.

It should not come to be: what rests of an entry is ended before its record is. If it does all the
same, it is ours, has no stop, and is closed; a stranger's position would be left alone. It gets a
record of its own, so that whatever hinders the close it is taken up again, and what it earned or
lost is booked as a trade of its own.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial

import msgspec

from shared.execution import flatten, settlement
from shared.execution.books import Books
from shared.execution.desk import Desk
from shared.execution.exchange import Fill, VenuePosition
from shared.portfolio import positions
from shared.portfolio.positions import PositionRecord

#: A record that was closed longer ago explains no position: its entry's orders are long over.
EXPLAINS_MS = 86_400_000
REASON = "filled after its trade was over"


def close(desk: Desk, position: VenuePosition) -> bool:
    """Close a position without an open record if an entry of ours began it; whether it was ours.

    Ownership is by the order behind the fill that began the position, never by side or size.
    """
    found = positions.load(desk.store, desk.account, position.symbol)
    if found is None or (record := found[0]).state != "closed":
        return False
    if desk.clock.now_ms() - max(record.opened_at, record.updated_at) > EXPLAINS_MS:
        return False
    ours = settlement.entry_orders(desk, record)
    net: Decimal = Decimal(0)
    began: Fill | None = None
    for fill in desk.exchange.fills(record.id, start=record.opened_at - settlement.LOOK_BACK_MS):
        if not net:
            began = fill
        net += fill.quantity if fill.side == "BUY" else -fill.quantity
    if not net or began is None or began.order_id not in ours:
        return False
    late = _reopened(record, position, began)
    books = Books(desk.clock)
    books.write(partial(positions.begin, desk.store, late), late)
    # Closing first: whatever hinders the alert must not keep the position naked.
    try:
        flatten.close_position(desk, late, REASON, books)
    finally:
        books.catch_up()
    desk.alert(
        "critical",
        "late-fill",
        f"{record.id}: an entry filled after its trade was over; closed",
        f"The exchange held {position.quantity} from an order of {late.late_of}. Its result is "
        f"booked as trade {late.decision_id}.",
        correlation=late.decision_id,
    )
    return True


def _reopened(record: PositionRecord, position: VenuePosition, began: Fill) -> PositionRecord:
    """The record of the late position; what was planned for it counts for nothing any more."""
    decision_id = record.late_of or record.decision_id
    return msgspec.structs.replace(
        record,
        decision_id=f"{decision_id}-late-{began.trade_id}",
        late_of=decision_id,
        state="open",
        side=began.side,
        quantity=abs(position.quantity),
        entry_price=position.entry_price,
        opened_at=began.time,
        risk_amount=Decimal(0),
        exit_reason=REASON,
        closes=0,
        updated_at=began.time,
    )
