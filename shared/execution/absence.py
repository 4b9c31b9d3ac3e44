"""Whether an order that nobody answered for is at the venue, and what it means if it is not found.

"Not found" is conclusive once the attempt cannot be executed any more and two spaced queries have
not found it. That says nothing of what it has done before: the venue's views stay behind for
minutes now and then, all of them together. So an order that may add exposure, and is found by
nobody, is *lost* for :data:`LOST_MS`, and never sent again.

Claims and ages are in the exchange's time, as far as it is known here: it is the one clock that
all instances share, and the one by which a request is too old to be executed.
"""

from __future__ import annotations

from decimal import Decimal

from shared.errors import ExchangeError, OutcomeUnknown
from shared.execution.desk import Desk
from shared.execution.exchange import OrderRequest, VenueOrder
from shared.execution.order_records import OrderRecord

#: Seconds between look-ups of an order whose outcome is unknown.
LOOKUP_DELAYS = (0.3, 0.6, 1.2, 2.4)

#: The same for one that can only reduce: nobody waits for it, another one is sent instead.
REDUCING_DELAYS = (0.3,)

#: A claimed attempt leaves within this time or is claimed again.
CLAIM_MS = 1000

#: A request stays executable for ``recvWindow``; this is added for the matching engine's clock.
SETTLED_MARGIN_MS = 1000

#: The venue's views may be behind for this long, all of them together: only then it is believed
#: that an order which may add exposure, and is found by nobody, was never executed.
LOST_MS = 150_000

#: Fills of a symbol speak for an order that cannot be found for this long.
TRACE_MS = LOST_MS + 60_000


#: Why an order is written off of which the venue has shown nothing for so long.
ABSENT = "conclusively absent at the venue"


class Lost(OutcomeUnknown):
    """An order is conclusively absent, and too young for that to mean that it never was."""


def life_ms(desk: Desk) -> int:
    """Milliseconds from a claim until no request under it can be executed any more."""
    return CLAIM_MS + desk.recv_window_ms + SETTLED_MARGIN_MS


def look_up(desk: Desk, request: OrderRequest, sent_at: int, held: Decimal) -> VenueOrder | None:
    """The order, or ``None`` once its absence is conclusive.

    Raises
    ------
    OutcomeUnknown
        When the venue could not be asked long enough to know, or the order is reduce-only and not
        found at once: its caller looks at the position, and two close no more than there is.
    """
    conclusive_at = sent_at + life_ms(desk)
    misses = 0
    delays = iter(REDUCING_DELAYS if request.reduce_only else LOOKUP_DELAYS)
    while True:
        asked_at = desk.exchange.earliest_ms()
        wait = next(delays, None)
        try:
            found = desk.exchange.order(request.symbol, request.client_order_id)
            if found is not None:
                return found
        except ExchangeError as error:
            # The order's own endpoint fails: where it has filled, the position tells of it, and
            # has to be protected before anything else is found out.
            if wait is None or (
                not request.reduce_only and _left_a_trace(desk, request, sent_at, held)
            ):
                raise OutcomeUnknown(
                    f"order {request.client_order_id} may or may not exist: {error}"
                ) from error
        else:
            misses += 1
            if not request.reduce_only and _left_a_trace(desk, request, sent_at, held):
                raise OutcomeUnknown(
                    f"order {request.client_order_id} is not found, but its symbol has moved"
                )
            # A clock that was ahead when it was asked has been put right by the asking.
            if misses >= 2 and min(asked_at, desk.exchange.earliest_ms()) > conclusive_at:
                return None
            if wait is None and request.reduce_only:
                raise OutcomeUnknown(f"order {request.client_order_id} is not found")
        if wait is None:
            left = conclusive_at - desk.exchange.earliest_ms()
            wait = max(0.3, min(left, life_ms(desk)) / 1000 + 0.05)
        desk.clock.sleep(wait)


def _left_a_trace(desk: Desk, request: OrderRequest, sent_at: int, held: Decimal) -> bool:
    """Whether the account shows what this entry would have done, though nobody finds the order.

    The venue's views lag behind one another; one that shows an execution outweighs another that
    does not show the order. Symbols are free before they are entered, so any position on its
    side beyond what the entry ``held`` before, or any fill on its side since, is taken for it.
    """
    long = request.side == "BUY"
    try:
        if any(
            p.symbol == request.symbol and (p.quantity > 0) == long and abs(p.quantity) > held
            for p in desk.exchange.positions()
        ):
            return True
        if desk.exchange.now_ms() - sent_at > TRACE_MS:
            return False
        fills = desk.exchange.fills(request.symbol, start=sent_at)
    except ExchangeError:
        return False
    return any(f.side == request.side and f.time >= sent_at for f in fills)


def believe(desk: Desk, current: OrderRecord) -> None:
    """Raises :class:`Lost` as long as an absent order may have been executed all the same.

    One that may rest is cancelled first, by its id: it could fill long after it was given up.

    Raises
    ------
    OutcomeUnknown
        Nobody knows whether it still rests.
    """
    end_unseen(desk, current)
    if desk.exchange.earliest_ms() - current.sent_at < LOST_MS:
        raise Lost(
            f"order {current.id} is found by nobody: it cannot be executed any more, and is given "
            f"up {LOST_MS // 1000} s after it was sent"
        )


def end_unseen(desk: Desk, current: OrderRecord) -> None:
    """Cancel an order that nobody finds and that may rest all the same; nothing for any other.

    Views stay behind, a cancel by its id reaches it.

    Raises
    ------
    OutcomeUnknown
        Nobody knows whether it still rests.
    """
    if current.time_in_force != "GTX":
        return
    try:
        desk.exchange.cancel_order(current.symbol, current.id)
    except ExchangeError as error:
        raise OutcomeUnknown(f"order {current.id} may rest unseen: {error}") from error
