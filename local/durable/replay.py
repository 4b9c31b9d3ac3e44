"""What the extension does with the SDK's answer: turn actions into decisions.

The SDK returns, on every replay, all actions since the start of the generation. The extension
runs them again from the top against the history: each action takes the next sequence number when
it is reached, waits for what it started, and only then is the next reached. What is started here
and not yet in the history is a new decision. Number, type and name must agree with the history;
otherwise the orchestrator changed under a running instance.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local.durable.history import COMPLETES, SCHEDULING, Event, Kind, compact, event

HTTP_ACTIVITY = "BuiltIn::HttpActivity"
MAX_TIMER = timedelta(days=6)
_NOUN = {
    Kind.TASK_SCHEDULED: "an activity task",
    Kind.SUB_CREATED: "a sub-orchestration task",
    Kind.TIMER_CREATED: "a timer task",
    Kind.EVENT_SENT: "a send event task",
}
_HINT = (
    "Was a change made to the orchestrator code after this instance had already started running?"
)


class NonDeterministic(Exception):
    """The actions of this replay contradict the history."""


class OrchestrationFailed(Exception):
    """The extension itself refuses what the orchestrator asked for."""


@dataclass
class Decision:
    """Something newly scheduled: its history event and what carrying it out needs."""

    event: Event
    input: str | None = None
    cancelled: bool = False
    operation: Event | None = None
    """Entity operation message, for calls and signals."""


@dataclass
class Outcome:
    """What one replay came to."""

    decisions: list[Decision] = field(default_factory=list)
    finished: bool = False
    """The orchestrator ended and nothing that must be waited for is open."""
    continue_as_new: str | None = None
    carried: list[Event] = field(default_factory=list)
    cancelled_timers: list[int] = field(default_factory=list)
    next_id: int = 0
    terminated: str | None = None


class _Task:
    """Something awaited; ``failed`` only matters to retries."""

    __slots__ = ("_then", "done", "failed")

    def __init__(self, done: bool = False) -> None:
        self.done = done
        self.failed = False
        self._then: list[Callable[[], None]] = []

    def then(self, callback: Callable[[], None]) -> None:
        if self.done:
            callback()
        else:
            self._then.append(callback)

    def settle(self, failed: bool = False) -> None:
        if self.done:
            return
        self.done = True
        self.failed = failed
        callbacks, self._then = self._then, []
        for callback in callbacks:
            callback()


class Replay:
    """One pass of the actions over the history.

    Parameters
    ----------
    events : list of dict
        The whole history of this execution, the current episode's messages included.
    answer : dict
        The SDK's orchestrator state (``isDone``, ``actions``, ``error``).
    now_ms : int
        Time of the current episode.
    exists : callable
        ``exists("activity" | "orchestrator" | "entity", name)``.
    """

    def __init__(
        self,
        events: list[Event],
        answer: dict[str, Any],
        now_ms: int,
        exists: Callable[[str, str], bool],
    ) -> None:
        self._events = events
        self._actions: list[dict[str, Any]] = [a for group in answer["actions"] for a in group]
        self._ended = bool(answer["isDone"]) or bool(answer.get("error"))
        self._now_ms = now_ms
        self._exists = exists
        started = next(e for e in events if e["EventType"] == Kind.EXECUTION_STARTED)
        self._instance_id: str = started["OrchestrationInstance"]["InstanceId"]
        self._execution_id: str = started["OrchestrationInstance"]["ExecutionId"]
        self._time = started["Timestamp"]
        self._next_id = 0
        self._position = 0
        self._sequence_over = False
        self._new: dict[int, Decision] = {}
        self._open: dict[int, _Task] = {}
        self._waiting: dict[str, list[_Task]] = defaultdict(list)
        self._buffered: dict[str, int] = defaultdict(int)
        self._held: list[Event] | None = None
        self._entity_predecessor: dict[str, str] = {}
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Raises `NonDeterministic` or `OrchestrationFailed` where the instance must fail."""
        for item in self._events:
            self._process(item)
            if self._outcome.terminated is not None:
                break
        outcome = self._outcome
        outcome.decisions = [self._new[i] for i in sorted(self._new)]
        outcome.next_id = self._next_id
        outcome.finished = self._sequence_over and self._ended and not self._open
        return outcome

    # ------------------------------------------------------------------ history

    def _process(self, item: Event) -> None:
        kind = item["EventType"]
        if kind == Kind.ORCHESTRATOR_STARTED:
            self._time = item["Timestamp"]
        elif kind == Kind.EXECUTION_TERMINATED:
            self._outcome.terminated = item["Input"]
        elif kind == Kind.EXECUTION_RESUMED:
            held, self._held = self._held or [], None
            for later in held:
                self._process(later)
        elif self._held is not None:
            self._held.append(item)
        elif kind == Kind.EXECUTION_SUSPENDED:
            self._held = []
        elif kind == Kind.EXECUTION_STARTED:
            self._advance()
        elif kind in SCHEDULING:
            self._confirm(item)
        elif kind in COMPLETES:
            task = self._open.pop(item[COMPLETES[Kind(kind)]], None)
            if task is not None:
                task.settle(failed=kind in (Kind.TASK_FAILED, Kind.SUB_FAILED))
        elif kind == Kind.EVENT_RAISED:
            self._raised(item)

    def _raised(self, item: Event) -> None:
        if self._outcome.continue_as_new is not None:
            self._outcome.carried.append(item)
            return
        name = item["Name"].lower()
        if self._waiting[name]:
            # The latest wait of a name is served first, in the extension as in the SDK.
            self._waiting[name].pop().settle()
        else:
            self._buffered[name] += 1

    def _confirm(self, item: Event) -> None:
        number, kind = item["EventId"], Kind(item["EventType"])
        name = item.get("Name")
        named = f" named '{name}'" if name else ""
        decision = self._new.pop(number, None)
        if decision is None:
            raise NonDeterministic(
                "Non-Deterministic workflow detected: A previous execution of this orchestration "
                f"scheduled {_NOUN[kind]} with sequence ID {number}{named}, but the current "
                f"replay execution hasn't (yet?) scheduled this task. {_HINT}"
            )
        now_kind = Kind(decision.event["EventType"])
        now_name = decision.event.get("Name")
        if now_kind is not kind or (name or "").lower() != (now_name or "").lower():
            now_named = f" named '{now_name}'" if now_name else ""
            raise NonDeterministic(
                "Non-Deterministic workflow detected: A previous execution of this orchestration "
                f"scheduled {_NOUN[kind]} with sequence number {number}{named}, but the current "
                f"orchestration replay instead scheduled {_NOUN[now_kind]}{now_named} with this "
                f"sequence number.  {_HINT}"
            )
        if kind is Kind.TIMER_CREATED and decision.cancelled:
            self._outcome.cancelled_timers.append(number)

    # ------------------------------------------------------------------ actions

    def _advance(self) -> None:
        while self._position < len(self._actions):
            task = self._start(self._actions[self._position])
            self._position += 1
            if not task.done:
                task.then(self._advance)
                return
        self._sequence_over = True

    def _start(self, action: dict[str, Any]) -> _Task:
        kind = action["actionType"]
        if kind in (0, 1, 2, 3):
            return self._call(action)
        if kind == 4:
            self._outcome.continue_as_new = action["input"]
            return _Task(done=True)
        if kind == 5:
            return self._timer(_parse(action["fireAt"]), action["fireAt"], action["isCanceled"])
        if kind == 6:
            return self._wait(action["externalEventName"].lower())
        if kind in (7, 9):
            return self._entity(action, signal=kind == 9)
        if kind == 8:
            return self._activity(HTTP_ACTIVITY, compact(action["httpRequest"]))
        if kind in (11, 12):
            return self._compound(action["compoundActions"], need_all=kind == 12)
        raise OrchestrationFailed(f"Action type {kind} is not supported.")

    def _call(self, action: dict[str, Any]) -> _Task:
        name = action["functionName"]
        sub = action["actionType"] in (2, 3)
        if not self._exists("orchestrator" if sub else "activity", name):
            # The extension's "does not exist" error is swallowed like any other exception of an
            # action, so the SDK waits for a completion that never comes.
            return _Task(done=True)

        def attempt() -> _Task:
            if sub:
                return self._sub_orchestration(action)
            return self._activity(name, action["input"])

        options = action.get("retryOptions")
        return attempt() if options is None else self._retried(attempt, options)

    def _retried(self, attempt: Callable[[], _Task], options: dict[str, Any]) -> _Task:
        whole = _Task()
        interval = float(options["firstRetryIntervalInMilliseconds"])
        factor = float(options.get("backoffCoefficient") or 1)
        ceiling = options.get("maxRetryIntervalInMilliseconds")
        attempts = int(options["maxNumberOfAttempts"])
        made = 0

        def begin() -> None:
            nonlocal made
            made += 1
            task = attempt()
            task.then(lambda: ended(task))

        def ended(task: _Task) -> None:
            if not task.failed:
                whole.settle()
            elif made >= attempts:
                # Also the last failure is followed by a timer, due at once.
                self._delay(0).then(lambda: whole.settle(failed=True))
            else:
                wait = interval * factor ** (made - 1)
                if ceiling is not None:
                    wait = min(wait, float(ceiling))
                self._delay(wait).then(begin)

        begin()
        return whole

    def _delay(self, milliseconds: float) -> _Task:
        due = _parse(self._time) + timedelta(milliseconds=milliseconds)
        return self._timer(due, _text(due), cancelled=False)

    def _take_id(self) -> int:
        number = self._next_id
        self._next_id += 1
        return number

    def _schedule(self, number: int, decision: Decision) -> _Task:
        self._new[number] = decision
        task = _Task()
        self._open[number] = task
        return task

    def _activity(self, name: str, input_: str) -> _Task:
        number = self._take_id()
        scheduled = event(
            Kind.TASK_SCHEDULED,
            self._now_ms,
            number,
            Name=name,
            Version="",
            Input=None,
            ParentTraceContext=None,
            Tags=None,
        )
        return self._schedule(number, Decision(scheduled, input_))

    def _sub_orchestration(self, action: dict[str, Any]) -> _Task:
        number = self._take_id()
        created = event(
            Kind.SUB_CREATED,
            self._now_ms,
            number,
            Name=action["functionName"],
            Version=action.get("version"),
            InstanceId=action.get("instanceId") or f"{self._execution_id}:{number}",
            Input=None,
            ClientSpanId=None,
            Tags=None,
        )
        return self._schedule(number, Decision(created, action["input"]))

    def _timer(self, due: datetime, text: str, cancelled: bool) -> _Task:
        number = self._take_id()
        if due - _parse(self._time) > MAX_TIMER:
            raise OrchestrationFailed(
                "The Azure Storage provider supports a maximum of 6 days for time-based delays "
                "(Parameter 'fireAt')"
            )
        created = event(Kind.TIMER_CREATED, self._now_ms, number, FireAt=text)
        task = self._schedule(number, Decision(created, cancelled=cancelled))
        if cancelled:
            del self._open[number]
            task.settle()
        return task

    def _wait(self, name: str) -> _Task:
        if self._buffered[name]:
            self._buffered[name] -= 1
            return _Task(done=True)
        task = _Task()
        self._waiting[name].append(task)
        return task

    def _entity(self, action: dict[str, Any], *, signal: bool) -> _Task:
        target: str = action["instanceId"]
        if not self._exists("entity", target.split("@", 2)[1]):
            return _Task(done=True)
        number = self._take_id()
        request_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._execution_id}:{number}"))
        message: Event = {
            "$type": "Microsoft.Azure.WebJobs.Extensions.DurableTask.RequestMessage, "
            "Microsoft.Azure.WebJobs.Extensions.DurableTask",
            "op": action["operation"],
        }
        if signal:
            message["signal"] = True
        message |= {
            # Encoded twice: the SDK's text is itself put into a JSON string.
            "input": compact(action["input"]),
            "id": request_id,
            "parent": self._instance_id,
            "parentExecution": self._execution_id,
            "Timestamp": self._time,
            "Predecessor": self._entity_predecessor.get(target, "0001-01-01T00:00:00"),
            "requestTime": self._time.replace("Z", "+00:00"),
        }
        self._entity_predecessor[target] = self._time
        sent = event(
            Kind.EVENT_SENT,
            self._now_ms,
            number,
            InstanceId=target,
            Name="op",
            Input=compact(message),
        )
        self._new[number] = Decision(sent, operation=message)
        return _Task(done=True) if signal else self._wait(request_id)

    def _compound(self, actions: list[dict[str, Any]], *, need_all: bool) -> _Task:
        whole = _Task()
        children = [self._start(action) for action in actions]
        remaining = sum(not child.done for child in children)
        if remaining == 0 or (not need_all and remaining < len(children)):
            whole.settle()

        def child_ended() -> None:
            nonlocal remaining
            remaining -= 1
            if not need_all or remaining == 0:
                whole.settle()

        for child in children:
            if not child.done:
                child.then(child_ended)
        return whole


def _parse(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def due_ms(fire_at: str) -> int:
    """First whole millisecond at or after a timer's time, so that it never fires early."""
    since = _parse(fire_at) - datetime(1970, 1, 1, tzinfo=UTC)
    return -((-since) // timedelta(milliseconds=1))
