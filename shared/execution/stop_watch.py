"""A stop whose price is reached closes the position within seconds, or we close it at market.

A conditional order can fail after it was accepted: refused when it triggers, expired for a thin
book, triggered without ever producing an order (status TRIGGERING for ever; seen on the demo venue
in October 2026), or not triggered though the price is through. All of them look the same from
here: the price is at the stop, or the stop is at work, and the position is still there.

Whoever sees that (the guardian, the look after an entry, the watch over a near stop) waits
``GRACE_MS`` for the exchange to finish, then closes at market. How soon somebody looks: see
``docs/risk.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from shared.errors import ExchangeError
from shared.execution import entry, flatten, latecomers, orders, protection
from shared.execution.desk import Desk
from shared.execution.elapsed import Elapsed
from shared.execution.exchange import LIVE_ALGO, VenueAlgoOrder, VenuePosition
from shared.execution.ids import client_id
from shared.execution.sighting import shown_position
from shared.portfolio import positions
from shared.portfolio.positions import PositionRecord
from shared.risk import stops

#: What the exchange gets to turn a reached stop into a closed position. With a look every two
#: seconds, and a close of a few requests, five seconds hold.
GRACE_MS = 2_000

#: An unfinished entry is left to its own workflow for this long.
WORKFLOW_GRACE_MS = 15_000

#: At least so much of it from the first look on, however long ago the stop has triggered.
LEAST_GRACE_MS = 250

#: Seconds between looks while waiting.
LOOK_EVERY = 0.25

#: Seconds between looks of the watch over a near stop, and how many of them before its history
#: begins anew: every look replays all that came before it there.
WATCH_EVERY = 2
WATCH_LOOKS = 8

#: A stop may have been gone for so long when a look finds it missing, milliseconds: what is left of
#: the five seconds is short, and a position whose stop cannot be placed in it is closed.
UNSEEN_MS = 2_500

#: Seconds between attempts once a close has failed: every one weighs up to 20, and several
#: positions at once must not use up the weight that the exits of all others need.
CLOSE_EVERY = 4


def own_stop(desk: Desk, record: PositionRecord) -> VenueAlgoOrder | None:
    """The stop of a position's record by its id, live or over; ``None`` if it is not found."""
    return desk.exchange.algo_order(
        protection.algo_id(desk.account, record, "s", record.stop_price, record.quantity)
    )


def conditional(desk: Desk, record: PositionRecord) -> list[VenueAlgoOrder]:
    """The conditional orders of a position; where they are not listed, its own stop alone.

    Raises
    ------
    ExchangeError
        When neither can be read. That an order is not found proves nothing.
    """
    try:
        return desk.exchange.open_algo_orders(record.id)
    except ExchangeError as error:
        own = None if error.retry_after else own_stop(desk, record)
        if own is None:
            raise
        return [own]


def at_work(
    desk: Desk, record: PositionRecord, venue: VenuePosition, algos: Sequence[VenueAlgoOrder]
) -> bool:
    """Whether the position's own stop has triggered and is not over.

    Asked for by its id, because lists of open orders need not show one that has triggered; and
    only where nothing covers the position. One that got stuck on an earlier position has another
    id and says nothing about this one.
    """
    if protection.covering_stop(venue, algos):
        return False
    stop = own_stop(desk, record)
    return stop is not None and stop.status in ("TRIGGERING", "TRIGGERED")


def due(
    desk: Desk, record: PositionRecord, venue: VenuePosition, algos: Sequence[VenueAlgoOrder]
) -> bool:
    """Whether the stop should be closing the position now."""
    if record.state != "open":
        return False
    return stops.breached(record, venue.mark_price) or at_work(desk, record, venue, algos)


def near(record: PositionRecord, venue: VenuePosition, share: Decimal) -> bool:
    """Whether the price is within ``share`` of the planned stop distance from the stop, or beyond
    it, however far: then the stop and the close after it have failed. Zero switches it off.
    """
    room = record.entry_price * record.stop_fraction * share
    away = venue.mark_price - record.stop_price
    if record.side == "SELL":
        away = -away
    return record.state == "open" and share > 0 and away <= room


def left_alone(desk: Desk, record: PositionRecord) -> bool:
    """Whether an entry came to no end that its own run knew of: what it opened has no stop."""
    if record.state != "opening":
        return False
    # A record of the future is one of a clock that has been corrected since: nobody is at it.
    if abs(desk.clock.now_ms() - record.opened_at) >= WORKFLOW_GRACE_MS:
        return True
    sent = orders.load(desk, client_id(desk.account, record.decision_id, "e"))
    return sent is not None and sent[0].state == "unknown"


