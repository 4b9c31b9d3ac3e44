"""Step two of a trade: permit, intent, entry order, and protection before anything else.

May be run any number of times for one decision: ids are deterministic, an existing intent is
looked up at the venue before anything is sent.
"""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Literal

import msgspec

from shared.errors import Conflict, ExchangeError, KillSwitchLatched, NotFound
from shared.execution import chase, flatten, freshness, halting, orders, protection, unseen
from shared.execution.abandon import abandon, alert_refused
from shared.execution.assess import load
from shared.execution.books import STORE_MS, Books
from shared.execution.desk import Desk
from shared.execution.elapsed import Elapsed
from shared.execution.exchange import OrderRequest, VenueOrder, instrument_of
from shared.execution.ids import client_id
from shared.execution.leave import MAX_DECISION_AGE_MS, Expired, leave
from shared.execution.sighting import at_least_filled, sighted
from shared.portfolio import positions
from shared.risk.decision import DecisionInputs, OrderPlan
from shared.risk.exposure import positions_as_exposure
from shared.risk.limits import verify_plan
from shared.telemetry import record

#: For so long an entry is stayed with of which something may still execute; then the guardian,
#: which comes by every minute, goes on alone.
STAY_MS = 60_000

#: Seconds between looks at it.
STAY_EVERY = 1.0

Status = Literal["protected", "flat", "declined", "expired", "rejected", "unknown"]


class EntryResult(msgspec.Struct, frozen=True, kw_only=True):
    """How opening ended, with the reason in words.

    ``ended`` is ``False`` while an order of it may still execute.
    """

    decision_id: str
    status: Status
    reason: str = ""
    ended: bool = True


def open_position(desk: Desk, symbol: str, signal_id: str) -> EntryResult:
    """Open the position of an approved decision and protect it.

    Returns
    -------
    EntryResult
        ``protected`` when position and stop are on the exchange; ``flat`` when nothing is held
        any more; the other states when nothing was opened, or ``unknown`` when the venue could
        not be asked long enough: reservation and permit then stay until reconciliation knows.
    """
    stored = load(desk, symbol, signal_id)
    if stored is None:
        raise NotFound(f"there is no decision on signal {signal_id}")
    inputs, decision = stored
    plan = decision.plan
    decision_id = decision.id
    if decision.outcome != "approved" or plan is None:
        return EntryResult(decision_id=decision_id, status="declined", reason="not approved")
    over = desk.ledger.read().settled.get(decision_id)
    if over is not None:
        # Started again long after: nothing of it may touch what the symbol holds now.
        return EntryResult(
            decision_id=decision_id,
            status="flat" if over.booked else "rejected",
            reason="this decision is over already",
        )
    entry_id = client_id(desk.account, decision_id, "e")
    first = _first(desk, entry_id)
    if first is None:
        refused = _prepare(desk, inputs, plan, decision.decided_at)
        if refused is not None and _decline(desk, plan, entry_id, refused):
            return refused
    frame = inputs.signal.timeframe
    result: EntryResult | None = None
    trouble: ExchangeError | None = None
    try:
        result = _enter(desk, plan, entry_id, first, decision.decided_at, frame)
    except ExchangeError as error:
        trouble = error
    if result is None or not result.ended:
        result = _stay(desk, symbol, decision_id, result)
    if result is None:
        assert trouble is not None
        raise trouble
    _note(desk, result)
    return result


