"""The violation tracker: what compliance noticed, kept until a person has dealt with it.

open -> acknowledged -> closed. Acknowledging says that somebody looks into it and changes nothing
else; closing takes a reason and the second factor, because a critical violation declines entries
for as long as it is not closed. Every step is in the audit chain.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from shared.clock import iso
from shared.compliance.operator import named, refusals_told
from shared.compliance.rules import RULES, Hit
from shared.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from shared.execution.desk import Desk
from shared.security.totp import SecondFactor
from shared.storage.store import Page, Where, every

CONTAINER = "violations"
STATES = ("open", "acknowledged", "closed")

#: What may follow what.
_MOVES = {"open": ("acknowledged", "closed"), "acknowledged": ("closed",), "closed": ()}

_SEVERITIES = ("warning", "critical")

#: Violations named as a reason to decline, at most.
BLOCKING = 20


def keep(desk: Desk, event: dict[str, Any]) -> bool:
    """Store a compliance event once; ``False`` when it was there.

    Raises
    ------
    InvalidInput
        When the event does not say what happened.
    """
    if event.get("type") in STATES[1:]:
        return False  # somebody dealt with one: whoever did has stored it
    if not isinstance(event.get("kind"), str) or not isinstance(event.get("text"), str):
        raise InvalidInput("a compliance event needs kind and text")
    severity, evidence = event.get("severity"), event.get("evidence")
    body = {
        "id": str(event["id"])[:200],
        "account": desk.account,
        "kind": event["kind"][:100],
        "severity": severity if severity in _SEVERITIES else "warning",
        "symbol": str(event.get("symbol", ""))[:20],
        "text": event["text"][:2000],
        "time": event.get("time") if isinstance(event.get("time"), int) else desk.clock.now_ms(),
        "evidence": evidence if isinstance(evidence, dict) else {},
        "state": "open",
    }
    desk.note("violation", body, correlation=body["id"])
    try:
        desk.store.create(CONTAINER, body)
    except AlreadyExists:
        return False
    return True


def raise_(desk: Desk, hit: Hit) -> bool:
    """Keep what a detector found, publish it and tell people; ``False`` when it was known.

    Safe to repeat: the id follows from what happened.
    """
    event = {
        "id": hit.id,
        "kind": hit.rule,
        "severity": hit.severity,
        "symbol": hit.symbol,
        "text": hit.text,
        "time": hit.time,
        "evidence": hit.evidence,
    }
    fresh = keep(desk, event)
    desk.outbox.compliance.append(event)
    title = f"{hit.symbol}: {RULES[hit.rule].title}"
    text = f"{hit.text}. At {iso(hit.time)}; violation {hit.id} is open until a person closes it."
    if hit.severity == "critical":
        desk.alert("critical", "compliance-violation", title, text, correlation=hit.id)
    else:
        desk.alert("warning", "compliance-warning", title, text, correlation=hit.id)
    return fresh


def load(desk: Desk, id: str) -> tuple[dict[str, Any], str]:
    """A violation and its ETag.

    Raises
    ------
    NotFound
        When there is none.
    """
    document = desk.store.get(CONTAINER, desk.account, id)
    if document is None:
        raise NotFound(f"there is no violation {id}")
    return document.body, document.etag


def listed(
    desk: Desk,
    *,
    state: str = "",
    symbol: str = "",
    limit: int = 100,
    continuation: str | None = None,
) -> Page:
    """Violations, newest first; of one state or symbol only where one is given.

    Raises
    ------
    InvalidInput
        For a state that is none.
    """
    if state and state not in STATES:
        raise InvalidInput(f"state is {state!r}; use one of {', '.join(STATES)}")
    where = [Where("state", "=", state)] if state else []
    if symbol:
        where.append(Where("symbol", "=", symbol))
    return desk.store.query(
        CONTAINER,
        desk.account,
        where=where,
        order_by="time",
        descending=True,
        limit=limit,
        continuation=continuation,
    )


def blocking(desk: Desk, symbol: str | None = None) -> list[tuple[str, str]]:
    """Id and symbol of critical violations that nobody has closed, oldest first; 20 at most.

    With a symbol those of it, and those of no symbol, which concern all: asked for by itself, so
    that none is missed behind many of other symbols.
    """
    wanted = [()] if symbol is None else [(Where("symbol", "=", s),) for s in ("", symbol)]
    found: list[tuple[str, str]] = []
    for where in wanted:
        documents = every(
            desk.store,
            CONTAINER,
            desk.account,
            where=[
                Where("severity", "=", "critical"),
                Where("state", "!=", "closed"),
                *where,
            ],
            order_by="time",
            limit=BLOCKING,
        )
        found += [(d.body["id"], d.body["symbol"]) for d in islice(documents, BLOCKING)]
    return found[:BLOCKING]


def acknowledge(desk: Desk, id: str, *, operator: str, note: str = "") -> dict[str, Any]:
    """A person has seen it and looks into it. It goes on blocking what it blocks.

    Raises
    ------
    NotFound, InvalidInput
        No such violation; nobody named.
    Conflict
        It was acknowledged or closed before.
    """
    return _move(
        desk,
        id,
        "acknowledged",
        {"acknowledgedBy": named(operator), "note": note.strip()[:1000]},
        "acknowledgedAt",
    )


def close(
    desk: Desk, factor: SecondFactor, id: str, *, operator: str, reason: str, code: str
) -> dict[str, Any]:
    """A person has dealt with it: entries that it declined are judged without it from now on.

    Raises
    ------
    NotFound
        There is no such violation.
    InvalidInput
        Nobody named, no reason, or the code is refused; nothing is changed.
    Conflict
        It is closed already; no code is used up.
    """
    known, _ = load(desk, id)
    _check(known, "closed")
    who = named(operator)
    if len(reason.strip()) < 10:
        raise InvalidInput("give a reason of at least 10 characters")
    with refusals_told(desk, f"close violation {id}", operator):
        factor.verify(code)

    def tell() -> None:
        if known.get("severity") == "critical":
            desk.alert(
                "warning",
                "compliance-closed",
                f"A critical violation was closed by {who}",
                f"{known['text']} Reason: {reason.strip()[:500]}",
                correlation=id,
            )

    return _move(
        desk, id, "closed", {"closedBy": who, "reason": reason.strip()[:1000]}, "closedAt", tell
    )


def _move(
    desk: Desk,
    id: str,
    state: str,
    fields: dict[str, Any],
    stamp: str,
    tell: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Move a violation as its life allows, noted and told before it is changed."""
    now = desk.clock.now_ms()
    while True:
        known, etag = load(desk, id)
        _check(known, state)
        changed = {**known, **fields, "state": state, stamp: now}
        desk.note(
            "violation",
            {"id": id, "from": known["state"], "state": state, **fields, "at": now},
            correlation=id,
        )
        tell()
        try:
            desk.store.replace(CONTAINER, changed, etag=etag)
        except Conflict:
            continue
        desk.outbox.compliance.append({**changed, "id": f"{id}-{state}", "type": state})
        return changed


def _check(known: dict[str, Any], state: str) -> None:
    if state not in _MOVES[known["state"]]:
        raise Conflict(f"violation {known['id']} is {known['state']} already")


def severity_counts(desk: Desk) -> dict[str, dict[str, int]]:
    """How many are not closed, by state and severity."""
    counts = {state: dict.fromkeys(_SEVERITIES, 0) for state in ("open", "acknowledged")}
    where = [Where("state", "!=", "closed")]
    for document in every(desk.store, CONTAINER, desk.account, where=where):
        body = document.body
        counts[body["state"]][body.get("severity", "warning")] += 1
    return counts
