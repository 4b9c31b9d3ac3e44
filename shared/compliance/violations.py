"""The violation tracker: what compliance noticed, kept until a person has looked."""

from __future__ import annotations

from typing import Any

from shared.errors import AlreadyExists, InvalidInput
from shared.execution.desk import Desk

CONTAINER = "violations"


def keep(desk: Desk, event: dict[str, Any]) -> bool:
    """Store a compliance event once; ``False`` when it was there.

    Raises
    ------
    InvalidInput
        When the event does not say what happened.
    """
    if not isinstance(event.get("kind"), str) or not isinstance(event.get("text"), str):
        raise InvalidInput("a compliance event needs kind and text")
    body = {
        "id": str(event["id"])[:200],
        "account": desk.account,
        "kind": event["kind"][:100],
        "symbol": str(event.get("symbol", ""))[:20],
        "text": event["text"][:2000],
        "time": event.get("time") if isinstance(event.get("time"), int) else desk.clock.now_ms(),
        "state": "open",
    }
    desk.note("violation", body, correlation=body["id"])
    try:
        desk.store.create(CONTAINER, body)
    except AlreadyExists:
        return False
    return True
