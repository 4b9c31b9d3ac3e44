"""Entering as a maker: post-only at the touch, moved along with it, then what is left at once.

One order rests at a time; the next is sent only when the one before is known to be over and what
it executed is counted, so that all of them together never exceed the plan's quantity. Each has an
id, an intent and a permit of its own, and a price within the plan's worst price and notional. What
has filled is protected while the rest is still waiting: a position never waits for the chase.

Everything is derived from the orders' records, so that a run that was interrupted is taken up, and
somebody else (the guardian) can end it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Literal

from shared.errors import BorsaError, ExchangeError, OutcomeUnknown, StoreError
from shared.execution import absence, orders, resting
from shared.execution.books import STORE_MS, Books
from shared.execution.desk import Desk
from shared.execution.elapsed import Elapsed
from shared.execution.exchange import FINAL_ORDER, OrderRequest, Side, VenueOrder, instrument_of
from shared.execution.ids import client_id
from shared.execution.sighting import held_position
from shared.execution.tally import Tally
from shared.risk.plan import OrderPlan
from shared.storage.patience import at_most

EntryStyle = Literal["ioc", "post_only"]

#: Orders of one chase at most, the last one that takes what is left included.
MAX_ORDERS = 12

#: Seconds between looks at a resting order.
LOOK_EVERY = 0.5

#: An order is left where it is for at least this long.
MIN_REST_MS = 1_000

#: Seconds between attempts to cancel and to see the end of an order; the last one repeats.
CANCEL_DELAYS = (0.1, 0.3, 0.9)

#: For so long an order that shall end is stayed with: it may fill, and then it needs its stop.
ENDING_MS = 10_000

#: A post-only order that would have taken: the price has moved, so the next one lies elsewhere.
WOULD_TAKE = "-5022"


def is_chased(desk: Desk, first: orders.OrderRecord | None) -> bool:
    """Whether an entry is a chase: as its first order was, else as it is set now."""
    return desk.entry_style == "post_only" if first is None else first.time_in_force == "GTX"


def entry_orders(desk: Desk, decision_id: str) -> list[orders.OrderRecord]:
    """Our records of the orders that a decision's entry has sent so far, first to last."""
    found: list[orders.OrderRecord] = []
    for step in range(MAX_ORDERS):
        known = orders.load(desk, client_id(desk.account, decision_id, "e", step))
        if known is None:
            break
        found.append(known[0])
        if not is_chased(desk, found[0]):
            break
    return found


def release_permits(desk: Desk, decision_id: str) -> None:
    """Release what was issued for an entry that is over: a chase takes a permit for each order."""
    first = client_id(desk.account, decision_id, "e")
    for id_ in dict.fromkeys((first, *(k.id for k in entry_orders(desk, decision_id)))):
        desk.kill_switch.release_permit(id_)


