"""Operations for people who look into something: audit, alerts, dead letters, configuration."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from functions.openapi.operation import (
    PAGE,
    Continuation,
    Day,
    Millis,
    Operation,
    Parameter,
    Shape,
    When,
)
from functions.records import Seen, VerifyRequest
from shared.audit.record import AuditRecord
from shared.audit.verify import Problem
from shared.market.instrument import Instrument
from shared.operations.configured import Configured


class ChainEnd(Shape):
    """The last record of the audit chain: kept elsewhere it proves that nothing was rewritten."""

    seq: int
    day: str
    hash: str


class AuditPage(Shape):
    day: Day
    records: list[AuditRecord]
    continuation: Continuation
    head: ChainEnd | None


class AuditVerified(Shape):
    """``found`` counts all problems; the first hundred are named."""

    ok: bool
    account: str
    records: int
    last_seq: int
    last_day: str
    last_hash: str
    found: int
    problems: list[Problem]


class AlertRow(Shape):
    """An alert; ``raised`` until every channel that is due has taken it.

    ``sent`` names those that have, where there are others than the Logic App; ``escalated`` counts
    the steps of its escalation.
    """

    id: str
    account: str
    severity: Literal["info", "warning", "critical"]
    kind: str
    title: str
    text: str
    time: When
    correlation: str
    url: str
    state: Literal["raised", "delivered", "stored"]
    sent: list[str] | msgspec.UnsetType = msgspec.UNSET
    escalated: int | msgspec.UnsetType = msgspec.UNSET
    escalated_at: Millis | msgspec.UnsetType = msgspec.UNSET
    acknowledged_by: str | msgspec.UnsetType = msgspec.UNSET
    acknowledged_at: Millis | msgspec.UnsetType = msgspec.UNSET
    note: str | msgspec.UnsetType = msgspec.UNSET


class Alerts(Shape):
    alerts: list[AlertRow]
    continuation: Continuation


class DeadLetter(Shape):
    """An event that could not be processed; ``body`` is base64."""

    id: str
    source: str
    reason: str
    body: str
    sequence_number: int
    time: When


class DeadLetters(Shape):
    dead_letters: list[DeadLetter]
    continuation: Continuation


class Instruments(Shape):
    instruments: list[Instrument]
    not_listed: list[str]


class Reconciled(Shape):
    """What was compared; every difference was corrected, the exchange being right."""

    positions: int
    open_orders: int
    differences: list[str]


class Connection(Shape):
    """What a SignalR client connects with."""

    url: str
    access_token: str


OPERATIONS = (
    Operation(
        function="list_audit",
        method="GET",
        route="audit",
        summary="Audit records of one UTC day in the order of the chain, and the chain's end",
        answers={200: AuditPage},
        query=(
            Parameter("day", Day, "today where it is left out"),
            Parameter("kind", str, "only records of one kind"),
            Parameter("correlation", str, "only those of one decision"),
            *PAGE,
        ),
        errors=(400,),
    ),
    Operation(
        function="verify_audit",
        method="POST",
        route="audit/verify",
        summary="Check the hash chain: what was appended since the last time, or all of it",
        body=VerifyRequest,
        body_required=False,
        answers={200: AuditVerified},
        errors=(429,),
    ),
    Operation(
        function="list_alerts",
        method="GET",
        route="alerts",
        summary="Alerts, newest first",
        answers={200: Alerts},
        query=(
            Parameter("severity", Literal["info", "warning", "critical"], "only these"),
            Parameter("state", Literal["raised", "delivered", "stored"], "only these"),
            Parameter("kind", str, "only these"),
            *PAGE,
        ),
        errors=(400,),
    ),
    Operation(
        function="acknowledge_alert",
        method="POST",
        route="alerts/{id}/acknowledge",
        summary="Somebody has seen it: it is not escalated any further",
        body=Seen,
        answers={200: AlertRow},
        errors=(404, 409),
    ),
    Operation(
        function="list_dead_letters",
        method="GET",
        route="dead-letters",
        summary="Events that could not be processed, newest first",
        answers={200: DeadLetters},
        query=(
            Parameter(
                "source",
                Literal["market", "executions", "risk", "compliance"],
                "of one hub; without it the newest of all",
            ),
            *PAGE,
        ),
        errors=(400,),
    ),
    Operation(
        function="config",
        method="GET",
        route="config",
        summary="Settings, limits and stage in force and the versions that run; no secret",
        answers={200: Configured},
    ),
    Operation(
        function="instruments",
        method="GET",
        route="instruments",
        summary="The contracts that are traded, with the exchange's filters",
        answers={200: Instruments},
        errors=(502,),
    ),
    Operation(
        function="reconcile_now",
        method="POST",
        route="reconcile",
        summary="Compare our book with the exchange's now",
        answers={200: Reconciled},
        errors=(429, 502),
    ),
    Operation(
        function="incident_bundle",
        method="GET",
        route="incidents",
        summary="One zip file with everything about a stretch of time, at most 31 days",
        answers={200: "application/zip"},
        query=(
            Parameter("since", str, "a date or time, UTC; a day before the end where left out"),
            Parameter("until", str, "a date or time, UTC; now where it is left out"),
        ),
        errors=(400, 429),
    ),
    Operation(
        function="openapi",
        method="GET",
        route="openapi.json",
        summary="This description",
        answers={200: dict[str, Any], 304: None},
    ),
    Operation(
        function="ui",
        method="GET",
        route="ui/{file?}",
        summary="The dashboard and its files; no figure is in them",
        answers={200: "*/*", 304: None, 404: None},
        key=False,
    ),
    Operation(
        function="negotiate",
        method="POST",
        route="negotiate",
        summary="Address and token for one connection to the SignalR hub of the dashboard",
        answers={200: Connection},
    ),
)
