"""A position that an entry of ours opened after its record was closed.

It should not come to be: what rests of an entry is ended before its record is. If it does all the
same, it is ours, has no stop, and is closed; a stranger's position would be left alone.
"""

from __future__ import annotations

from decimal import Decimal

from shared.execution import flatten, settlement
from shared.execution.desk import Desk
from shared.execution.exchange import VenuePosition
from shared.portfolio import positions

#: A record that was closed longer ago explains no position: its entry's orders are long over.
EXPLAINS_MS = 86_400_000


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
    net, began_by = Decimal(0), None
    for fill in desk.exchange.fills(record.id, start=record.opened_at - settlement.LOOK_BACK_MS):
        if not net:
            began_by = fill.order_id
        net += fill.quantity if fill.side == "BUY" else -fill.quantity
    if not net or began_by not in ours:
        return False
    # Closing first: whatever hinders the alert must not keep the position naked.
    flatten.close_position(desk, record, "filled after its trade was over")
    desk.alert(
        "critical",
        "late-fill",
        f"{record.id}: an entry filled after its trade was over; closed",
        f"The exchange held {position.quantity} from an order of {record.decision_id}. Its result "
        "is not part of any trade.",
        correlation=record.decision_id,
    )
    return True
