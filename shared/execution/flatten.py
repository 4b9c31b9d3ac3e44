"""Closing: reduce-only at market, the position read back until it is flat.

Needs no permit: reducing exposure is always allowed. A close that is not found is not waited for
like an entry: the position says whether another one is needed, and two close no more than there is.
"""

from __future__ import annotations

from functools import partial

from shared.errors import (
    AuditBroken,
    ExchangeError,
    ExchangeUnavailable,
    NotFound,
    StoreUnavailable,
)
from shared.execution import adopt, orders, refused_close, unrecorded
from shared.execution.books import STORE_MS, Books
from shared.execution.desk import Desk
from shared.execution.exchange import OrderRequest, VenueAlgoOrder, VenuePosition
from shared.execution.ids import client_id, is_ours
from shared.execution.order_records import CONDITIONAL_LEGS
from shared.execution.sighting import shown_position
from shared.portfolio import positions
from shared.portfolio.positions import PositionRecord
from shared.storage.patience import at_most
from shared.storage.records import readable
from shared.storage.store import Where, every

#: Attempts of one call; the guardian and the emergency workflow call again.
ATTEMPTS = 4
PAUSE = 0.2
#: Seconds that the exchange may ask to wait before a position is looked at again.
SHORT_PAUSE = 2.0

#: A close leaves within this time of the look at its position: what the symbol holds later may be
#: another trade.
SEEN_MS = 5_000


def close_position(
    desk: Desk,
    record: PositionRecord,
    reason: str,
    books: Books | None = None,
    *,
    attempts: int = ATTEMPTS,
    proved: VenuePosition | None = None,
) -> bool:
    """Close one of our positions; ``True`` once the exchange shows it flat.

    Every attempt has its own deterministic id, counted in the position's record before it is
    sent, so that a crash repeats an attempt instead of adding one. While the store fails, or the
    audit chain is broken, the close goes out without its record, which follows.

    Parameters
    ----------
    books : Books, optional
        Of a caller that has waited for the store already, and catches up himself.
    attempts : int
        Of a caller that comes back by himself: fewer.
    proved : VenuePosition, optional
        The position as it was seen just now, or as fills have made it. It is closed once without a
        look: the exchange's view may lag behind fills, or not be readable, and two close no more
        than there is.
    """
    own = Books(desk.clock) if books is None else books
    try:
        return _close_position(desk, record, reason, own, attempts, proved)
    finally:
        if books is None:
            own.catch_up()


def _close_position(
    desk: Desk,
    record: PositionRecord,
    reason: str,
    books: Books,
    attempts: int,
    proved: VenuePosition | None,
) -> bool:
    doubt: str | None = None
    for attempt in range(attempts):
        venue, seen_at = proved or _held(desk, record.id), desk.clock.now_ms()
        if venue is None:
            return True
        if not books.late:
            try:
                # No operation of the store may hold up the close for long.
                with at_most(STORE_MS / 1000):
                    record = _recorded(desk, record, venue, seen_at, reason, books)
            except (StoreUnavailable, AuditBroken):
                # It may be on its way all the same: look again, then close without the store.
                books.give_up()
                continue
            except NotFound:
                found = positions.load(desk.store, desk.account, record.id)
                if found is None:
                    raise
                return True  # its trade is over: what the symbol holds by now is another's
        else:
            doubt = _unrecorded(desk, record, venue, reason, books, attempt, doubt)
        proved = None
        if _held(desk, record.id) is None:
            return True
        desk.clock.sleep(PAUSE)
    books.write(partial(_alert_failed, desk, record, reason, attempts), None)
    return False