def _stay(
    desk: Desk, symbol: str, decision_id: str, result: EntryResult | None
) -> EntryResult | None:
    """Look on while an order of an entry may still execute, or its position be naked.

    An order that rests may fill when nobody looks; a venue that cannot be reached answers again.
    Nothing more of the entry is sent on these looks, only what protects or closes what it has
    filled. Returns the last result there is.
    """
    passed = found_out = covered = Elapsed(desk.clock)
    pause = STAY_EVERY
    while passed.ms() < STAY_MS:
        desk.clock.sleep(pause)
        found = positions.load(desk.store, desk.account, symbol)
        if found is None or found[0].decision_id != decision_id or found[0].state == "closed":
            break  # somebody else has seen it through
        if found[0].state == "open":
            # The part that has filled is not left alone either: its stop may fail meanwhile.
            try:
                bare = protection.bare(desk, symbol)
                if bare is not None and found[0].exit_reason:
                    flatten.close_position(desk, found[0], found[0].exit_reason)
                elif bare is not None:
                    protection.protect(desk, found[0], bare, covered.ms())
                covered = Elapsed(desk.clock)
            except ExchangeError as error:
                logging.getLogger("borsa").error(
                    "%s: its stop cannot be looked at: %s: %s", symbol, type(error).__name__, error
                )
        if found_out.ms() < unseen.FIND_OUT_MS and unseen.still(desk, found[0]):
            pause = unseen.LOOK_EVERY
            continue
        found_out, pause = Elapsed(desk.clock), STAY_EVERY
        try:
            result = resume(desk, found[0]) or result
        except ExchangeError:
            continue
        if result is not None and result.ended:
            break
    return result


def resume(desk: Desk, record: positions.PositionRecord) -> EntryResult | None:
    """Find out how an interrupted entry ended; never sends. ``None`` while somebody is at it."""
    stored = load(desk, record.id, record.decision_id)
    plan = None if stored is None else stored[1].plan
    entry_id = client_id(desk.account, record.decision_id, "e")
    first = _first(desk, entry_id)
    if stored is None or plan is None or first is None:
        why = "interrupted before anything was sent"
        if plan and not orders.never_send(desk, _request(plan, entry_id), plan.decision_id, why):
            return None  # it was only slow: its order is looked up in the next round
        abandon(desk, record.id, record.decision_id, why)
        return EntryResult(decision_id=record.decision_id, status="rejected", reason="never sent")
    frame, at = stored[0].signal.timeframe, stored[1].decided_at
    result = _enter(desk, plan, entry_id, first, at, frame, may_place=False)
    _note(desk, result)
    return result


def _first(desk: Desk, entry_id: str) -> orders.OrderRecord | None:
    """The record of the entry's first order, if it has been sent or ruled out."""
    found = orders.load(desk, entry_id)
    return None if found is None else found[0]


def _prepare(
    desk: Desk, inputs: DecisionInputs, plan: OrderPlan, decided_at: int
) -> EntryResult | None:
    """Make the symbol ready for the order; the refusal when it cannot be, or must not."""
    try:
        refused = _refuse(desk, inputs, plan, decided_at)
        if refused is None:
            _prepare_symbol(desk, plan)
    except ExchangeError as error:
        halting.heed(desk, error)
        return EntryResult(
            decision_id=plan.decision_id,
            status="rejected",
            reason=f"not ready for the order: {type(error).__name__}: {error}",
        )
    return refused


def _decline(desk: Desk, plan: OrderPlan, entry_id: str, refused: EntryResult) -> bool:
    """Make a refusal final; ``False`` when another run of the same decision has gone further.

    The refusal takes the place of the intent, so of two runs either sends or declines: what one
    has opened the other can never abandon.
    """
    if not orders.never_send(desk, _request(plan, entry_id), plan.decision_id, refused.reason):
        return False
    abandon(desk, plan.symbol, plan.decision_id, refused.reason)
    if refused.status == "rejected":
        alert_refused(desk, plan.symbol, plan.decision_id, refused.reason)
    _note(desk, refused)
    return True


def _request(plan: OrderPlan, entry_id: str) -> OrderRequest:
    return OrderRequest(
        symbol=plan.symbol,
        side=plan.side,
        # Never worse than the price the limits were checked at.
        type="LIMIT",
        time_in_force="IOC",
        price=plan.worst_price,
        quantity=plan.quantity,
        client_order_id=entry_id,
    )


