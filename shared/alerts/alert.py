"""Alerts: one payload for the event hub, the Logic App, the dashboard and the store."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from shared.clock import iso
from shared.errors import AlreadyExists
from shared.storage.store import Store

Severity = Literal["info", "warning", "critical"]

#: States in which nothing is left to send: somebody was told, or there is no channel to tell by.
OVER = ("delivered", "stored")


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something a person should know.

    ``id`` is derived from what happened, so that the same event never alerts twice;
    ``correlation`` is the decision or order it belongs to; ``time`` is ISO 8601 UTC.
    """

    id: str
    account: str
    severity: Severity
    kind: str
    title: str
    text: str
    time: str
    correlation: str
    url: str = ""


def make(
    account: str,
    *,
    severity: Severity,
    kind: str,
    title: str,
    text: str,
    now_ms: int,
    correlation: str,
    once: str = "",
) -> Alert:
    """An alert whose id depends on kind, correlation and ``once`` only."""
    key = hashlib.sha256(f"{account}|{kind}|{correlation}|{once}".encode()).hexdigest()[:24]
    return Alert(
        id=f"{kind}-{key}",
        account=account,
        severity=severity,
        kind=kind,
        title=title,
        text=text,
        time=iso(now_ms),
        correlation=correlation,
    )


def save(store: Store, alert: Alert) -> bool:
    """Store an alert as raised; ``False`` when the same one was raised before."""
    body = msgspec.to_builtins(alert)
    body["state"] = "raised"
    try:
        store.create("alerts", body)
    except AlreadyExists:
        return False
    return True
