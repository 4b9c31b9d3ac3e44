"""Our record of each order: stored before it is sent, moved only as its life allows."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.errors import AlreadyExists, Conflict, StoreUnavailable
from shared.execution.desk import Desk
from shared.execution.exchange import VenueAlgoOrder
from shared.execution.order_states import State, judge
from shared.storage.records import record_of
from shared.telemetry import record

CONTAINER = "orders"

#: Legs whose orders are conditional.
CONDITIONAL_LEGS = ("s", "t")


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Our record of a plain or conditional order; ``id`` is its client id.

    ``price``: the limit it was sent with, ``None`` for one at market. ``average_price``: what it
    was executed at, filled in a little later (:mod:`~shared.execution.order_prices`).
    ``left``: a request may have gone to the venue. An order that may add exposure is marked so as
    the last thing before; records of before say nothing, and are taken for orders that did.
    """

    id: str
    account: str
    client_order_id: str
    decision_id: str
    symbol: str
    side: str
    type: str
    leg: str
    quantity: Decimal
    state: State
    created_at: int
    updated_at: int
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    venue_id: int | None = None
    executed_quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None
    reason: str = ""
    attempts: int = 1
    sent_at: int = 0
    time_in_force: str | None = None
    left: bool = True


def load(desk: Desk, client_order_id: str) -> tuple[OrderRecord, str] | None:
    """Our record of an order and its ETag."""
    document = desk.store.get(CONTAINER, desk.account, client_order_id)
    if document is None:
        return None
    return record_of(document.body, OrderRecord), document.etag


def store_intent(desk: Desk, record_: OrderRecord) -> bool:
    """Store an intent and audit it; ``False`` when it was there before (ask the venue first)."""
    try:
        desk.store.create(CONTAINER, msgspec.to_builtins(record_))
        fresh = True
    except AlreadyExists:
        found = load(desk, record_.id)
        if found is None:
            raise StoreUnavailable(
                f"intent {record_.id} exists but cannot be read; nothing was sent"
            ) from None
        record_ = found[0]
        fresh = False
    desk.note(
        "intent",
        {
            "clientOrderId": record_.id,
            "symbol": record_.symbol,
            "side": record_.side,
            "type": record_.type,
            "leg": record_.leg,
            "quantity": str(record_.quantity),
            "price": None if record_.price is None else str(record_.price),
            "triggerPrice": None if record_.trigger_price is None else str(record_.trigger_price),
            "createdAt": record_.created_at,
        },
        correlation=record_.decision_id,
    )
    return fresh


def settle(
    desk: Desk,
    client_order_id: str,
    state: State,
    *,
    attempt: int | None = None,
    unsent: bool = False,
    **fields: object,
) -> OrderRecord | None:
    """Move our record to a state as its life allows, and audit the transition; idempotent.

    News that what is known has overtaken changes nothing (:func:`~.order_states.judge`); news
    that contradicts it is believed and told. With ``attempt`` only while that attempt is the
    newest and has not ended, with ``unsent`` only as long as no request may have left: ``None``
    otherwise.

    Returns
    -------
    OrderRecord or None
        The record as it is now; ``None`` where there is none.
    """
    while True:
        found = load(desk, client_order_id)
        if found is None:
            return None
        current, etag = found
        if attempt is not None and not is_newest(current, attempt):
            return None
        if unsent and current.left:
            return None
        reported = fields.get("executed_quantity")
        verdict = judge(
            current.state,
            state,
            current.executed_quantity,
            reported if isinstance(reported, Decimal) else None,
            conditional=current.leg in CONDITIONAL_LEGS,
        )
        if verdict == "late":
            return current
        changed: OrderRecord = msgspec.structs.replace(current, state=state, **fields)
        if changed == current:
            return current
        if verdict == "contradiction":
            _tell_contradiction(desk, current, state)
        desk.note(
            "order",
            {
                "clientOrderId": changed.id,
                "symbol": changed.symbol,
                "state": state,
                "venueId": changed.venue_id,
                "executedQuantity": str(changed.executed_quantity),
                "averagePrice": (
                    None if changed.average_price is None else str(changed.average_price)
                ),
                "reason": changed.reason,
            },
            correlation=changed.decision_id,
        )
        changed = msgspec.structs.replace(changed, updated_at=desk.clock.now_ms())
        try:
            desk.store.replace(CONTAINER, msgspec.to_builtins(changed), etag=etag)
        except Conflict:
            continue
        if state != current.state:  # else something was filled in: the order is counted already
            record("borsa.orders", leg=changed.leg, outcome=state)
        return changed


def ended_as(algo: VenueAlgoOrder) -> State:
    """The state of a conditional order that is over: executed only if it produced an order."""
    return "filled" if algo.status == "FINISHED" and algo.order_id is not None else "cancelled"


def _tell_contradiction(desk: Desk, known: OrderRecord, state: State) -> None:
    text = f"{known.id} was held for {known.state} ({known.reason}); the exchange shows it {state}"
    desk.note("incident", {"clientOrderId": known.id, "difference": text}, correlation=known.id)
    desk.alert(
        "critical",
        "order-contradiction",
        f"{known.symbol}: an order that was held for dead exists",
        f"{text}. The exchange is believed; compare positions and orders now.",
        correlation=known.id,
    )


def is_newest(record_: OrderRecord, attempt: int) -> bool:
    return record_.state == "intent" and record_.attempts == attempt