def run(
    desk: Desk,
    plan: OrderPlan,
    began: int,
    permit: Callable[[str], Callable[[], None]],
    secure: Callable[[VenueOrder], bool],
    *,
    may_place: bool = True,
) -> orders.Outcome:
    """Enter, or find out how an entry ended.

    Parameters
    ----------
    began : int
        When the entry began, our clock, UTC ms; the time for resting counts from here.
    permit : callable
        Makes the permit of one order from its client id, see :func:`shared.execution.orders.send`.
    secure : callable
        Protects what has executed so far, told as one order; ``False`` when the position is
        closed, which ends the entry.
    may_place : bool
        ``False`` to only end what rests and count.

    Returns
    -------
    Outcome
        As of one order over everything that executed; ``unknown`` when the end of one of the
        orders could not be learned.
    """
    total = Tally(plan)
    deadline = began + desk.chase_ms if may_place else 0
    reason = "nothing was sent"
    unsent = MAX_ORDERS
    for step in range(MAX_ORDERS):
        id_ = client_id(desk.account, plan.decision_id, "e", step)
        known = orders.load(desk, id_)
        unsent = step + 1
        books = Books(desk.clock)
        try:
            if known is not None:
                if _ruled_out(known[0]):
                    reason = known[0].reason
                    break
                request = _as_sent(plan, known[0])
                outcome = orders.send(
                    desk,
                    request,
                    plan.decision_id,
                    may_place=False,
                    books=books,
                    held=total.executed,
                )
            else:
                if may_place and step and _holds_more(desk, plan, total):
                    reason, unsent = "more is held than its orders are said to have executed", step
                    break
                last = step == MAX_ORDERS - 1 or desk.clock.now_ms() >= deadline
                next_ = _next(desk, plan, total, id_, last=last) if may_place else None
                if next_ is None:
                    unsent = step
                    break
                request = next_
                outcome = orders.send(
                    desk,
                    request,
                    plan.decision_id,
                    permit=permit(id_),
                    books=books,
                    held=total.executed,
                )
        except BorsaError as error:
            if isinstance(error, StoreError):
                raise
            if isinstance(error, ExchangeError):
                if not total.executed:
                    raise
                unsent = step
            else:
                # No leave for this attempt, and what an earlier one left is conclusively absent.
                desk.kill_switch.release_permit(id_)
                if not total.executed and _rule_out(desk, plan, unsent, str(error)):
                    raise
            # What has filled stays, the rest is not entered.
            reason = str(error)
            break
        reason = outcome.reason
        order = outcome.order
        if order is not None and order.status not in FINAL_ORDER:
            order = _follow(desk, plan, order, total, deadline, secure)
        if outcome.state == "unknown" or (order is None and outcome.state not in orders.DEAD):
            return orders.Outcome(state="unknown", order=total.order, reason=reason)
        held = True
        if order is not None:
            total.add(order)
            so_far = total.order
            # What has filled is protected before the store is waited for.
            if so_far is not None and order.executed_quantity:
                held = secure(so_far)
            books.write(partial(orders.settle_as, desk, id_, order), None)
        books.catch_up()
        desk.kill_switch.release_permit(id_)
        # What an earlier run left behind is counted and passed over; a fresh refusal ends it.
        refused = known is None and outcome.state in ("rejected", "not_sent")
        again = not refused or reason.startswith(WOULD_TAKE)
        if request.time_in_force == "IOC" or total.executed >= plan.quantity:
            unsent = MAX_ORDERS  # whoever else counts the same orders ends here as well
            break
        if not held or not again:
            break
    if not _rule_out(desk, plan, unsent, f"the entry has ended: {reason}"):
        # Another run of the same decision has gone further: its order is not counted here.
        return orders.Outcome(state="unknown", order=total.order, reason=reason)
    if total.order is None:
        return orders.Outcome(state="cancelled", reason=reason)
    return orders.Outcome(state="filled", order=total.order, reason=reason)


def _ruled_out(known: orders.OrderRecord) -> bool:
    """Whether an order was given up before anybody had tried to send it: the chase ends there."""
    return known.state == "not_sent" and not known.attempts


def _rule_out(desk: Desk, of: OrderPlan | orders.OrderRecord, step: int, reason: str) -> bool:
    """Make an end final: nobody sends the next order; ``False`` when somebody has begun to.

    What is reserved and what is recorded may be let go only after this. A run that was slow, or
    frozen, between two orders finds the refusal in the place of its intent.
    """
    if step >= MAX_ORDERS:
        return True
    request = OrderRequest(
        symbol=of.symbol,
        side="BUY" if of.side == "BUY" else "SELL",
        type="LIMIT",
        time_in_force="GTX",
        quantity=of.quantity,
        client_order_id=client_id(desk.account, of.decision_id, "e", step),
    )
    return orders.never_send(desk, request, of.decision_id, reason)


def conclude(desk: Desk, symbol: str, decision_id: str) -> bool:
    """End a chase whose run died after its first fill; whether nothing of it rests any more."""
    sent = entry_orders(desk, decision_id)
    over = not sent or _ended(sent) or _rule_out(desk, sent[0], len(sent), "the entry has ended")
    for known in sent:
        if known.state in ("intent", "unknown", "open"):
            order = desk.exchange.order(symbol, known.id)
            if order is None and not _ended_unseen(desk, known):
                over = False
                continue
            if order is not None and order.status not in FINAL_ORDER:
                order = _cancel(desk, order)
                if order is None or order.status not in FINAL_ORDER:
                    over = False
                    continue
            if order is not None:
                orders.settle_as(desk, known.id, order)
        desk.kill_switch.release_permit(known.id)
    return over


def _ended(sent: Sequence[orders.OrderRecord]) -> bool:
    """Whether the records say themselves that no further order follows."""
    executed = sum((k.executed_quantity for k in sent), Decimal(0))
    last = sent[-1]
    return last.time_in_force == "IOC" or _ruled_out(last) or executed >= sent[0].quantity


def _ended_unseen(desk: Desk, known: orders.OrderRecord) -> bool:
    """Whether an order that is not found can neither arrive any more nor rest."""
    if desk.exchange.earliest_ms() - known.sent_at <= absence.life_ms(desk):
        return False
    with suppress(OutcomeUnknown):
        absence.end_unseen(desk, known)
        return True
    return False


