"""Delivering alerts: to the Logic App over HTTPS, which sends e-mail and Telegram."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from shared.alerts.alert import Alert
from shared.errors import Conflict, InvalidInput, StoreUnavailable

if TYPE_CHECKING:
    from shared.bootstrap import Services

#: Seconds for connecting and for the answer.
TIMEOUT = (3.0, 10.0)


def deliver(services: Services, event: dict[str, Any]) -> dict[str, Any] | None:
    """Deliver an alert that was raised, once; ``None`` when it was delivered before.

    Raises
    ------
    InvalidInput
        When the event is not an alert.
    StoreUnavailable
        When the Logic App did not take it; the alert stays ``raised`` and is sent again.
    """
    try:
        alert = msgspec.convert(event, Alert)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"not an alert: {error}") from error
    store = services.store
    found = store.get("alerts", alert.account, alert.id)
    if found is not None and found.body.get("state") == "delivered":
        return None
    send(services, alert)
    if found is not None:
        try:
            store.replace("alerts", {**found.body, "state": "delivered"}, etag=found.etag)
        except Conflict:
            # Another delivery of the same event finished meanwhile.
            return None
    return event


def send(services: Services, alert: Alert) -> None:
    """Post the alert to the Logic App; without one it is only logged."""
    settings = services.for_exits().settings
    logging.getLogger("borsa.alerts").warning("%s: %s", alert.title, alert.text)
    if not settings.alert_url:
        return
    import requests

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
    try:
        answer = requests.post(
            settings.alert_url,
            data=msgspec.json.encode(alert),
            headers=headers,
            timeout=TIMEOUT,
        )
    except requests.RequestException as error:
        # The address carries no secret (Entra token instead), but say only what is needed.
        raise StoreUnavailable(f"alert not delivered: {type(error).__name__}") from None
    if answer.status_code >= 300:
        raise StoreUnavailable(f"alert not delivered: HTTP {answer.status_code}")
