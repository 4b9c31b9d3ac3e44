"""A position is never without a live stop for its whole quantity, or it is being flattened.

Stops are conditional reduce-only orders by mark price with an explicit quantity, sized from the
position the exchange reports. (Only one ``closePosition`` stop per direction may exist, -4130, so
those could not be replaced without a gap; quantity stops can: new one first, old one after.)
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Literal

import msgspec

from shared.errors import (
    ExchangeError,
    ExchangeRejected,
    ExchangeThrottled,
    ExchangeUnavailable,
    OutcomeUnknown,
)
from shared.execution import flatten, halting, orders
from shared.execution.books import Books
from shared.execution.desk import Desk
from shared.execution.elapsed import Deadline
from shared.execution.exchange import (
    LIVE_ALGO,
    AlgoOrderRequest,
    VenueAlgoOrder,
    VenuePosition,
    instrument_of,
    opposite,
)
from shared.execution.ids import Leg, client_id, is_ours, leg_of
from shared.execution.order_records import ended_as
from shared.execution.sighting import held_position
from shared.market.instrument import Instrument
from shared.portfolio import positions
from shared.portfolio.positions import PositionRecord
from shared.risk.bracket import bracket
from shared.risk.limits import STOP_FRACTION_MAX, STOP_FRACTION_MIN

#: From the moment a position is seen until it is protected or being closed.
DEADLINE_MS = 4_000

#: What a single request may take when the deadline has passed already.
ONE_TRY_MS = 300

Placed = Literal["live", "over", "failed"]

#: Seconds between attempts to place or look up a stop.
RETRY_DELAYS = (0.1, 0.2, 0.4, 0.8, 1.6)


def covering_stop(position: VenuePosition, algos: Sequence[VenueAlgoOrder]) -> bool:
    """Whether live stops of ours cover the position's full quantity."""
    return uncovered(position, algos) <= 0


def uncovered(position: VenuePosition, algos: Sequence[VenueAlgoOrder]) -> Decimal:
    """Quantity of a position that no live stop of ours covers."""
    side = "SELL" if position.quantity > 0 else "BUY"
    covered = sum(
        (
            a.quantity
            for a in algos
            if a.symbol == position.symbol
            and a.side == side
            and a.type in ("STOP_MARKET", "TRAILING_STOP_MARKET")
            # One that has triggered is at work or has failed: it covers nothing any more.
            and a.status == "NEW"
            and is_ours(a.client_algo_id)
        ),
        Decimal(0),
    )
    return abs(position.quantity) - covered


def bare(desk: Desk, symbol: str) -> VenuePosition | None:
    """The position in a symbol, if no live stop of ours covers all of it."""
    held = held_position(desk, symbol)
    if held is None or covering_stop(held, desk.exchange.open_algo_orders(symbol)):
        return None
    return held


def levels(
    record: PositionRecord, entry: Decimal, instrument: Instrument
) -> tuple[Decimal, Decimal] | None:
    """Stop and take-profit for the price really paid.

    The plan's distances are kept relative to the real entry, so that slippage changes neither the
    risk per unit nor the reward-to-risk ratio; both stay inside the hard limits after rounding.
    ``None`` when the tick grid has no such stop.
    """
    if record.state == "opening" and entry == record.entry_price:
        # Paid what was planned: the planned levels, which the fraction, a rounded quotient, would
        # now and then miss by a tick.
        return record.stop_price, record.take_profit_price
    around = bracket(
        record.side,
        entry,
        min(max(record.stop_fraction, STOP_FRACTION_MIN), STOP_FRACTION_MAX),
        record.reward_risk,
        instrument,
        low=STOP_FRACTION_MIN,
        high=STOP_FRACTION_MAX,
    )
    return None if around is None else (around.stop_price, around.take_profit_price)


def protect(
    desk: Desk,
    record: PositionRecord,
    venue: VenuePosition | None,
    naked_ms: int = 0,
    books: Books | None = None,
    *,
    entering: bool = False,
) -> bool:
    """Place stop and take-profit for the real position; flatten when no stop can be placed.

    What an entry has filled beyond its plan is closed as well: the limits were checked for less.

    The store is not waited for longer than ``books`` allow: then the orders go out first.

    Parameters
    ----------
    record : PositionRecord
        Whose position it is.
    venue : VenuePosition or None
        The position as the exchange has it now.
    naked_ms : int
        For how long it may have been without a stop already: so much less time is left.
    books : Books, optional
        Of a caller that has waited for the store already, and catches up himself.
    entering : bool
        Whether it has grown by its entry just now, which of a record that is "opening" is known.

    Returns
    -------
    bool
        True when a live stop covers the position, False when it is closed or being closed.

    Raises
    ------
    StoreUnavailable
        When the position is protected or closed and the records of that could not be stored;
        called again it finds the orders and stores them.
    """
    if venue is None:
        return False
    own = Books(desk.clock) if books is None else books
    try:
        return _protect(desk, record, venue, naked_ms, own, entering)
    finally:
        if books is None:
            own.catch_up()


