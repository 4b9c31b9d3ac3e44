"""Operations of the compliance monitor."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from functions.compliance import Acknowledgement, Loosening
from functions.openapi.operation import (
    PAGE,
    Continuation,
    Millis,
    Operation,
    Parameter,
    Shape,
    When,
)
from shared.compliance.calendar import Event, NewEvent
from shared.compliance.rules import Rule, Thresholds
from shared.compliance.surveillance import Scan


class Restricted(Shape):
    symbol: str
    event: str
    title: str
    until: When


class ComplianceOverview(Shape):
    """How far the history was judged, what is not closed, what is restricted, the rules."""

    scanned_to: When | None
    scanned_at: When | None
    not_closed: dict[str, dict[str, int]]
    blocking: list[str]
    restricted_now: list[Restricted]
    rules: list[Rule]
    thresholds: Thresholds


class Violation(Shape):
    """What compliance noticed, and what people did about it."""

    id: str
    account: str
    kind: str
    severity: Literal["warning", "critical"]
    symbol: str
    text: str
    time: Millis
    evidence: dict[str, Any]
    state: Literal["open", "acknowledged", "closed"]
    acknowledged_by: str | msgspec.UnsetType = msgspec.UNSET
    acknowledged_at: Millis | msgspec.UnsetType = msgspec.UNSET
    note: str | msgspec.UnsetType = msgspec.UNSET
    closed_by: str | msgspec.UnsetType = msgspec.UNSET
    closed_at: Millis | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET


class Violations(Shape):
    violations: list[Violation]
    continuation: Continuation


class Events(Shape):
    events: list[Event]


OPERATIONS = (
    Operation(
        function="compliance_overview",
        method="GET",
        route="compliance",
        summary="How far the account's history was judged, what is open, what is restricted",
        answers={200: ComplianceOverview},
    ),
    Operation(
        function="list_violations",
        method="GET",
        route="compliance/violations",
        summary="Violations, newest first",
        answers={200: Violations},
        query=(
            Parameter("state", Literal["open", "acknowledged", "closed"], "only these"),
            Parameter("symbol", str, "only those of one symbol"),
            *PAGE,
        ),
        errors=(400,),
    ),
    Operation(
        function="get_violation",
        method="GET",
        route="compliance/violations/{id}",
        summary="One violation with its evidence",
        answers={200: Violation},
        errors=(404,),
    ),
    Operation(
        function="acknowledge_violation",
        method="POST",
        route="compliance/violations/{id}/acknowledge",
        summary="Somebody looks into it",
        body=Acknowledgement,
        answers={200: Violation},
        errors=(404, 409),
    ),
    Operation(
        function="close_violation",
        method="POST",
        route="compliance/violations/{id}/close",
        summary="It has been dealt with: a person, a second factor, a reason",
        body=Loosening,
        answers={200: Violation},
        errors=(404, 409, 429),
    ),
    Operation(
        function="list_events",
        method="GET",
        route="compliance/events",
        summary="The calendar of restricted windows",
        answers={200: Events},
    ),
    Operation(
        function="add_event",
        method="POST",
        route="compliance/events",
        summary="Restrict a window around an event",
        body=NewEvent,
        answers={201: Event},
        errors=(409,),
    ),
    Operation(
        function="remove_event",
        method="POST",
        route="compliance/events/{id}/remove",
        summary="Take a window away: a person, a second factor, a reason",
        body=Loosening,
        answers={200: Event},
        errors=(404, 429),
    ),
    Operation(
        function="scan_history",
        method="POST",
        route="compliance/scan",
        summary="Judge a piece of the account's history now, at most 7 days",
        answers={200: Scan},
        query=(
            Parameter("from", str, "a date or time, UTC; required"),
            Parameter("to", str, "a date or time, UTC; 6 minutes ago where it is left out"),
        ),
        errors=(400, 429, 502),
    ),
)
