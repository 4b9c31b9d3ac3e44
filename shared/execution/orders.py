"""Sending a plain order so that it executes at most once.

1. The intent, with its deterministic client id, is stored before anything is sent.
2. Every attempt to send is claimed in that record, under its ETag, together with its time. While
   a claimed attempt can still be executed (``recvWindow`` plus a second: gateway and matching
   engine refuse later, -1021 and -5028) nobody else may send; they look the order up instead.
3. A lost answer is *unknown*, not failed: the order is looked up until it is found, or until "not
   found" is conclusive: the attempt can no longer be executed and at least two spaced queries
   have not found it.
4. An order that may add exposure is marked in its record as the last thing before it is sent, and
   never sent again after that: not found, it is *lost* for some minutes, in which its symbol and
   its room stay taken, and only then believed never to have been
   (:mod:`~shared.execution.absence`). The venue refuses an id twice only while its order is open.
5. An order that can only reduce is not waited for: its caller looks at the position and sends
   another one. Its own id may be sent once more, and what becomes of that says nothing about the
   first: both are unknown until one is found, or the venue's views cannot be behind any more.

A process that was frozen between its claim and its request, its clock with it or not, claims
again: no request leaves with a time stamp much younger than its claim.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from shared.errors import (
    AlreadyExists,
    BorsaError,
    Conflict,
    ExchangeError,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
    OutcomeUnknown,
    StoreError,
    StoreUnavailable,
)
from shared.execution import absence, halting
from shared.execution.absence import CLAIM_MS
from shared.execution.books import STORE_MS, Books
from shared.execution.desk import Desk
from shared.execution.exchange import FINAL_ORDER, OrderRequest, VenueOrder
from shared.execution.ids import leg_of
from shared.execution.order_records import (
    CONTAINER,
    OrderRecord,
    is_newest,
    load,
    settle,
    store_intent,
)
from shared.execution.order_states import CLAIMABLE, DEAD, State
from shared.storage.patience import at_most

__all__ = [
    "CONTAINER",
    "DEAD",
    "OrderRecord",
    "Outcome",
    "State",
    "load",
    "never_send",
    "send",
    "settle",
    "settle_as",
    "store_intent",
]

#: Seconds before a request that was certainly not executed is sent again.
RESEND_DELAYS = (0.2, 0.4, 0.8)

#: Attempts at most: the first, and one more where that certainly did not leave, or, of an order
#: that reduces, is conclusively absent.
ATTEMPTS = 2

#: Seconds between looks at an entry that another run has claimed and not sent yet.
SLOW_DELAY = 0.3


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How sending ended. ``order`` is the venue's view where there is one.

    ``lost``: it cannot be executed any more, and nobody can say yet that it never was.
    """

    state: State
    order: VenueOrder | None = None
    reason: str = ""
    lost: bool = False


def never_send(desk: Desk, request: OrderRequest, decision_id: str, reason: str) -> bool:
    """Rule an order out before there is an intent; ``False`` when there is one already.

    The record is created only if absent, exactly like an intent: whoever comes second finds it.
    """
    record_ = msgspec.structs.replace(
        intent(desk, request, decision_id), state="not_sent", attempts=0, sent_at=0, reason=reason
    )
    try:
        desk.store.create(CONTAINER, msgspec.to_builtins(record_))
    except AlreadyExists:
        found = load(desk, record_.id)
        # Ruled out by an earlier run of the same call: that is what was asked for.
        return found is not None and found[0].state == "not_sent" and not found[0].attempts
    return True


def intent(
    desk: Desk, request: OrderRequest, decision_id: str, sent_at: int | None = None
) -> OrderRecord:
    """The record of a plain order that is sent now, or was sent at ``sent_at`` (UTC ms)."""
    now = desk.clock.now_ms() if sent_at is None else sent_at
    claimed_at = desk.exchange.now_ms() if sent_at is None else sent_at
    reduces = request.reduce_only
    return OrderRecord(
        id=request.client_order_id,
        account=desk.account,
        client_order_id=request.client_order_id,
        decision_id=decision_id,
        symbol=request.symbol,
        side=request.side,
        type=request.type,
        leg=leg_of(request.client_order_id) or "",
        quantity=request.quantity,
        price=request.price,
        time_in_force=request.time_in_force,
        state="intent",
        created_at=now,
        updated_at=now,
        sent_at=claimed_at,
        left=reduces or sent_at is not None,
    )