def beyond_plan(record: PositionRecord, venue: VenuePosition) -> bool:
    """Whether a sale is larger than what the limits were checked for.

    It filled at a price that rose while its order was on its way, which no order can bound. A
    purchase is bound by its limit price.
    """
    notional = abs(venue.quantity) * venue.entry_price
    return record.side == "SELL" and 0 < record.allowed_notional < notional


def _protect(
    desk: Desk,
    record: PositionRecord,
    venue: VenuePosition,
    naked_ms: int,
    books: Books,
    entering: bool,
) -> bool:
    if (venue.quantity > 0) != (record.side == "BUY"):
        # Not what was decided: the record describes another position. Close, never guess.
        flatten.close_position(desk, record, "wrong side", books)
        return False
    proved = venue if entering else None
    # Never more than from now on.
    deadline = Deadline(desk.clock, DEADLINE_MS - max(0, naked_ms))
    beyond = (entering or record.state == "opening") and beyond_plan(record, venue)
    quantity = abs(venue.quantity)
    if record.state == "opening" or quantity != record.quantity:
        wanted = _wanted(desk, record, venue)
        if wanted is None:
            flatten.close_position(desk, record, "no valid stop price", books, proved=proved)
            return False
        record = _change(
            desk,
            books,
            record,
            state="open",
            quantity=quantity,
            entry_price=venue.entry_price,
            stop_price=wanted[0],
            take_profit_price=wanted[1],
            updated_at=desk.clock.now_ms(),
        )
    if beyond:
        flatten.close_position(desk, record, "filled beyond its plan", books, proved=proved)
        books.write(partial(_alert_beyond, desk, record, venue), None)
        return False
    record, placed = secure(desk, record, "s", quantity, deadline, books)
    if not placed:
        # Closing first: whatever hinders the alert must not keep the position naked.
        flatten.close_position(desk, record, "protection failed", books, proved=proved)
        books.write(partial(_alert_failed, desk, record), None)
        return False
    books.write(partial(_note_protected, desk, record, venue), None)
    record, placed = secure(desk, record, "t", quantity, deadline, books)
    if not placed:
        books.write(partial(_alert_no_target, desk, record), None)
    return True


def _wanted(
    desk: Desk, record: PositionRecord, venue: VenuePosition
) -> tuple[Decimal, Decimal] | None:
    """Where stop and target of a position belong: around its real entry, or where they were."""
    if record.state == "opening":
        try:
            instrument = instrument_of(desk.exchange, record.id)
        except ExchangeError:
            # The planned stop now is better than one around the real entry later.
            pass
        else:
            return levels(record, venue.entry_price, instrument)
    return record.stop_price, record.take_profit_price


def _change(desk: Desk, books: Books, record: PositionRecord, **fields: object) -> PositionRecord:
    return books.write(
        lambda: positions.change(desk.store, record, **fields),
        msgspec.structs.replace(record, **fields),
    )


def _alert_failed(desk: Desk, record: PositionRecord) -> None:
    desk.alert(
        "critical",
        "protection-failed",
        f"{record.id}: no stop could be placed, closing the position",
        "The exchange did not accept a stop in time; the position is closed at market.",
        correlation=record.decision_id,
    )


def _alert_beyond(desk: Desk, record: PositionRecord, venue: VenuePosition) -> None:
    desk.alert(
        "warning",
        "filled-beyond-plan",
        f"{record.id}: the sale filled for more than its plan, closing the position",
        f"{abs(venue.quantity)} at {venue.entry_price} is more than the {record.allowed_notional} "
        "USDT that the limits were checked for: the price rose while the order was on its way.",
        correlation=record.decision_id,
    )


def _note_protected(desk: Desk, record: PositionRecord, venue: VenuePosition) -> None:
    desk.note(
        "protection",
        {
            "symbol": record.id,
            "quantity": str(abs(venue.quantity)),
            "entryPrice": str(venue.entry_price),
            "stopPrice": str(record.stop_price),
            "takeProfitPrice": str(record.take_profit_price),
            "stopRevision": record.stop_revision,
        },
        correlation=record.decision_id,
    )


def _alert_no_target(desk: Desk, record: PositionRecord) -> None:
    desk.alert(
        "warning",
        "take-profit-failed",
        f"{record.id}: no take-profit could be placed",
        "The stop is live; the guardian tries again every minute.",
        correlation=record.decision_id,
        once=str(record.take_profit_revision),
    )


