"""Poison events: kept with the reason, so that the rest of the batch goes on."""

import base64
import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterable
from typing import Any

import azure.functions as func

from shared.clock import iso
from shared.errors import AlreadyExists, BorsaError

Process = Callable[[bytes], Any]


def each(source: str, events: Iterable[func.EventHubEvent], process: Process) -> list[Any]:
    """Process every event; one that fails is dead-lettered and the next one goes on.

    The checkpoint moves on even when a function fails, so nothing may be left to a retry.
    """
    results: list[Any] = []
    for event in events:
        body = event.get_body()
        try:
            results.append(process(body))
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest of the batch goes on
            _bury_or_log(source, body, event, error)
    return results


def _bury_or_log(source: str, body: bytes, event: func.EventHubEvent, error: Exception) -> None:
    try:
        bury(source, body, event, error)
    except BorsaError:
        # Not even the grave can be had: what is left is the log, with the event itself.
        logging.getLogger("borsa").exception(
            "event on %s neither processed (%r) nor stored: %r", source, error, body[:65_536]
        )


def bury(source: str, body: bytes, event: func.EventHubEvent, error: Exception) -> None:
    """Store a poison event with the reason and raise an alert for it."""
    from shared.bootstrap import services

    desk = services().desk()
    digest = hashlib.sha256(body).hexdigest()[:32]
    reason = f"{type(error).__name__}: {error}"
    logging.getLogger("borsa").error("event on %s not processed: %s", source, reason)
    with contextlib.suppress(AlreadyExists):
        desk.store.create(
            "deadletter",
            {
                "id": f"{event.sequence_number}-{digest}",
                "source": source,
                "reason": reason[:2000],
                "body": base64.b64encode(body[:65_536]).decode(),
                "sequenceNumber": event.sequence_number,
                "time": iso(desk.clock.now_ms()),
            },
        )
    desk.note("incident", {"source": source, "event": digest, "reason": reason}, correlation=digest)
    desk.alert(
        "warning",
        "dead-letter",
        f"An event on {source} could not be processed",
        f"{reason[:500]}. It is kept in the dead-letter container, with all that follow this hour.",
        correlation=source,
        once=str(desk.clock.now_ms() // 3_600_000),
    )
