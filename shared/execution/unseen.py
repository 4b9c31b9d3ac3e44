"""A cheap look at an entry of which the exchange shows nothing yet (weight 6).

Whoever waits for what it may have done would otherwise find out each time what became of it: the
order, the positions and the fills of its symbol, twice.
"""

from __future__ import annotations

from decimal import Decimal

from shared.errors import ExchangeError
from shared.execution import absence, chase
from shared.execution.desk import Desk
from shared.execution.sighting import held_position
from shared.portfolio.positions import PositionRecord

#: Milliseconds after which it is found out again what became of it, whatever the cheap looks say.
FIND_OUT_MS = 20_000

#: Seconds between the cheap looks. What follows on one takes some requests more than a whole look.
LOOK_EVERY = 0.8


def still(desk: Desk, record: PositionRecord) -> bool:
    """Whether an entry can be executed no more, and the exchange shows nothing that is not known.

    What cannot be asked is not still.
    """
    open_ended = [
        known
        for known in chase.entry_orders(desk, record.decision_id)
        if known.state in ("intent", "unknown", "open")
    ]
    if not open_ended:
        return False
    executable_until = max(known.sent_at for known in open_ended) + absence.life_ms(desk)
    if desk.exchange.earliest_ms() <= executable_until:
        return False
    known_quantity = record.quantity if record.state == "open" else Decimal(0)
    try:
        held = held_position(desk, record.id)
        return abs(held.quantity if held is not None else Decimal(0)) == known_quantity and all(
            desk.exchange.order(record.id, known.id) is None for known in open_ended
        )
    except ExchangeError:
        return False