def send(
    desk: Desk,
    request: OrderRequest,
    decision_id: str,
    *,
    permit: Callable[[], None] | None = None,
    may_place: bool = True,
    books: Books | None = None,
    held: Decimal = Decimal(0),
) -> Outcome:
    """Send a plain order under the rules above and wait for its final state.

    Safe to call again with the same request at any time, from any process.

    Parameters
    ----------
    permit : callable, optional
        Called as the last thing before every attempt; whatever it raises stops the sending, and
        nothing was sent by this call.
    may_place : bool
        ``False`` to only find out: an order that is conclusively absent ends as ``not_sent``.
    books : Books, optional
        Keeps the record once the order is at the venue, so that the caller can protect what it
        opened before the store has taken the record. The caller catches up.
    held : Decimal
        What earlier orders of the same entry hold in the symbol: no trace of this one.
    """
    claimed = store_intent(desk, intent(desk, request, decision_id))
    try:
        order = _find_or_place(desk, request, claimed, permit, may_place, held)
        if order is None:
            found = load(desk, request.client_order_id)
            if found is None:
                return Outcome(state="not_sent", reason="the intent is gone")
            return Outcome(state=found[0].state, reason=found[0].reason)
        order = await_final(desk, order, _immediate(request))
    except OutcomeUnknown as error:
        lost = isinstance(error, absence.Lost)
        return _ended(desk, request, "unknown", str(error), books, lost=lost)
    except ExchangeRejected as error:
        return _ended(desk, request, "rejected", f"{error.code} {error}", books)
    except ExchangeError as error:
        # Throttled, unavailable, or keys and bans: certainly not executed.
        return _ended(desk, request, "not_sent", str(error), books)
    seen = order
    state = state_of(seen)
    _keep(books, lambda: settle_as(desk, request.client_order_id, seen))
    return Outcome(state=state, order=order, reason=order.status)


def _ended(
    desk: Desk,
    request: OrderRequest,
    state: State,
    reason: str,
    books: Books | None,
    *,
    lost: bool = False,
) -> Outcome:
    _keep(books, lambda: settle(desk, request.client_order_id, state, reason=reason))
    return Outcome(state=state, reason=reason, lost=lost)


def _keep(books: Books | None, step: Callable[[], object]) -> None:
    if books is None:
        step()
    else:
        books.write(step, None)


def state_of(order: VenueOrder) -> State:
    """What a plain order has come to, in our words."""
    if order.status not in FINAL_ORDER:
        return "open"
    return "filled" if order.executed_quantity else "cancelled"


def settle_as(desk: Desk, client_order_id: str, order: VenueOrder) -> OrderRecord | None:
    """Move our record to what the venue says about the order."""
    return settle(
        desk,
        client_order_id,
        state_of(order),
        venue_id=order.order_id,
        executed_quantity=order.executed_quantity,
        average_price=order.average_price,
        reason=order.status,
    )


def _find_or_place(
    desk: Desk,
    request: OrderRequest,
    claimed: bool,
    permit: Callable[[], None] | None,
    may_place: bool,
    held: Decimal,
) -> VenueOrder | None:
    """The order at the venue; ``None`` when it is dead and our record says why."""
    left: OrderRecord | None = None
    while True:
        found = _known(desk, request.client_order_id, left)
        if found is None:
            raise StoreUnavailable(f"intent {request.client_order_id} cannot be read")
        current, etag = found
        if current.state in DEAD:
            return None
        if not claimed:
            # Nobody has sent an entry that is not marked: whoever was to is slow, or gone.
            again = request.reduce_only or not current.left
            if current.left:
                order = absence.look_up(desk, request, current.sent_at, held)
                if order is not None:
                    return order
                if not again or current.attempts >= ATTEMPTS:
                    absence.believe(desk, current)
            elif abs(desk.exchange.now_ms() - current.sent_at) <= CLAIM_MS:
                desk.clock.sleep(SLOW_DELAY)
                continue
            if not may_place or not again or current.attempts >= ATTEMPTS:
                unsent, why = not current.left, absence.ABSENT
                if settle(desk, current.id, "not_sent", unsent=unsent, reason=why):
                    return None
                continue
            if current.state not in CLAIMABLE:
                return None  # it was seen at the venue: not seeing it now does not undo that
            if not _claim(desk, current, etag):
                continue
            attempt = current.attempts + 1
        else:
            attempt = current.attempts
        claimed = False
        if permit is not None:
            try:
                permit()
            except StoreError:
                # Nobody knows whether leave was given: the intent stands, a later run goes on.
                raise
            except BorsaError as error:
                ended = _says("not_sent", request, attempt)
                if settle(desk, current.id, ended, attempt=attempt, reason=str(error)):
                    if ended == "unknown":
                        raise OutcomeUnknown(f"an earlier attempt may exist: {error}") from error
                    raise
                continue
        latest = load(desk, request.client_order_id)
        if latest is None or not _holds_claim(desk, latest[0], attempt):
            continue
        left = latest[0] if request.reduce_only else _leave(desk, *latest)
        if left is None:
            continue
        try:
            return _place(desk, request, left.sent_at + CLAIM_MS)
        except OutcomeUnknown:
            continue
        except ExchangeError as error:
            # Refused, throttled or unavailable: this attempt was certainly not executed. That
            # settles the order only if nobody has taken another attempt meanwhile.
            halting.heed(desk, error)
            refused = isinstance(error, ExchangeRejected)
            reason = f"{error.code} {error}" if refused else str(error)
            state = _says("rejected" if refused else "not_sent", request, attempt)
            if settle(desk, current.id, state, attempt=attempt, reason=reason):
                return None


