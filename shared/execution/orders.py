"""Sending a plain order so that it executes at most once.

1. The intent, with its deterministic client id, is stored before anything is sent.
2. Every attempt to send is claimed in that record, under its ETag, together with its time. While
   a claimed attempt can still be executed (``recvWindow`` plus a second: gateway and matching
   engine refuse later, -1021 and -5028) nobody else may send; they look the order up instead.
3. A lost answer is *unknown*, not failed: the order is looked up until it is found, or until "not
   found" is conclusive: the attempt can no longer be executed and at least two spaced queries
   have not found it.
4. Only then is it sent once more, under the same id. An order that can only reduce is not waited
   for: its caller looks at the position and sends another one.

A process that was frozen between its claim and its request claims again, so that no request
leaves with a time stamp much younger than its claim.
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
from shared.execution import halting
from shared.execution.books import Books
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

#: Seconds between look-ups of an order whose outcome is unknown.
LOOKUP_DELAYS = (0.3, 0.6, 1.2, 2.4)

#: The same for one that can only reduce: nobody waits for it, another one is sent instead.
REDUCING_DELAYS = (0.3,)

#: Seconds before a request that was certainly not executed is sent again.
RESEND_DELAYS = (0.2, 0.4, 0.8)

#: A claimed attempt leaves within this time or is claimed again.
CLAIM_MS = 1000

#: Attempts at most: the first, and one more once the first is conclusively absent.
ATTEMPTS = 2

#: Fills of a symbol speak for an order that cannot be found for this long.
TRACE_MS = 60_000

#: A request stays executable for ``recvWindow``; this is added for the matching engine's clock.
SETTLED_MARGIN_MS = 1000


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How sending ended. ``order`` is the venue's view where there is one."""

    state: State
    order: VenueOrder | None = None
    reason: str = ""


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
        time_in_force=request.time_in_force,
        state="intent",
        created_at=now,
        updated_at=now,
        sent_at=now,
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
        return _ended(desk, request, "unknown", str(error), books)
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
    desk: Desk, request: OrderRequest, state: State, reason: str, books: Books | None
) -> Outcome:
    _keep(books, lambda: settle(desk, request.client_order_id, state, reason=reason))
    return Outcome(state=state, reason=reason)


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
    while True:
        found = load(desk, request.client_order_id)
        if found is None:
            raise StoreUnavailable(f"intent {request.client_order_id} cannot be read")
        current, etag = found
        if current.state in DEAD:
            return None
        if not claimed:
            order = _look_up(desk, request, current.sent_at, held)
            if order is not None:
                return order
            if not may_place or current.attempts >= ATTEMPTS:
                settle(desk, current.id, "not_sent", reason="conclusively absent at the venue")
                return None
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
                if settle(desk, current.id, "not_sent", attempt=attempt, reason=str(error)):
                    raise
                continue
        latest = load(desk, request.client_order_id)
        if latest is None or not _holds_claim(desk, latest[0], attempt):
            continue
        try:
            return _place(desk, request, latest[0].sent_at + CLAIM_MS)
        except OutcomeUnknown:
            continue
        except ExchangeError as error:
            # Refused, throttled or unavailable: this attempt was certainly not executed. That
            # settles the order only if nobody has taken another attempt meanwhile.
            halting.heed(desk, error)
            refused = isinstance(error, ExchangeRejected)
            reason = f"{error.code} {error}" if refused else str(error)
            state: State = "rejected" if refused else "not_sent"
            if settle(desk, current.id, state, attempt=attempt, reason=reason):
                return None


def _claim(desk: Desk, current: OrderRecord, etag: str) -> bool:
    """Take the next attempt; ``False`` when somebody else did."""
    now = desk.clock.now_ms()
    claimed = msgspec.structs.replace(
        current, state="intent", attempts=current.attempts + 1, sent_at=now, updated_at=now
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
    return is_newest(latest, attempt) and desk.clock.now_ms() - latest.sent_at <= CLAIM_MS


def _place(desk: Desk, request: OrderRequest, claimed_until: int) -> VenueOrder:
    """Send; repeat quickly what the venue certainly did not execute, within the claim's life.

    A request that left later could still be executed after its absence was taken as conclusive.
    """
    delays = iter(RESEND_DELAYS)
    while True:
        try:
            return desk.exchange.place_order(request, until=claimed_until)
        except (ExchangeThrottled, ExchangeUnavailable) as error:
            wait = max(error.retry_after, next(delays, 0.0))
            if not wait or desk.clock.now_ms() + wait * 1000 > claimed_until:
                raise
            desk.clock.sleep(wait)


def _look_up(desk: Desk, request: OrderRequest, sent_at: int, held: Decimal) -> VenueOrder | None:
    """The order, or ``None`` once its absence is conclusive.

    Raises
    ------
    OutcomeUnknown
        When the venue could not be asked long enough to know, or the order is reduce-only and not
        found at once: its caller looks at the position, and two close no more than there is.
    """
    conclusive_at = sent_at + CLAIM_MS + desk.recv_window_ms + SETTLED_MARGIN_MS
    misses = 0
    delays = iter(REDUCING_DELAYS if request.reduce_only else LOOKUP_DELAYS)
    while True:
        asked_at = desk.clock.now_ms()
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
            if misses >= 2 and asked_at > conclusive_at:
                return None
            if wait is None and request.reduce_only:
                raise OutcomeUnknown(f"order {request.client_order_id} is not found")
        if wait is None:
            wait = max(0.3, (conclusive_at - desk.clock.now_ms()) / 1000 + 0.05)
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
        if desk.clock.now_ms() - sent_at > TRACE_MS:
            return False
        fills = desk.exchange.fills(request.symbol, start=sent_at)
    except ExchangeError:
        return False
    return any(f.side == request.side and f.time >= sent_at for f in fills)


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