def _alert_failed(desk: Desk, record: PositionRecord, reason: str, attempts: int) -> None:
    desk.alert(
        "critical",
        "close-failed",
        f"{record.id}: the position could not be closed",
        f"Attempts: {attempts} ({reason}). The guardian goes on every minute; look at it now.",
        correlation=record.decision_id,
        once=str(desk.clock.now_ms() // 60_000),
    )


def _recorded(
    desk: Desk,
    record: PositionRecord,
    venue: VenuePosition,
    seen_at: int,
    reason: str,
    books: Books,
) -> PositionRecord:
    """One attempt under the next id of the position's record."""

    def still_seen() -> None:
        if desk.clock.now_ms() - seen_at > SEEN_MS:
            raise ExchangeUnavailable(f"{venue.symbol} was looked at too long ago to be closed")

    record = positions.change(
        desk.store, record, closes=record.closes, exit_reason=record.exit_reason or reason
    )
    close_id = client_id(desk.account, record.decision_id, "x", record.closes)
    if _left_behind(desk, venue.symbol, close_id):
        # Somebody is about to send it, or died before. An entry would wait until it is certainly
        # absent; two closes close no more than there is.
        record = positions.change(desk.store, record, closes=record.closes + 1)
        close_id = client_id(desk.account, record.decision_id, "x", record.closes)
    request = market_close(venue, close_id)
    outcome = orders.send(desk, request, record.decision_id, permit=still_seen)
    parts = refused_close.instead(desk, request, outcome, books)
    for part in parts:
        outcome = orders.send(desk, part, record.decision_id, permit=still_seen)
    # Nobody waits for a part either: the next attempt sends its own, for what is there then.
    if parts or outcome.state != "unknown":
        record = positions.change(desk.store, record, closes=record.closes + 1)
    _note(desk, record, close_id, outcome.state, reason)
    return record


def _left_behind(desk: Desk, symbol: str, close_id: str) -> bool:
    """Whether an earlier run meant to send this close and the exchange does not show it."""
    found = orders.load(desk, close_id)
    if found is None or found[0].state not in ("intent", "unknown"):
        return False
    try:
        return desk.exchange.order(symbol, close_id) is None
    except ExchangeError:
        return True  # nor can it be asked: the position is what was seen


def _unrecorded(
    desk: Desk,
    record: PositionRecord,
    venue: VenuePosition,
    reason: str,
    books: Books,
    attempt: int,
    doubt: str | None,
) -> str | None:
    """One attempt while the store fails; the id of its order where that may yet be found.

    ``doubt``: that of the attempt before.
    """
    sent_at = desk.clock.now_ms()
    request = market_close(venue, _new_id(desk, record.decision_id, venue, sent_at, attempt))
    sent = _send_unrecorded(desk, request, books, doubt)
    last, outcome = sent[-1]

    def keep() -> None:
        for request_, outcome_ in sent:
            unrecorded.keep(desk, request_, record.decision_id, sent_at, outcome_)
        _tell(desk, record, sent[0][0].client_order_id, outcome.state, reason)

    books.write(keep, None)
    return last.client_order_id if outcome.state == "unknown" else None


def _new_id(desk: Desk, whose: str, venue: VenuePosition, sent_at: int, attempt: int) -> str:
    """An id that nobody has used: without the store nobody knows which are written off already."""
    what = f"{whose}|{venue.symbol}|{venue.update_time}|{venue.quantity}|{sent_at}"
    return client_id(desk.account, what, "x", attempt)


def _send_unrecorded(
    desk: Desk, request: OrderRequest, books: Books, earlier: str | None
) -> list[tuple[OrderRequest, orders.Outcome]]:
    """A close, or what goes in its place, with how each order ended."""
    sent = [unrecorded.send(desk, request, earlier)]
    parts = refused_close.instead(desk, *sent[0], books)
    return sent + [unrecorded.send(desk, part) for part in parts]


def market_close(venue: VenuePosition, close_id: str) -> OrderRequest:
    """The order that closes a position."""
    return OrderRequest(
        symbol=venue.symbol,
        side="SELL" if venue.quantity > 0 else "BUY",
        type="MARKET",
        quantity=abs(venue.quantity),
        client_order_id=close_id,
        reduce_only=True,
        position_side=venue.position_side,
    )


def _note(desk: Desk, record: PositionRecord, close_id: str, state: str, reason: str) -> None:
    desk.note(
        "position",
        {
            "symbol": record.id,
            "clientOrderId": close_id,
            "state": state,
            "reason": reason,
            "attempt": record.closes,
        },
        correlation=record.decision_id,
    )


def close_as_seen(
    desk: Desk,
    venue: VenuePosition,
    record: PositionRecord | None,
    reason: str,
    correlation: str,
    attempt: int,
    books: Books,
) -> None:
    """Close a position once, as it was seen: only an emergency stop does this.

    For one that no decision of ours explains (no ``record``), and while positions cannot be read,
    which :func:`close_position` does before and after.
    """
    decision_id = correlation if record is None else record.decision_id
    request = _close_as_seen(desk, venue, correlation, attempt)
    outcome = orders.send(desk, request, decision_id)
    for part in refused_close.instead(desk, request, outcome, books):
        orders.send(desk, part, decision_id)
    if record is not None:
        told = partial(_tell, desk, record, request.client_order_id, outcome.state, reason)
        books.write(told, None)


def close_unrecorded(
    desk: Desk, venue: VenuePosition, reason: str, correlation: str, attempt: int, books: Books
) -> None:
    """Close a position while the store does not say whose it is; the record follows.

    One of :func:`close_as_seen` that just left is found, not repeated.
    """
    earlier = _close_as_seen(desk, venue, correlation, attempt).client_order_id
    sent_at = desk.clock.now_ms()
    request = market_close(venue, _new_id(desk, correlation, venue, sent_at, attempt))
    sent = _send_unrecorded(desk, request, books, earlier)

    def keep() -> None:
        found = positions.load(desk.store, desk.account, venue.symbol)
        record = found[0] if found is not None and found[0].state != "closed" else None
        decision_id = correlation if record is None else record.decision_id
        for request_, outcome in sent:
            unrecorded.keep(desk, request_, decision_id, sent_at, outcome)
        if record is not None:
            _tell(desk, record, sent[0][0].client_order_id, sent[-1][1].state, reason)

    books.write(keep, None)


def _tell(desk: Desk, record: PositionRecord, close_id: str, state: str, reason: str) -> None:
    _note(desk, record, close_id, state, reason)
    positions.change(desk.store, record, exit_reason=record.exit_reason or reason)


def _close_as_seen(
    desk: Desk, venue: VenuePosition, correlation: str, attempt: int
) -> OrderRequest:
    what = f"{correlation}|{venue.symbol}|{venue.update_time}|{venue.quantity}"
    return market_close(venue, client_id(desk.account, what, "x", attempt))


def cancel_leftovers(desk: Desk, symbol: str, decision_id: str) -> int:
    """Cancel what is left of a decision's bracket: reduce-only orders stay armed otherwise.

    Orders that are known to be another decision's stay: whoever is slow here may be overtaken by
    the next trade in the symbol, whose stop that is. So do those that nobody here knows, once the
    symbol holds a position again. Where they are not listed, those that our book holds for open
    are looked up by their ids: a trade's result does not wait for that list.
    """
    cancelled = 0
    again: bool | None = None
    try:
        listed = desk.exchange.open_algo_orders(symbol)
    except ExchangeError as error:
        if error.retry_after:
            raise
        listed = _by_ids(desk, decision_id)
    for algo in listed:
        # One that has triggered cannot be cancelled; it may be stuck so for ever (``stuck``), and
        # the books do not wait for it.
        if is_ours(algo.client_algo_id) and algo.status == "NEW":
            known = orders.load(desk, algo.client_algo_id)
            whose = adopt.NOBODY if known is None else known[0].decision_id
            if whose == adopt.NOBODY:
                again = _held(desk, symbol) is not None if again is None else again
            if whose != decision_id and (whose != adopt.NOBODY or again):
                continue
            adopt.cancel(desk, algo, "position closed", decision_id)
            cancelled += 1
    return cancelled


def _by_ids(desk: Desk, decision_id: str) -> list[VenueAlgoOrder]:
    """A decision's conditional orders that our book does not know to be over, as they are now."""
    where = [Where("decisionId", "=", decision_id)]
    mine = readable(
        every(desk.store, orders.CONTAINER, desk.account, where=where), orders.OrderRecord
    )
    found = (
        desk.exchange.algo_order(known.id)
        for known in mine
        if known.leg in CONDITIONAL_LEGS and known.state in ("intent", "unknown", "open")
    )
    return [algo for algo in found if algo is not None]


def _held(desk: Desk, symbol: str) -> VenuePosition | None:
    for _ in range(3):
        try:
            return shown_position(desk, symbol)
        except ExchangeError as error:
            # A short pause that the exchange asks for is waited out here: whoever gave up would
            # come back later than it ends, and begin anew.
            short = 0 < error.retry_after <= SHORT_PAUSE
            desk.clock.sleep(error.retry_after if short else PAUSE)
    return shown_position(desk, symbol)
