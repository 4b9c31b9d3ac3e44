"""A critical alert that nobody has acknowledged goes to the next channel, and to the next."""

from __future__ import annotations

from typing import Any

from shared.alerts.alert import OVER
from shared.clock import DAY_MS, iso
from shared.compliance.operator import named
from shared.errors import Conflict, NotFound
from shared.execution.desk import Desk
from shared.storage.store import Where

CONTAINER = "alerts"
#: Alerts that one look escalates at most; the next goes on.
MOST = 50
#: Older ones are history.
_WITHIN_MS = DAY_MS


def escalate(desk: Desk, steps: int, minutes: int) -> int:
    """Raise again, for one channel more, what has waited long enough; returns how many.

    A step is stored before it is taken: whoever dies in between leaves an alert that is raised,
    and what is raised is sent (:mod:`shared.alerts.resend`). Nothing is sent here.

    Parameters
    ----------
    steps : int
        Channels that an alert may be escalated to.
    minutes : int
        From the alert to the first, and from each to the next.
    """
    now, step_ms = desk.clock.now_ms(), minutes * 60_000
    page = desk.store.query(
        CONTAINER,
        desk.account,
        where=[
            Where("severity", "=", "critical"),
            Where("time", "<=", iso(now - step_ms)),
            Where("time", ">", iso(now - _WITHIN_MS - steps * step_ms)),
        ],
        order_by="time",
        descending=True,
        limit=1000,
    )
    escalated = 0
    for document in page.documents:
        body = document.body
        level = body.get("escalated", 0)
        # One step at a time, each a whole interval after the one before.
        due = body.get("escalatedAt", 0) <= now - step_ms
        if "acknowledgedAt" in body or level >= steps or not due:
            continue
        sent = body.get("sent", ["logic-app"] if body.get("state") in OVER else [])
        changed = {
            **body,
            "state": "raised",
            "sent": sent,
            "escalated": level + 1,
            "escalatedAt": now,
        }
        try:
            desk.store.replace(CONTAINER, changed, etag=document.etag)
        except (Conflict, NotFound):
            continue  # acknowledged or delivered at this very moment; the next look sees it
        escalated += 1
        if escalated >= MOST:
            break
    return escalated


def acknowledge(desk: Desk, id: str, *, operator: str, note: str = "") -> dict[str, Any]:
    """A person has seen an alert: it is not escalated any further.

    Raises
    ------
    NotFound, InvalidInput
        No such alert; nobody named.
    Conflict
        It was acknowledged before.
    """
    who = named(operator)
    while True:
        document = desk.store.get(CONTAINER, desk.account, id)
        if document is None:
            raise NotFound(f"there is no alert {id}")
        if "acknowledgedAt" in document.body:
            raise Conflict(f"alert {id} is acknowledged already")
        fields = {"acknowledgedBy": who, "note": note.strip()[:1000]}
        now = desk.clock.now_ms()
        desk.note("operator", {"acknowledged": id, **fields, "at": now}, correlation=id)
        changed = {**document.body, **fields, "acknowledgedAt": now}
        try:
            desk.store.replace(CONTAINER, changed, etag=document.etag)
        except Conflict:
            continue
        return changed