def _refuse(
    desk: Desk, inputs: DecisionInputs, plan: OrderPlan, decided_at: int
) -> EntryResult | None:
    """The last look before the first effect: stage, age, and every limit once more."""
    if desk.stage_problems:
        return EntryResult(
            decision_id=plan.decision_id,
            status="declined",
            reason="; ".join(("the stage may not open anything here", *desk.stage_problems)),
        )
    age = freshness.now_ms(desk) - decided_at
    if age > MAX_DECISION_AGE_MS:
        return EntryResult(
            decision_id=plan.decision_id,
            status="expired",
            reason=f"decided {age} ms ago, at most {MAX_DECISION_AGE_MS} allowed",
        )
    held = positions_as_exposure(desk.exchange.positions())
    ledger = desk.ledger.read()
    exposures = (*held, *ledger.exposures(exclude=plan.decision_id))
    broken = verify_plan(plan, desk.limits, inputs.instrument, exposures, desk.stage)
    if ledger.day_loss >= desk.limits.max_daily_loss:
        limit = desk.limits.max_daily_loss
        broken = (*broken, f"daily_loss: {ledger.day_loss}, limit {limit} (USDT lost today)")
    if broken:
        return EntryResult(
            decision_id=plan.decision_id, status="declined", reason="; ".join(broken)
        )
    return None


def _prepare_symbol(desk: Desk, plan: OrderPlan) -> None:
    """Isolated margin and leverage as planned, before the permit: both are idempotent.

    The instrument is read (and kept) here as well: its stop must not wait for it.
    """
    instrument_of(desk.exchange, plan.symbol)
    config = desk.exchange.symbol_config(plan.symbol)
    if config.margin_type != "ISOLATED":
        desk.exchange.set_isolated(plan.symbol)
    if config.leverage != plan.leverage:
        desk.exchange.set_leverage(plan.symbol, plan.leverage)


def _enter(
    desk: Desk,
    plan: OrderPlan,
    entry_id: str,
    first: orders.OrderRecord | None,
    decided_at: int,
    timeframe: str,
    *,
    may_place: bool = True,
) -> EntryResult:
    passed = Elapsed(desk.clock)
    # The record comes before the order: whatever happens next, the guardian knows whose
    # position it finds and where its stop belongs.
    try:
        position = positions.begin(desk.store, _record(desk, plan, timeframe))
    except Conflict as error:
        taken = EntryResult(decision_id=plan.decision_id, status="declined", reason=str(error))
        if may_place and _decline(desk, plan, entry_id, taken):
            return taken
        raise

    books = Books(desk.clock)
    chased = chase.is_chased(desk, first)
    covered: list[Decimal] = []

    def secure(total: VenueOrder) -> bool:
        guarded = _secure(desk, plan, position, total)
        covered[:] = [total.executed_quantity] if guarded else []
        return guarded

    try:
        if chased:
            outcome = chase.run(
                desk,
                plan,
                position.opened_at,
                lambda id_: leave(desk, plan, id_, decided_at),
                secure,
                may_place=may_place,
            )
        else:
            outcome = orders.send(
                desk,
                _request(plan, entry_id),
                plan.decision_id,
                permit=leave(desk, plan, entry_id, decided_at),
                may_place=may_place,
                books=books,
            )
    except (KillSwitchLatched, Expired) as error:
        orders.settle(desk, entry_id, "not_sent", reason=str(error))
        abandon(desk, plan.symbol, plan.decision_id, str(error))
        status: Status = "expired" if isinstance(error, Expired) else "declined"
        return EntryResult(decision_id=plan.decision_id, status=status, reason=str(error))
    record("borsa.order.latency", desk.clock.now_ms() - decided_at, outcome=outcome.state)
    belied = outcome.state == "cancelled" and sighted(desk, plan) is not None  # it outweighs that
    if outcome.state in orders.DEAD and not belied:
        books.catch_up()
        return nothing_opened(desk, position, outcome.reason)
    filled = outcome.state == "filled"
    # If not known to be final: the symbol was free, so what it holds on our side is this entry.
    venue = (
        at_least_filled(desk, plan, outcome.order, position.opened_at, books)
        if filled
        else sighted(desk, plan)
    )
    if venue is None:
        books.catch_up()
    if venue is None and not filled:
        desk.alert(
            "critical",
            "entry-unknown",
            f"{plan.symbol}: outcome of the entry order is unknown",
            f"{outcome.reason}. The guardian looks it up every minute; nothing is sent again.",
            correlation=plan.decision_id,
        )
        why, over = outcome.reason, outcome.lost
        return EntryResult(decision_id=plan.decision_id, status="unknown", reason=why, ended=over)
    # From the fill on, also when an earlier run has spent some of the time; but what this one has
    # spent is spent, though the clock was set back meanwhile.
    naked_ms = passed.ms()
    if outcome.order is not None:
        since_fill = freshness.now_ms(desk) - outcome.order.update_time
        naked_ms = since_fill if chased else max(naked_ms, since_fill)
    if chased:
        # Parts of it have been protected on the way: as they were recorded then.
        position = books.read(lambda: _position(desk, plan), otherwise=None) or position
        if outcome.order is not None and covered == [outcome.order.executed_quantity]:
            # All of it has its stop: a venue that hesitates now is no reason to close it.
            naked_ms = 0
    try:
        if chased and position.exit_reason:
            flatten.close_position(desk, position, position.exit_reason, books, proved=venue)
            guarded = False
        else:
            guarded = protection.protect(desk, position, venue, naked_ms, books, entering=True)
    finally:
        books.catch_up()
    if chased and not filled and not belied:
        # One of its orders may still rest: the guardian ends it, and frees what is held then.
        return EntryResult(
            decision_id=plan.decision_id,
            status="protected" if guarded else "flat",
            reason=f"an order's end is unknown: {outcome.reason}",
            ended=False,
        )
    desk.kill_switch.release_permit(entry_id)
    desk.ledger.convert(
        plan.decision_id,
        filled_quantity=None if venue is None else abs(venue.quantity),
        filled_notional=None if venue is None else abs(venue.quantity) * venue.entry_price,
    )
    return EntryResult(
        decision_id=plan.decision_id,
        status="protected" if guarded else "flat",
        reason=outcome.reason,
    )


