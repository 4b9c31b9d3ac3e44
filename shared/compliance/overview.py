"""The compliance monitor in short: how far it has looked, what is open, what is restricted."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.clock import iso
from shared.compliance import calendar, surveillance, violations
from shared.compliance.rules import RULES, Thresholds
from shared.execution.desk import Desk


def overview(desk: Desk) -> dict[str, Any]:
    """What ``GET /api/compliance`` answers; asks nothing of the exchange."""
    now = desk.clock.now_ms()
    cursor = surveillance.cursor(desk)
    events = calendar.read(desk)
    return {
        "scannedTo": None if cursor is None else iso(cursor.scanned_to),
        "scannedAt": None if cursor is None else iso(cursor.scanned_at),
        "notClosed": violations.severity_counts(desk),
        "blocking": [id_ for id_, _ in violations.blocking(desk)],
        "restrictedNow": [
            {"symbol": e.symbol, "event": e.id, "title": e.title, "until": iso(e.ends_at)}
            for e in events
            if e.starts_at <= now <= e.ends_at
        ],
        "rules": list(RULES.values()),
        "thresholds": msgspec.to_builtins(Thresholds()),
    }
