"""Comparing our book with the exchange's. The exchange wins; every difference is an incident."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal

import msgspec

from shared.clock import day
from shared.errors import (
    AuditBroken,
    BorsaError,
    ExchangeRejected,
    OutcomeUnknown,
    StoreError,
    StoreUnavailable,
)
from shared.execution import adopt, chase, latecomers, orders, orphans, strangers, watch
from shared.execution.desk import Desk
from shared.execution.exchange import FINAL_ORDER
from shared.execution.order_records import CONDITIONAL_LEGS, ended_as
from shared.portfolio import positions
from shared.portfolio.positions import PositionRecord
from shared.storage.records import readable
from shared.storage.store import Where, every

#: Younger than this, a difference may simply be an operation under way.
GRACE_MS = 30_000

#: A reservation without a position record after this long belongs to a dead workflow: decisions
#: are executed within half a minute of being taken, or never.
RESERVATION_MS = 300_000


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared and what differed."""

    positions: int
    open_orders: int
    differences: tuple[str, ...]


def reconcile(desk: Desk) -> Report:
    """One comparison: positions, then both order books, then the ledger's reservations.

    Raises
    ------
    BorsaError
        Exchange or store failed; or a single order could not be dealt with, and then everything
        else has been.
    """
    held = desk.exchange.positions()
    algos = desk.exchange.open_algo_orders()
    plain = desk.exchange.open_orders()
    records = positions.open_records(desk.store, desk.account)
    now = desk.clock.now_ms()
    told: list[str] = []
    troubles: list[BorsaError] = []
    by_symbol = {p.symbol: p for p in held}
    for symbol, record in records.items():
        if record.state == "opening" or now - record.updated_at < GRACE_MS:
            continue
        venue = by_symbol.get(symbol)
        quantity = abs(venue.quantity) if venue is not None else Decimal(0)
        if quantity not in (Decimal(0), record.quantity):
            difference = (
                f"{symbol}: the exchange holds {quantity}, our record says {record.quantity}"
            )
            told.append(difference)
            with _alone(troubles):
                # Before it is mended: whatever fails further down, nobody would see it again.
                _tell(desk, difference)
                positions.change(desk.store, record, quantity=quantity, updated_at=now)
    foreign = strangers.orders(plain, algos)
    watch.foreign_orders(desk, [o.client_id for o in foreign])
    for order in foreign:
        strangers.report_order(desk, order)
    differences = [f"order {o.client_id} was not sent by this application" for o in foreign]
    # Here too, because the guardian does not read the list while the account is flat.
    with _alone(troubles):
        orphans.cancel(desk, algos, by_symbol, records)
    unfinished = _unfinished(desk)
    known = {o.id for o in unfinished if o.state != "intent"}
    for algo in algos:
        if algo.client_algo_id not in known:
            with _alone(troubles):
                adopt.conditional(desk, algo, _decision(records, algo.symbol))
    live = {a.client_algo_id for a in algos}
    due = [o for o in unfinished if now - o.updated_at >= GRACE_MS]
    for sent in due:
        if sent.leg in CONDITIONAL_LEGS and not (sent.state == "open" and sent.id in live):
            with _alone(troubles):
                _refresh_algo(desk, sent)
    for sent in due:
        if sent.leg not in CONDITIONAL_LEGS:
            with _alone(troubles):
                _refresh_plain(desk, sent, now)
    _free_reservations(desk, {r.decision_id for r in records.values()}, by_symbol, now)
    switch = desk.kill_switch.ensure()
    if switch.state == "latched" and switch.closing:
        # What the stop closed may have been found in no trade while the exchange failed.
        latecomers.take_up(desk)
    for difference in differences:
        _tell(desk, difference)
    if troubles:
        raise troubles[0]
    return Report(
        positions=len(held), open_orders=len(plain) + len(algos), differences=(*told, *differences)
    )


def _tell(desk: Desk, difference: str) -> None:
    """Once a day: one that is there again, or still, is none of the day on which it began."""
    today = day(desk.clock.now_ms())
    desk.note("incident", {"difference": difference, "day": today}, correlation="reconcile")
    desk.alert(
        "warning",
        "reconciliation",
        "Our book differed from the exchange's",
        difference,
        correlation=difference,
        once=today,
    )


@contextmanager
def _alone(troubles: list[BorsaError]) -> Iterator[None]:
    """What one order is refused for, or how its record reads, does not stop the others."""
    try:
        yield
    except StoreUnavailable:
        raise
    except (ExchangeRejected, OutcomeUnknown, StoreError, AuditBroken) as error:
        troubles.append(error)


def _decision(records: Mapping[str, PositionRecord], symbol: str) -> str:
    record = records.get(symbol)
    return adopt.NOBODY if record is None else record.decision_id


def _free_reservations(
    desk: Desk, open_decisions: set[str], held: Collection[str], now: int
) -> None:
    """Reservations whose decision came to nothing: its workflow died before it could say so."""
    for decision_id, reserved in desk.ledger.read().entries.items():
        if decision_id in open_decisions or now - reserved.at < RESERVATION_MS:
            continue
        if reserved.state == "open" and reserved.symbol in held:
            continue  # its position is there, whatever became of the record
        desk.note("risk", {"released": decision_id, "at": reserved.at}, correlation=decision_id)
        chase.release_permits(desk, decision_id)
        desk.ledger.release(decision_id)


def _unfinished(desk: Desk) -> list[orders.OrderRecord]:
    """Our orders whose end we have not seen."""
    return [
        known
        for state in ("intent", "unknown", "open")
        for known in readable(
            every(desk.store, orders.CONTAINER, desk.account, where=[Where("state", "=", state)]),
            orders.OrderRecord,
        )
    ]


def _refresh_plain(desk: Desk, known: orders.OrderRecord, now: int) -> None:
    """A plain order whose end we have not seen: whoever sent it may have died, or read back the
    position instead. What the venue knows as final becomes our record."""
    order = desk.exchange.order(known.symbol, known.id)
    if order is None:
        if known.leg == "x" and now - known.sent_at > RESERVATION_MS:
            # A close that another one was sent instead of: long past what could execute it.
            orders.settle(desk, known.id, "not_sent", reason="never came to the venue")
        return
    if order.status in FINAL_ORDER:
        adopt.plain(desk, order, known.decision_id)
        orders.settle_as(desk, known.id, order)
    elif known.leg == "e":
        # No entry rests for so long: whoever sent it is gone, and it could still fill.
        desk.exchange.cancel_order(known.symbol, known.id)


def _refresh_algo(desk: Desk, known: orders.OrderRecord) -> None:
    """A conditional order that we believe to be open and the exchange does not list, or that it has
    and we never saw answered."""
    algo = desk.exchange.algo_order(known.id)
    # One "not found" proves nothing (the venue forgets for minutes): believe statuses only.
    if algo is None:
        return
    adopt.conditional(desk, algo, known.decision_id)
    if algo.status in ("FINISHED", "CANCELED", "EXPIRED", "REJECTED"):
        orders.settle(desk, known.id, ended_as(algo), reason=algo.status)
    elif known.state == "unknown":
        orders.settle(desk, known.id, "open", venue_id=algo.algo_id, reason=algo.status)