def _position(desk: Desk, plan: OrderPlan) -> positions.PositionRecord | None:
    """The record of the plan's own position."""
    found = positions.load(desk.store, desk.account, plan.symbol)
    return None if found is None or found[0].decision_id != plan.decision_id else found[0]


def _secure(
    desk: Desk, plan: OrderPlan, began: positions.PositionRecord, total: VenueOrder
) -> bool:
    """Protect what an entry has filled so far; ``False`` once the position is closed."""
    books, passed = Books(desk.clock), Elapsed(desk.clock)
    # As it began where the store does not say: what has filled does not wait for it.
    fallback: positions.PositionRecord | None = began
    known = books.read(lambda: _position(desk, plan), otherwise=fallback)
    if known is None or known.state == "closed":
        return False
    try:
        venue = at_least_filled(desk, plan, total, known.opened_at, books)
        if known.exit_reason:
            # It is being closed: what has filled meanwhile goes as well, and nothing is added.
            flatten.close_position(desk, known, known.exit_reason, books, proved=venue)
            return False
        naked_ms = max(passed.ms(), freshness.now_ms(desk) - total.update_time)
        return protection.protect(desk, known, venue, naked_ms, books, entering=True)
    finally:
        # What rests may fill meanwhile.
        books.catch_up(STORE_MS)


def nothing_opened(desk: Desk, position: positions.PositionRecord, reason: str) -> EntryResult:
    """The entry certainly did not execute: close the record, free permit and reservation."""
    abandon(desk, position.id, position.decision_id, reason)
    alert_refused(desk, position.id, position.decision_id, reason)
    return EntryResult(decision_id=position.decision_id, status="rejected", reason=reason)


def _record(desk: Desk, plan: OrderPlan, timeframe: str) -> positions.PositionRecord:
    return positions.opening(
        plan,
        account=desk.account,
        at=desk.clock.now_ms(),
        timeframe=timeframe,
        rules=desk.stops,
        venue=desk.environment,
        stage=desk.stage.name,
    )


def _note(desk: Desk, result: EntryResult) -> None:
    desk.note("position", msgspec.to_builtins(result), correlation=result.decision_id)
