"""Consumers of executions, risk alerts and compliance events."""

import json
import logging
from typing import Any

import azure.functions as func

from functions import deadletter
from functions.annotations import EventBatch
from functions.durable import df
from functions.outputs import CONNECTION, shows, signalr
from shared.bootstrap import services

bp = df.Blueprint()


def _object(body: bytes) -> dict[str, Any]:
    event = json.loads(body)
    if not isinstance(event, dict) or not isinstance(event.get("id"), str):
        raise ValueError("the event is not an object with an id")
    return event


@bp.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="executions",
    connection=CONNECTION,
    consumer_group="recorder",
    cardinality=func.Cardinality.MANY,
)
@shows(bp)
def on_execution(events: EventBatch, dashboard: func.Out[str]) -> None:
    """Show openings and closed trades on the dashboard."""
    shown = deadletter.each("executions", events, _object)
    if shown:
        dashboard.set("[" + ",".join(signalr("execution", e) for e in shown) + "]")


@bp.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="risk",
    connection=CONNECTION,
    consumer_group="responder",
    cardinality=func.Cardinality.MANY,
)
@shows(bp)
def on_risk_alert(events: EventBatch, dashboard: func.Out[str]) -> None:
    """Deliver alerts to people, once each."""
    shown = deadletter.each("risk", events, _deliver)
    messages = [signalr("alert", alert) for alert in shown if alert is not None]
    if messages:
        dashboard.set("[" + ",".join(messages) + "]")


def _deliver(body: bytes) -> dict[str, Any] | None:
    from shared.alerts.delivery import deliver
    from shared.errors import StoreUnavailable

    try:
        return deliver(services(), _object(body))
    except StoreUnavailable as error:
        # Not poison: the alert stays raised, and the guardian sends it again within minutes.
        logging.getLogger("borsa.alerts").error("%s", error)
        return None


@bp.event_hub_message_trigger(
    arg_name="events",
    event_hub_name="compliance",
    connection=CONNECTION,
    consumer_group="monitor",
    cardinality=func.Cardinality.MANY,
)
def on_compliance_event(events: EventBatch) -> None:
    """Keep compliance events as violations."""
    from shared.compliance.violations import keep

    deadletter.each("compliance", events, lambda body: keep(services().desk(), _object(body)))
