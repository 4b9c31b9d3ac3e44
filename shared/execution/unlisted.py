"""Looking after positions while the exchange does not list conditional orders.

Nobody can say then which stops there are. What should be closed by now is closed whatever they do;
an entry nobody has finished gets its stop under the id that it would have anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.errors import BorsaError
from shared.execution import flatten, protection, stop_watch
from shared.execution.desk import Desk
from shared.execution.exchange import VenuePosition
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
        except BorsaError as error:
            failures.append(f"{position.symbol}: {type(error).__name__}: {error}")
