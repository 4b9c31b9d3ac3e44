"""Alerts that were raised but never delivered are sent again."""

from __future__ import annotations

from shared.alerts.alert import Alert
from shared.clock import iso
from shared.execution.desk import Desk
from shared.storage.store import Where

#: An alert normally arrives within seconds; after this long it is sent again.
AFTER_MS = 90_000


def resend(desk: Desk, limit: int = 50) -> int:
    """Put undelivered alerts into the outbox once more; returns how many."""
    before = iso(desk.clock.now_ms() - AFTER_MS)
    page = desk.store.query(
        "alerts",
        desk.account,
        where=[Where("state", "=", "raised"), Where("time", "<", before)],
        order_by="time",
        limit=limit,
    )
    for document in page.documents:
        body = document.body
        # The alert alone: what became of it is read where it is delivered.
        desk.outbox.risk.append({k: body[k] for k in Alert.__struct_fields__ if k in body})
    return len(page.documents)
