"""Looking after positions while the exchange does not list conditional orders.

Nobody can say then which stops there are, but each position's own is known by its id: one that is
over is placed again. What should be closed by now is closed whatever they do; an entry nobody has
finished gets its stop under the id that it would have anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.errors import BorsaError
from shared.execution import flatten, protection, stop_watch
from shared.execution.desk import Desk
from shared.execution.exchange import LIVE_ALGO, VenuePosition
from shared.portfolio.positions import PositionRecord
from shared.risk import stops


def look_after(
    desk: Desk,
    venue: Sequence[VenuePosition],
    records: Mapping[str, PositionRecord],
    counts: dict[str, int],
    failures: list[str],
) -> None:
    """One round over positions whose own workflow is over; trouble is added to ``failures``."""
    for position in venue:
        record = records.get(position.symbol)
        if record is None:
            continue
        try:
            if record.state == "opening":
                counts["repaired"] += protection.protect(desk, record, position)
            elif stops.breached(record, position.mark_price):
                counts["closed"] += stop_watch.see_through(desk, record) is None
            elif record.exit_reason or stops.time_is_up(record, desk.clock.now_ms()):
                counts["closed"] += flatten.close_position(desk, record, "time exit")
            else:
                _own_stop(desk, record, position, counts)
        except BorsaError as error:
            failures.append(f"{position.symbol}: {type(error).__name__}: {error}")


def _own_stop(
    desk: Desk, record: PositionRecord, position: VenuePosition, counts: dict[str, int]
) -> None:
    own = stop_watch.own_stop(desk, record)
    if own is None or protection.covering_stop(position, [own]):
        return
    if own.status in LIVE_ALGO and own.status != "NEW":
        counts["closed"] += stop_watch.see_through(desk, record) is None
    else:
        counts["repaired"] += protection.protect(desk, record, position, stop_watch.UNSEEN_MS)
