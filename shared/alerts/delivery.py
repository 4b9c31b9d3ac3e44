"""Delivering alerts: to the Logic App over HTTPS, which sends e-mail and Telegram, and through
whatever other channels are configured. Only the consumer of the hub ``risk`` comes here: nothing on
the way of an order waits for a channel."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from shared.alerts import channels
from shared.alerts.alert import OVER, Alert
from shared.alerts.posting import post
from shared.errors import BorsaError, Conflict, InvalidInput, StoreUnavailable

if TYPE_CHECKING:
    from shared.bootstrap import Services
    from shared.storage.store import Document, Store


def deliver(services: Services, event: dict[str, Any]) -> dict[str, Any] | None:
    """Deliver an alert that was raised, once; ``None`` when it was delivered before.

    Raises
    ------
    InvalidInput
        When the event is not an alert.
    StoreUnavailable
        When a channel did not take it; the alert stays ``raised`` and is sent again, through those
        channels alone that have not taken it.
    """
    try:
        alert = msgspec.convert(event, Alert)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"not an alert: {error}") from error
    store = services.store
    found = store.get("alerts", alert.account, alert.id)
    body: dict[str, Any] = {} if found is None else found.body
    if body.get("state") in OVER:
        return None
    sent, troubles = _send_due(services, alert, body)
    told = services.for_exits().settings.alert_url or {*body.get("sent", ()), *sent} - {"logic-app"}
    over = "" if troubles else "delivered" if told else "stored"
    if found is not None and not _remember(store, found, sent, over):
        # Another delivery of the same event finished meanwhile.
        return None
    if troubles:
        raise StoreUnavailable("; ".join(troubles))
    # One that was only escalated has been shown already.
    return None if "logic-app" in body.get("sent", ()) else event


def _send_due(
    services: Services, alert: Alert, body: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Send through every channel that has not taken the alert yet; those that have now, and what
    went wrong with the others. A channel that fails holds no other up."""
    settings = services.for_exits().settings
    due = ["logic-app"]
    # What can wait goes to no channel, but a drill has to show that those of a stop work.
    if alert.severity != "info" or alert.kind == "drill":
        due += settings.alert_channels
    if "acknowledgedAt" not in body:
        due += settings.alert_escalation[: body.get("escalated", 0)]
    sent, troubles = [], []
    for channel in dict.fromkeys(due):
        if channel in body.get("sent", ()):
            continue
        try:
            if channel == "logic-app":
                send(services, alert)
            else:
                channels.send(channel, alert, services.for_exits().secrets)
        except BorsaError as error:
            troubles.append(str(error))
            continue
        except Exception as error:  # noqa: BLE001 - a vault or a token service that is away
            # Its text may have an address.
            troubles.append(f"{channel}: not delivered: {type(error).__name__}")
            continue
        sent.append(channel)
    return sent, troubles


def _remember(store: Store, found: Document, sent: Sequence[str], over: str) -> bool:
    """Note which channels took an alert; ``False`` where somebody else has noted as much.

    ``over`` is the state it has come to, empty while a channel has not taken it.
    What changed meanwhile stays: an acknowledgement, or what another delivery has sent.
    """
    while True:
        known = found.body
        before = known.get("sent", ["logic-app"] if known.get("state") in OVER else [])
        if known.get("state") in OVER and set(sent) <= set(before):
            return False
        taken = list(dict.fromkeys([*before, *sent]))
        changed = {**known, "state": over or known["state"]}
        if taken and (not over or taken != ["logic-app"]):
            changed["sent"] = taken
        if changed == known:
            return True
        try:
            store.replace("alerts", changed, etag=found.etag)
            return True
        except Conflict:
            again = store.get("alerts", known["account"], known["id"])
            if again is None:
                return False
            found = again


def send(services: Services, alert: Alert) -> None:
    """Post the alert to the Logic App; without one it is only logged."""
    settings = services.for_exits().settings
    logging.getLogger("borsa.alerts").warning("%s: %s", alert.title, alert.text)
    if not settings.alert_url:
        return
    headers = {"Content-Type": "application/json"}
    if settings.alert_audience:
        from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

        credential = (
            ManagedIdentityCredential(client_id=settings.azure_client_id)
            if settings.azure_client_id
            else DefaultAzureCredential()
        )
        token = credential.get_token(f"{settings.alert_audience.rstrip('/')}/.default").token
        headers["Authorization"] = f"Bearer {token}"
    post("alert", settings.alert_url, data=msgspec.json.encode(alert), headers=headers)