def _says(state: State, request: OrderRequest, attempt: int) -> State:
    """What the end of an attempt says about its order.

    Of one that reduces an earlier attempt may have been executed, and be shown by no view yet: it
    is refused just because the first has done all that there was to do.
    """
    return "unknown" if attempt > 1 and request.reduce_only else state


def _known(
    desk: Desk, client_order_id: str, left: OrderRecord | None
) -> tuple[OrderRecord, str] | None:
    """Our record; where the store fails once an attempt has ``left``, as it was then.

    What that may have opened is looked for all the same: its stop does not wait for the store.
    """
    if left is None:
        return load(desk, client_order_id)
    try:
        with at_most(STORE_MS / 1000):
            return load(desk, client_order_id)
    except StoreUnavailable:
        return left, ""


def _claim(desk: Desk, current: OrderRecord, etag: str) -> bool:
    """Take the next attempt; ``False`` when somebody else did."""
    claimed = msgspec.structs.replace(
        current,
        state="intent",
        attempts=current.attempts + 1,
        sent_at=desk.exchange.now_ms(),
        updated_at=desk.clock.now_ms(),
    )
    try:
        desk.store.replace(CONTAINER, msgspec.to_builtins(claimed), etag=etag)
    except Conflict:
        return False
    return True


def _holds_claim(desk: Desk, latest: OrderRecord, attempt: int) -> bool:
    """Whether this run may send: its own claim, not a later one of somebody else, is alive.

    The venue refuses a client id twice only while its order is open: one that has filled in
    another run's hands would be executed again.
    """
    return is_newest(latest, attempt) and desk.exchange.now_ms() - latest.sent_at <= CLAIM_MS


def _leave(desk: Desk, latest: OrderRecord, etag: str) -> OrderRecord | None:
    """Mark an entry as on its way; ``None`` when somebody else has claimed it since.

    Whoever comes to this order after that has to find out what became of it, and never sends it.
    """
    leaving = msgspec.structs.replace(latest, left=True)
    try:
        desk.store.replace(CONTAINER, msgspec.to_builtins(leaving), etag=etag)
    except Conflict:
        return None
    return leaving


def _place(desk: Desk, request: OrderRequest, claimed_until: int) -> VenueOrder:
    """Send; repeat quickly what the venue certainly did not execute, within the claim's life.

    A request that left later could still be executed after its absence was taken as conclusive.
    ``claimed_until`` is in the exchange's time.
    """
    delays = iter(RESEND_DELAYS)
    while True:
        left = claimed_until - desk.exchange.now_ms()
        try:
            return desk.exchange.place_order(request, until=desk.clock.now_ms() + left)
        except (ExchangeThrottled, ExchangeUnavailable) as error:
            wait = max(error.retry_after, next(delays, 0.0))
            if not wait or desk.exchange.now_ms() + wait * 1000 > claimed_until:
                raise
            desk.clock.sleep(wait)


def _immediate(request: OrderRequest) -> bool:
    return request.type == "MARKET" or request.time_in_force in ("IOC", "FOK")


def await_final(desk: Desk, order: VenueOrder, immediate: bool) -> VenueOrder:
    """Follow an immediate order to its final state; its POST answer may be a bare NEW."""
    delays = iter((0.05, 0.1, 0.2, 0.4, 0.8, 1.6))
    while order.status not in FINAL_ORDER and immediate:
        wait = next(delays, None)
        if wait is None:
            break
        desk.clock.sleep(wait)
        try:
            order = desk.exchange.order(order.symbol, order.client_order_id) or order
        except ExchangeError:
            # Whatever hinders the look, the order is there: it must not end as never sent.
            continue
    return order
