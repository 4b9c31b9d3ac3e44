"""Which permits have served: what they led to is over, or cannot be executed any more."""

from __future__ import annotations

import logging

from shared.errors import (
    ExchangeError,
    ExchangeRejected,
    OutcomeUnknown,
    StoreError,
    StoreUnavailable,
)
from shared.execution import absence, orders
from shared.execution.desk import Desk
from shared.execution.exchange import FINAL_ORDER


def resolve(desk: Desk) -> int:
    """Release the permits whose order is over; how many may still come to be.

    One whose order is known to the venue is resolved (what it opened is closed with the rest);
    one that the venue does not know is resolved when its request cannot be executed any more, and
    what may rest of it is cancelled.
    """
    open_permits = desk.kill_switch.outstanding_permits()
    unresolved = 0
    asked = True
    for key, issued_at in sorted(open_permits.items()):
        known = _recorded(desk, key)
        found = None
        refused = False
        if known is not None:
            if not asked:
                unresolved += 1
                continue
            try:
                found = desk.exchange.order(known[0].symbol, key)
            except ExchangeRejected:
                # A symbol that is gone: as one that is not found, and nothing rests there.
                refused = True
            except ExchangeError:
                # Looks that fail take seconds each, and a stop closes after them: one will do.
                asked = False
                unresolved += 1
                continue
        # A permit leads to a request within the claim's life, or to none. The claim is in the
        # exchange's time; whoever issued the permit may have had another one than we.
        age = (
            desk.clock.now_ms() - issued_at
            if known is None
            else desk.exchange.earliest_ms() - known[0].sent_at
        )
        conclusive = age > absence.life_ms(desk)
        if conclusive and known is not None and found is None and not refused:
            try:
                # It may rest where no view shows it, and fill after everything else was closed.
                absence.end_unseen(desk, known[0])
            except OutcomeUnknown:
                asked = conclusive = False
        # One that is found and has not ended can fill, however old its permit is.
        if found.status in FINAL_ORDER if found is not None else conclusive:
            desk.kill_switch.release_permit(key)
        else:
            unresolved += 1
    return unresolved


def _recorded(desk: Desk, key: str) -> tuple[orders.OrderRecord, str] | None:
    """The record of a permit's order; one that cannot be read is none.

    Nobody knows its symbol then. What it has opened, or where it rests, the exchange's own lists
    show, and an emergency stop is not over before they are empty.
    """
    try:
        return orders.load(desk, key)
    except StoreUnavailable:
        raise
    except StoreError as error:
        logging.getLogger("borsa").error("permit %s: %s", key, error)
        return None
