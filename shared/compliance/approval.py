"""Manual approval of single trades: stored, single use, and silence means no."""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from typing import Any, Literal

import msgspec

from shared.clock import iso
from shared.errors import (
    AlreadyExists,
    BorsaError,
    Conflict,
    InvalidInput,
    NotFound,
    StoreUnavailable,
)
from shared.execution.desk import Desk
from shared.risk.decision import Decision

CONTAINER = "approvals"

#: A person has this long; afterwards the decision is dead.
APPROVAL_SECONDS = 25

Verdict = Literal["approved", "rejected", "expired"]


class Approval(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A request for approval; ``id`` is the signal's, ``nonce`` makes an answer single use."""

    id: str
    account: str
    symbol: str
    nonce: str
    state: Literal["pending", "approved", "rejected", "expired"]
    requested_at: int
    expires_at: int
    summary: str
    operator: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``POST /api/approvals/{id}`` takes."""

    decision: Literal["approve", "reject"]
    nonce: str
    operator: str


def event_name(nonce: str) -> str:
    """The external event that wakes the waiting workflow: unique per request."""
    return f"approval-{nonce}"


def request_approval(desk: Desk, symbol: str, decision: Decision) -> dict[str, Any]:
    """Store the request (once) and tell the workflow what to wait for."""
    plan = decision.plan
    assert plan is not None  # only approved decisions ask
    digest = hashlib.sha256(f"{decision.id}|{decision.decided_at}|{desk.account}".encode())
    approval = Approval(
        id=decision.signal_id,
        account=desk.account,
        symbol=symbol,
        nonce=digest.hexdigest()[:24],
        state="pending",
        requested_at=decision.decided_at,
        expires_at=decision.decided_at + APPROVAL_SECONDS * 1000,
        summary=(
            f"{plan.side} {plan.quantity} {symbol} at about {plan.reference_price}, stop "
            f"{plan.stop_price}, target {plan.take_profit_price}, risk {plan.risk_amount} USDT"
        ),
    )
    with suppress(AlreadyExists):
        desk.store.create(CONTAINER, msgspec.to_builtins(approval))
    # Both happen once however often this runs: an earlier run may have stopped right here.
    desk.note("approval", msgspec.to_builtins(approval), correlation=decision.signal_id)
    desk.alert(
        "warning",
        "approval-wanted",
        f"{symbol}: approve this trade?",
        f"{approval.summary}. Until {iso(approval.expires_at)}; no answer means no.",
        correlation=decision.signal_id,
    )
    return {
        "approvalEvent": event_name(approval.nonce),
        "approvalSeconds": APPROVAL_SECONDS,
    }


def load(desk: Desk, id: str) -> tuple[Approval, str]:
    """A request and its ETag; ``NotFound`` when there is none."""
    document = desk.store.get(CONTAINER, desk.account, id)
    if document is None:
        raise NotFound(f"there is no approval request {id}")
    return msgspec.convert(document.body, Approval), document.etag


def answer(desk: Desk, id: str, given: Answer) -> Approval:
    """Record a person's answer; the same one by the same person once more is told what holds.

    Raises
    ------
    NotFound
        No such request.
    InvalidInput
        Wrong nonce or no operator named; nothing is changed.
    Conflict
        Answered otherwise before, or too late.
    StoreUnavailable
        It is not known whether it counts.
    """
    approval, etag = load(desk, id)
    if not given.operator.strip():
        raise InvalidInput("operator is empty; say who answers")
    if given.nonce != approval.nonce:
        raise InvalidInput("the nonce does not belong to this request; read it again")
    changed = msgspec.structs.replace(
        approval,
        state="approved" if given.decision == "approve" else "rejected",
        operator=given.operator.strip()[:100],
    )
    if approval.state != "pending":
        _must_be(changed, approval)
    elif desk.clock.now_ms() >= approval.expires_at:
        raise Conflict(f"too late: the request expired at {iso(approval.expires_at)}")
    else:
        _store(desk, changed, etag)
    try:
        desk.note("approval", msgspec.to_builtins(changed), correlation=id)
    except BorsaError:
        # The answer counts, and whoever executes it notes it first (:func:`settle`).
        logging.getLogger("borsa").exception("approval %s stored, not audited yet", id)
    return changed


def _store(desk: Desk, changed: Approval, etag: str) -> None:
    """Write an answer down. What was lost may be the word of it only: then it counts."""
    try:
        desk.store.replace(CONTAINER, msgspec.to_builtins(changed), etag=etag)
    except (StoreUnavailable, Conflict) as error:
        try:
            now, _ = load(desk, changed.id)
        except StoreUnavailable:
            now = None
        if now is None or now.state == "pending":
            raise StoreUnavailable(
                f"it is not known whether the answer counts; give it again until told: {error}"
            ) from error
        _must_be(changed, now)


def _must_be(changed: Approval, stored: Approval) -> None:
    if (stored.state, stored.operator) != (changed.state, changed.operator):
        who = f", by {stored.operator}" if stored.operator else ""
        raise Conflict(f"this request is {stored.state} already{who}; that holds")


def settle(desk: Desk, symbol: str, signal_id: str) -> Verdict:
    """The verdict; a request nobody answered in time expires now, and its reservation is freed."""
    from shared.execution.assess import load as load_decision

    while True:
        approval, etag = load(desk, signal_id)
        if approval.state == "pending":
            expired = msgspec.structs.replace(approval, state="expired")
            try:
                desk.store.replace(CONTAINER, msgspec.to_builtins(expired), etag=etag)
            except Conflict:
                continue
            approval = expired
        # Whoever changed it may have died before it was noted; noting it again changes nothing.
        desk.note("approval", msgspec.to_builtins(approval), correlation=signal_id)
        if approval.state == "approved":
            return "approved"
        stored = load_decision(desk, symbol, signal_id)
        if stored is not None:
            desk.ledger.release(stored[1].id)
        return "rejected" if approval.state == "rejected" else "expired"