def secure(
    desk: Desk,
    record: PositionRecord,
    leg: Leg,
    quantity: Decimal,
    deadline: Deadline,
    books: Books,
) -> tuple[PositionRecord, bool]:
    """Have the record's stop or target live; under a new revision when the old one has ended.

    Ids of ended orders are not used again: the order that somebody cancelled, or that expired,
    stays what it was.
    """
    trigger = record.stop_price if leg == "s" else record.take_profit_price
    placed = place(desk, record, leg, trigger, quantity, deadline, books)
    if placed == "over":
        record = (
            _change(desk, books, record, stop_revision=record.stop_revision + 1)
            if leg == "s"
            else _change(desk, books, record, take_profit_revision=record.take_profit_revision + 1)
        )
        placed = place(desk, record, leg, trigger, quantity, deadline, books)
    return record, placed == "live"


def place(
    desk: Desk,
    record: PositionRecord,
    leg: Leg,
    trigger: Decimal,
    quantity: Decimal,
    deadline: Deadline,
    books: Books,
) -> Placed:
    """Have one conditional order live at the venue.

    The id depends on leg, revision, trigger and quantity: repeating the call finds the order that
    is there, changing what is wanted makes a new one.

    Returns
    -------
    {"live", "over", "failed"}
        ``over`` when the order of that id has ended, ``failed`` when it could not be placed in
        time.
    """
    request = AlgoOrderRequest(
        symbol=record.id,
        side=opposite(record.side),
        type="STOP_MARKET" if leg == "s" else "TAKE_PROFIT_MARKET",
        quantity=quantity,
        client_algo_id=algo_id(desk.account, record, leg, trigger, quantity),
        trigger_price=trigger,
    )
    now = desk.clock.now_ms()
    intent = orders.OrderRecord(
        id=request.client_algo_id,
        account=desk.account,
        client_order_id=request.client_algo_id,
        decision_id=record.decision_id,
        symbol=record.id,
        side=request.side,
        type=request.type,
        leg=leg_of(request.client_algo_id) or "",
        quantity=quantity,
        state="intent",
        created_at=now,
        updated_at=now,
        trigger_price=trigger,
    )
    # Without the store's word that nobody was here before, the exchange is asked first.
    fresh = books.write(lambda: orders.store_intent(desk, intent), otherwise=False)

    def settle(state: orders.State, **fields: Any) -> None:
        books.write(lambda: orders.settle(desk, request.client_algo_id, state, **fields), None)

    found = None
    doubt = False
    if not fresh:
        known = books.read(lambda: orders.load(desk, request.client_algo_id), otherwise=None)
        doubt = known is None or known[0].state not in orders.DEAD
        found = _live(desk, record.id, request.client_algo_id)
        if found is None and known is not None and not doubt:
            if known[0].state == "cancelled":
                return "over"
            settle("intent", reason="asked for again")
    for delay in (*RETRY_DELAYS, None):
        try:
            if found is None:
                # Late or not, one try: a stop at once is better than a close.
                until = desk.clock.now_ms() + max(deadline.left_ms(), ONE_TRY_MS)
                found = desk.exchange.place_algo_order(request, until=until)
            if found.status in LIVE_ALGO:
                settle("open", venue_id=found.algo_id, reason="NEW")
                # One that has triggered while the position is still there covers nothing more.
                return "live" if found.status == "NEW" else "failed"
            settle(ended_as(found), reason=found.status)
            return "over"
        except ExchangeRejected as error:
            # -4116: it is there already, an earlier answer was lost.
            found = _live(desk, record.id, request.client_algo_id) if error.code == -4116 else None
            if found is None:
                # Of two requests under one id the refused one says nothing about the other.
                settle("unknown" if doubt else "rejected", reason=f"{error.code} {error}")
                return "failed"
            continue
        except OutcomeUnknown as error:
            doubt = True
            found = _live(desk, record.id, request.client_algo_id)
            if found is None and error.code == -4116:
                # Its id is taken by an open order, so it is live; only the look-up lags.
                settle("open", reason="id taken")
                return "live"
        except (ExchangeThrottled, ExchangeUnavailable):
            pass
        except ExchangeError as error:
            halting.heed(desk, error)
            settle("unknown" if doubt else "not_sent", reason=str(error))
            return "failed"
        if delay is None or delay * 1000 > deadline.left_ms():
            break
        desk.clock.sleep(delay)
    settle("unknown", reason="no answer before the deadline")
    return "failed"


def algo_id(
    account: str, record: PositionRecord, leg: Leg, trigger: Decimal, quantity: Decimal
) -> str:
    """Deterministic client id of a conditional order of a position."""
    revision = record.stop_revision if leg == "s" else record.take_profit_revision
    what = f"{record.decision_id}|{trigger.normalize():f}|{quantity.normalize():f}"
    return client_id(account, what, leg, revision)


def _live(desk: Desk, symbol: str, client_algo_id: str) -> VenueAlgoOrder | None:
    """The order as the venue shows it; one "not found" proves nothing, two views do more."""
    try:
        found = desk.exchange.algo_order(client_algo_id)
        if found is None:
            found = next(
                (
                    a
                    for a in desk.exchange.open_algo_orders(symbol)
                    if a.client_algo_id == client_algo_id
                ),
                None,
            )
    except ExchangeError:
        return None
    return found