def see_through(
    desk: Desk, record: PositionRecord
) -> tuple[VenuePosition, list[VenueAlgoOrder]] | None:
    """Give a due stop its time; close at market if the position is still there afterwards.

    Returns
    -------
    tuple or None
        ``None`` once the position is gone or was closed here; position and conditional orders as
        they are now when the price came back and no stop is at work any more.
    """
    passed = Elapsed(desk.clock)
    grace = _grace(desk, record)
    trouble: ExchangeError | None = None
    seen: VenuePosition | None = None
    while True:
        try:
            venue = seen = shown_position(desk, record.id)
            if venue is None:
                return None
            # With the price beyond the stop no list is needed, which may be what fails.
            if not stops.breached(record, venue.mark_price):
                algos = conditional(desk, record)
                if not at_work(desk, record, venue, algos):
                    return venue, algos
        except ExchangeError as error:
            trouble, seen = error, None
        if passed.ms() >= grace:
            break
        desk.clock.sleep(LOOK_EVERY)
    # Seen just now: where looking takes its time there is none for another look.
    closed = flatten.close_position(desk, record, "stop failed", proved=seen)
    desk.alert(
        "critical",
        "stop-failed",
        f"{record.id}: the stop did not close the position, it is closed at market",
        f"Stop {record.stop_price} was reached and the position was still there"
        f"{f' ({trouble})' if trouble else ''}. Closed: {closed}.",
        correlation=record.decision_id,
    )
    return None


def _grace(desk: Desk, record: PositionRecord) -> int:
    """Milliseconds that the exchange still has to turn the stop into a closed position.

    They count from the moment at which it has triggered, where the exchange tells that. None for
    a stop that is over without an order: nothing comes of it any more.
    """
    try:
        stop = own_stop(desk, record)
    except ExchangeError:
        return GRACE_MS
    if stop is None or stop.status in ("NEW", "FINISHED"):
        # At work, done just now, or not at all; it does not say since when it should be.
        return GRACE_MS
    if stop.status not in LIVE_ALGO:
        return 0
    since = desk.exchange.now_ms() - stop.update_time
    return min(GRACE_MS, max(LEAST_GRACE_MS, GRACE_MS - since))


def look(desk: Desk, symbol: str, decision_id: str) -> int:
    """One look at a position whose stop is near or has failed; seconds until the next, 0 for none.

    Reads two cheap views (weight 6) and repairs what it finds: a due stop is seen through, a
    missing one is placed, and what was to be closed is tried again.
    """
    found = positions.load(desk.store, desk.account, symbol)
    if found is None or found[0].decision_id != decision_id:
        return 0
    record = found[0]
    if record.state == "closed":
        return _late(desk, record)
    if record.state == "opening":
        if left_alone(desk, record):
            _take_up(desk, record)
        return WATCH_EVERY if shown_position(desk, symbol) else 0
    if record.exit_reason:
        # Two attempts: one may be spent on a store that fails.
        closed = flatten.close_position(desk, record, record.exit_reason, attempts=2)
        return 0 if closed else CLOSE_EVERY
    venue = shown_position(desk, symbol)
    if venue is None:
        return 0
    algos: Sequence[VenueAlgoOrder] = ()
    # A stop that should be closing is seen through whether it is listed or not.
    seen_through = stops.breached(record, venue.mark_price)
    if not seen_through:
        algos = conditional(desk, record)
        seen_through = at_work(desk, record, venue, algos)
    if seen_through:
        still = see_through(desk, record)
        if still is None:
            return _until_closed(desk, symbol)
        venue, algos = still
    if not protection.covering_stop(venue, algos):
        return WATCH_EVERY if protection.protect(desk, record, venue, UNSEEN_MS) else 0
    return WATCH_EVERY if near(record, venue, desk.stop_watch) else 0


def _late(desk: Desk, record: PositionRecord) -> int:
    """A position that shows after its entry was given up: closed, and then by its own record."""
    venue = shown_position(desk, record.id)
    if venue is not None and latecomers.awaited(desk, record):
        latecomers.close(desk, venue)
    return 0


def _take_up(desk: Desk, record: PositionRecord) -> None:
    """See to what an entry has opened after all: protect it, or close it after a stop."""
    switch = desk.kill_switch.ensure()
    if switch.state == "latched" and switch.closing:
        flatten.close_position(desk, record, "emergency stop")
    else:
        entry.resume(desk, record)


def _until_closed(desk: Desk, symbol: str) -> int:
    """When a position is looked at again that was to be closed, and may be there still."""
    return CLOSE_EVERY if shown_position(desk, symbol) else 0
