"""History events of an orchestration in the extension's JSON shape.

Events are plain dictionaries with PascalCase keys because exactly this JSON is what the SDK
replays. Shapes and key order follow recordings of Durable Task extension 3.14.
"""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any

from shared.clock import iso

Event = dict[str, Any]


class Kind(IntEnum):
    """``EventType`` numbers of the Durable Task framework."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_CREATED = 7
    SUB_COMPLETED = 8
    SUB_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_SENT = 14
    EVENT_RAISED = 15
    GENERIC = 17
    EXECUTION_SUSPENDED = 19
    EXECUTION_RESUMED = 20


SCHEDULING = frozenset({Kind.TASK_SCHEDULED, Kind.SUB_CREATED, Kind.TIMER_CREATED, Kind.EVENT_SENT})

#: Completion event -> the field that names what it completes.
COMPLETES = {
    Kind.TASK_COMPLETED: "TaskScheduledId",
    Kind.TASK_FAILED: "TaskScheduledId",
    Kind.SUB_COMPLETED: "TaskScheduledId",
    Kind.SUB_FAILED: "TaskScheduledId",
    Kind.TIMER_FIRED: "TimerId",
}

#: Never marked played, as recorded: what the orchestrator did, not what happened to it.
_NEVER_PLAYED = SCHEDULING | {
    Kind.ORCHESTRATOR_STARTED,
    Kind.ORCHESTRATOR_COMPLETED,
    Kind.EXECUTION_COMPLETED,
}

_HTTP_NAMES = {
    Kind.EXECUTION_STARTED: "ExecutionStarted",
    Kind.EXECUTION_COMPLETED: "ExecutionCompleted",
    Kind.EXECUTION_TERMINATED: "ExecutionTerminated",
    Kind.TASK_COMPLETED: "TaskCompleted",
    Kind.TASK_FAILED: "TaskFailed",
    Kind.SUB_COMPLETED: "SubOrchestrationInstanceCompleted",
    Kind.SUB_FAILED: "SubOrchestrationInstanceFailed",
    Kind.TIMER_CREATED: "TimerCreated",
    Kind.TIMER_FIRED: "TimerFired",
    Kind.EVENT_SENT: "EventSent",
    Kind.EVENT_RAISED: "EventRaised",
    Kind.GENERIC: "GenericEvent",
    Kind.EXECUTION_SUSPENDED: "ExecutionSuspended",
    Kind.EXECUTION_RESUMED: "ExecutionResumed",
}

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def compact(value: Any) -> str:
    """JSON text without spaces and with plain Unicode, as the extension writes it."""
    return _encoder.encode(value)


def normalised(text: str) -> str:
    """The same JSON value in compact form; text that is no JSON becomes a JSON string."""
    try:
        return compact(json.loads(text))
    except ValueError:
        return compact(text)


def event(kind: Kind, now_ms: int, event_id: int = -1, **fields: Any) -> Event:
    """One history event; ``fields`` are the type's own keys."""
    return {
        "EventType": int(kind),
        **fields,
        "EventId": event_id,
        "IsPlayed": False,
        "Timestamp": iso(now_ms),
    }


def execution_started(
    now_ms: int,
    *,
    name: str,
    instance_id: str,
    execution_id: str,
    input_json: str | None,
    version: str | None = None,
    parent: Event | None = None,
    generation: int | None = None,
) -> Event:
    """The event that begins an execution; ``generation`` is 0 only where a client began it."""
    return {
        "OrchestrationInstance": {"InstanceId": instance_id, "ExecutionId": execution_id},
        "EventType": int(Kind.EXECUTION_STARTED),
        "ParentInstance": parent,
        "Name": name,
        "Version": version,
        "Input": input_json,
        "Tags": None,
        "Correlation": None,
        "ParentTraceContext": None,
        "ScheduledStartTime": None,
        "Generation": generation,
        "GenerateNewTrace": False,
        "EventId": -1,
        "IsPlayed": False,
        "Timestamp": iso(now_ms),
    }


def played(item: Event) -> Event:
    """The event as later replays show it."""
    return item if item["EventType"] in _NEVER_PLAYED else {**item, "IsPlayed": True}


def open_tasks(events: list[Event]) -> dict[int, Kind]:
    """Ids that were scheduled and have no completion yet, with what they are."""
    pending: dict[int, Kind] = {}
    for item in events:
        kind = item["EventType"]
        if kind in SCHEDULING and kind != Kind.EVENT_SENT:
            pending[item["EventId"]] = Kind(kind)
        elif kind in COMPLETES:
            pending.pop(item[COMPLETES[kind]], None)
    return pending


def _value(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def for_http(events: list[Event], *, with_output: bool) -> list[Event]:
    """History as the management API shows it: completions told with what they completed."""
    scheduled = {item["EventId"]: item for item in events if item["EventType"] in SCHEDULING}
    shown: list[Event] = []
    for item in events:
        kind = item["EventType"]
        if kind not in _HTTP_NAMES:
            continue
        entry = {k: v for k, v in item.items() if k not in ("EventType", "EventId", "IsPlayed")}
        if kind == Kind.EXECUTION_STARTED:
            for key in ("OrchestrationInstance", "ParentInstance", "Version", "Tags"):
                entry.pop(key)
            entry["FunctionName"] = entry.pop("Name")
        elif kind == Kind.EXECUTION_COMPLETED:
            entry["Result"] = _value(entry["Result"])
        elif kind == Kind.TIMER_FIRED:
            entry.pop("TimerId")
        elif kind in COMPLETES:
            cause = scheduled[entry.pop("TaskScheduledId")]
            if "Result" in entry:
                entry["Result"] = _value(entry["Result"])
            entry["ScheduledTime"] = cause["Timestamp"].replace("Z", "+00:00")
            entry["FunctionName"] = cause["Name"]
            entry["Input"] = None
        if not with_output:
            entry.pop("Result", None)
        shown.append({"EventType": _HTTP_NAMES[Kind(kind)], **entry})
    return shown