def _as_sent(plan: OrderPlan, known: orders.OrderRecord) -> OrderRequest:
    """The request of an order that was recorded; good for looking it up, never for sending."""
    return OrderRequest(
        symbol=plan.symbol,
        side=plan.side,
        type="LIMIT",
        time_in_force="IOC" if known.time_in_force == "IOC" else "GTX",
        price=plan.worst_price,
        quantity=known.quantity,
        client_order_id=known.id,
    )


def _next(
    desk: Desk, plan: OrderPlan, total: Tally, id_: str, *, last: bool
) -> OrderRequest | None:
    """The next order, within the plan's price and notional; ``None`` when there is none."""
    remaining = plan.quantity - total.executed
    if last:
        price, force = plan.worst_price, "IOC"
    else:
        try:
            book = desk.exchange.book_ticker(plan.symbol)
        except ExchangeError:
            return None
        price, force = (book.bid_price if plan.side == "BUY" else book.ask_price), "GTX"
        if _worse(plan.side, price, plan.worst_price):
            return None
        # A sale at a better price is a larger position: it must fit the room that was reserved.
        if total.cost + remaining * price > plan.worst_notional:
            return None
    if remaining * price < instrument_of(desk.exchange, plan.symbol).min_notional:
        return None
    return OrderRequest(
        symbol=plan.symbol,
        side=plan.side,
        type="LIMIT",
        time_in_force="IOC" if force == "IOC" else "GTX",
        price=price,
        quantity=remaining,
        client_order_id=id_,
    )


def _holds_more(desk: Desk, plan: OrderPlan, total: Tally) -> bool:
    """Whether the account shows more of an entry than its orders told: one that was said to be
    cancelled had filled. What is missing must not be sent for again."""
    held = held_position(desk, plan.symbol)
    if held is None or (held.quantity > 0) != (plan.side == "BUY"):
        return False
    return abs(held.quantity) > total.executed


def _worse(side: Side, price: Decimal, than: Decimal) -> bool:
    return price > than if side == "BUY" else price < than


def _follow(
    desk: Desk,
    plan: OrderPlan,
    order: VenueOrder,
    total: Tally,
    deadline: int,
    secure: Callable[[VenueOrder], bool],
) -> VenueOrder | None:
    """Stay with a resting order until it is over; ``None`` when its end cannot be learned.

    Whatever fails meanwhile, venue or store, it is not left alone: it could fill at any moment.
    """
    passed, most = Elapsed(desk.clock), min(desk.chase_ms, deadline - desk.clock.now_ms())
    secured, missing = Decimal(0), 0
    ending: int | None = None
    delays = iter(CANCEL_DELAYS)
    while order.status not in FINAL_ORDER:
        now = passed.ms()
        give_up = ending is not None or now >= most or _stopped(desk)
        so_far = total.with_(order)
        if so_far is not None:
            more = order.executed_quantity > secured
            part = "naked" if more else resting.meanwhile(desk, plan, so_far)
            missing = missing + 1 if part == "naked" else 0
            give_up |= part == "closed"
            # One look may have been too early for what has just filled, or been placed.
            if more or missing > 1:
                try:
                    give_up |= not secure(so_far)
                    secured = order.executed_quantity
                except BorsaError:
                    give_up = True  # and again at the next look
        if give_up or (now >= MIN_REST_MS and resting.left_behind(desk, order)):
            ending = now if ending is None else ending
            if now - ending > ENDING_MS:
                return None
            seen = _cancel(desk, order)
            if seen is not None and seen.status in FINAL_ORDER:
                return seen
            order = seen or resting.as_held(desk, plan, order, total)
            desk.clock.sleep(next(delays, CANCEL_DELAYS[-1]))
            continue
        desk.clock.sleep(LOOK_EVERY)
        order = _seen(desk, order) or resting.as_held(desk, plan, order, total)
    return order


def _seen(desk: Desk, order: VenueOrder) -> VenueOrder | None:
    """The order as it is now, if the venue says so."""
    try:
        return desk.exchange.order(order.symbol, order.client_order_id)
    except ExchangeError:
        return None


def _stopped(desk: Desk) -> bool:
    """Whether the switch was latched meanwhile, or cannot be read: what rests adds exposure."""
    try:
        # It may be filling: a store that hangs holds nobody up.
        with at_most(STORE_MS / 1000):
            status = desk.kill_switch.status()
    except StoreError:
        return True
    return status is None or status.state != "armed"


def _cancel(desk: Desk, order: VenueOrder) -> VenueOrder | None:
    """Cancel, and look how the order ended: it may have filled before the cancel arrived."""
    # A cancel that fails: the order may be over already, or the answer was lost.
    with suppress(ExchangeError):
        desk.exchange.cancel_order(order.symbol, order.client_order_id)
    return _seen(desk, order)
