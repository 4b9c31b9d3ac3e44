"""What we believe about our positions, and why: the decision behind each and its stops.

The exchange is the truth about quantity and entry; these records hold what only we know.
One record per symbol (one-way mode, one position per symbol).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Literal

import msgspec

from shared.errors import AlreadyExists, Conflict, NotFound
from shared.execution.exchange import Side
from shared.risk.plan import OrderPlan
from shared.risk.stops import StopRules
from shared.storage.records import readable, record_of
from shared.storage.store import Document, Store, Where

CONTAINER = "positions"


class PositionRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An open or closed position of ours.

    ``quantity`` is unsigned; ``best_price`` is the most favourable mark price seen, from which the
    trailing stop is measured; ``time_exit`` is when the position is closed regardless (UTC ms).
    ``stop_revision`` counts the stops placed so far: it makes each one's id unique and the whole
    sequence reproducible. ``rules`` are the stop layers as they were set when it was opened: a
    changed setting counts for later positions only. ``timeframe`` is the signal's. ``late_of`` is
    set where an entry filled once its decision's own position was over: it names that decision.
    ``venue`` and ``stage`` are those it was opened on and in; empty in records older than that.
    ``allowed_notional`` is what the limits were checked for, USDT; 0 in older records.
    """

    id: str
    account: str
    state: Literal["opening", "open", "closed"]
    decision_id: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    opened_at: int
    planned_stop: Decimal
    stop_fraction: Decimal
    reward_risk: Decimal
    risk_amount: Decimal
    stop_price: Decimal
    take_profit_price: Decimal
    stop_revision: int
    take_profit_revision: int
    best_price: Decimal
    trail_fraction: Decimal
    trail_activation_price: Decimal
    time_exit: int
    exit_reason: str = ""
    closes: int = 0
    updated_at: int = 0
    timeframe: str = ""
    rules: StopRules = StopRules()
    late_of: str = ""
    venue: str = ""
    stage: str = ""
    allowed_notional: Decimal = Decimal(0)


def opening(
    plan: OrderPlan,
    *,
    account: str,
    at: int,
    timeframe: str,
    rules: StopRules,
    venue: str,
    stage: str,
) -> PositionRecord:
    """The record of a position whose entry is about to be sent, at ``at`` (UTC ms)."""
    return PositionRecord(
        id=plan.symbol,
        account=account,
        state="opening",
        decision_id=plan.decision_id,
        side=plan.side,
        quantity=plan.quantity,
        entry_price=plan.reference_price,
        opened_at=at,
        planned_stop=plan.stop_price,
        stop_fraction=plan.stop_fraction,
        reward_risk=plan.reward_risk,
        risk_amount=plan.risk_amount,
        stop_price=plan.stop_price,
        take_profit_price=plan.take_profit_price,
        stop_revision=0,
        take_profit_revision=0,
        best_price=plan.reference_price,
        trail_fraction=plan.trail_fraction,
        trail_activation_price=plan.trail_activation_price,
        time_exit=plan.time_exit_ms,
        timeframe=timeframe,
        rules=rules,
        venue=venue,
        stage=stage,
        allowed_notional=plan.worst_notional,
    )


def decode(document: Document) -> PositionRecord:
    """The record in a stored document.

    Raises
    ------
    StoreError
        When it cannot be read.
    """
    return record_of(document.body, PositionRecord)


def load(store: Store, account: str, symbol: str) -> tuple[PositionRecord, str] | None:
    """The record of a symbol and its ETag, if there ever was one."""
    document = store.get(CONTAINER, account, symbol)
    return None if document is None else (decode(document), document.etag)


def open_records(store: Store, account: str) -> dict[str, PositionRecord]:
    """All records that are not closed, by symbol; without those that cannot be read."""
    records: dict[str, PositionRecord] = {}
    continuation: str | None = None
    while True:
        page = store.query(
            CONTAINER,
            account,
            where=[Where("state", "!=", "closed")],
            continuation=continuation,
        )
        for record in readable(page.documents, PositionRecord):
            records[record.id] = record
        continuation = page.continuation
        if continuation is None:
            return records


def open_among(store: Store, account: str, symbols: Iterable[str]) -> dict[str, PositionRecord]:
    """The records of these symbols that are not closed: point reads, the cheapest there are.

    Without those that cannot be read: their symbols look as if nobody had decided anything there,
    and whoever asks for the single record hears why.
    """
    records: dict[str, PositionRecord] = {}
    for symbol in symbols:
        document = store.get(CONTAINER, account, symbol)
        # Most symbols are flat most of the time: a closed record is not worth reading further.
        if document is not None and document.body.get("state") != "closed":
            records.update({r.id: r for r in readable([document], PositionRecord)})
    return records


def begin(store: Store, record: PositionRecord) -> PositionRecord:
    """Store the record of a new position unless this decision already has one.

    Raises
    ------
    Conflict
        When another decision's position in the symbol is not closed yet.
    """
    body = msgspec.to_builtins(record)
    try:
        store.create(CONTAINER, body)
        return record
    except AlreadyExists:
        pass
    found = load(store, record.account, record.id)
    if found is None:
        raise Conflict(f"position record of {record.id} vanished while it was being created")
    existing, etag = found
    if existing.decision_id == record.decision_id:
        return existing
    if existing.state != "closed":
        raise Conflict(f"{record.id} still has the position of decision {existing.decision_id}")
    store.replace(CONTAINER, body, etag=etag)
    return record


def change(store: Store, record: PositionRecord, **fields: object) -> PositionRecord:
    """Replace fields of the record of the same decision, whatever else changed meanwhile.

    Raises
    ------
    NotFound
        When the symbol's record is gone or belongs to another decision by now.
    """
    return update(store, record, lambda current: msgspec.structs.replace(current, **fields))


def update(
    store: Store, record: PositionRecord, step: Callable[[PositionRecord], PositionRecord]
) -> PositionRecord:
    """Put what ``step`` makes of the record of the same decision, as it is now, in its place.

    Raises
    ------
    NotFound
        When the symbol's record is gone or belongs to another decision by now.
    """
    while True:
        found = load(store, record.account, record.id)
        if found is None or found[0].decision_id != record.decision_id:
            raise NotFound(f"the position of decision {record.decision_id} has no record any more")
        current, etag = found
        changed = step(current)
        if changed == current:
            return current
        try:
            store.replace(CONTAINER, msgspec.to_builtins(changed), etag=etag)
        except Conflict:
            continue
        return changed
