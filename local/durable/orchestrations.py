"""Episodes: take an instance's messages, replay the orchestrator, write what it decided."""

from __future__ import annotations

import json
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from local.durable.core import Core, Effects
from local.durable.entities import send_operation
from local.durable.history import (
    COMPLETES,
    Event,
    Kind,
    compact,
    event,
    execution_started,
    open_tasks,
    played,
)
from local.durable.replay import (
    Decision,
    NonDeterministic,
    OrchestrationFailed,
    Outcome,
    Replay,
    due_ms,
)
from local.durable.store import Instance, Message

#: Posted to an instance that continued as new: run the new generation, nothing happened yet.
CONTINUE: Event = {"EventType": -1}

_OUT_OF_PROC = "\n\n$OutOfProcData$:"
_MAX_CUSTOM_STATUS = 16 * 1024
_CONSTANT_CONTEXT = (
    ',"upperSchemaVersion":1,"upperSchemaVersionNew":3,'
    '"longRunningTimerIntervalDuration":"3.00:00:00","maximumShortTimerDuration":"6.00:00:00",'
    '"defaultHttpAsyncRequestSleepTimeMillseconds":30000}'
)


@dataclass
class _Execution:
    """A running execution's history, kept between its episodes."""

    execution_id: str
    events: list[Event]
    text: str
    episodes: int


class Orchestrations:
    """Runs episodes, one at a time; keeps recent histories in memory.

    Parameters
    ----------
    core : Core
    cached : int
        How many running instances' histories stay parsed in memory.
    """

    def __init__(self, core: Core, cached: int = 2_000) -> None:
        self._core = core
        self._cached = cached
        self._executions: OrderedDict[str, _Execution] = OrderedDict()

    def forget(self, instance_id: str) -> None:
        """The stored history was changed from outside."""
        self._executions.pop(instance_id, None)

    def episode(self, instance: Instance) -> Effects:
        """Deliver all due messages of an instance.

        Raises
        ------
        StoreUnavailable
            Nothing was written; the episode can be run again.
        """
        store = self._core.store
        now = self._core.clock.now_ms()
        messages = store.messages(instance.instance_id, now)
        execution = self._execution(instance)
        batch = self._deliverable(instance, execution, messages)
        if batch is None:
            with store.transaction():
                store.take(messages)
            return Effects()
        generation_begins = batch == [CONTINUE]
        if generation_begins:
            fresh: list[Event] = []
            history = [{**e, "IsPlayed": False} for e in execution.events]
            text = ",".join(compact(e) for e in history)
            taken = [m for m in messages if m.event == CONTINUE]
        else:
            fresh = [event(Kind.ORCHESTRATOR_STARTED, now), *batch]
            history = execution.events + fresh
            text = ",".join(filter(None, (execution.text, *(compact(e) for e in fresh))))
            taken = messages
        replaying = bool(execution.events) and not generation_begins
        answer = self._ask(instance, history, text, replaying)
        outcome, failure = self._decide(instance, history, answer)
        effects = Effects()
        try:
            with store.transaction():
                store.take(taken)
                self._write(instance, execution, fresh, answer, outcome, failure, effects)
        except BaseException:
            self.forget(instance.instance_id)
            raise
        if len(taken) < len(messages):
            effects.ready.append(instance.instance_id)
        return effects

    # ------------------------------------------------------------------ messages

    def _execution(self, instance: Instance) -> _Execution:
        known = self._executions.get(instance.instance_id)
        if known is not None and known.execution_id == instance.execution_id:
            self._executions.move_to_end(instance.instance_id)
            return known
        events, episodes = self._core.store.history(instance.instance_id)
        return self._keep(instance.instance_id, instance.execution_id, events, episodes)

    def _keep(
        self, instance_id: str, execution_id: str, events: list[Event], episodes: int
    ) -> _Execution:
        execution = _Execution(execution_id, events, ",".join(compact(e) for e in events), episodes)
        self._executions[instance_id] = execution
        self._executions.move_to_end(instance_id)
        while len(self._executions) > self._cached:
            self._executions.popitem(last=False)
        return execution

    def _deliverable(
        self, instance: Instance, execution: _Execution, messages: list[Message]
    ) -> list[Event] | None:
        """The batch of this episode, or None where no message concerns this execution any more.

        Completions of other executions and second completions of one task are dropped here: the
        framework ignores them, but the SDK would be shown them as open.
        """
        if not instance.running:
            return None
        events = [m.event for m in messages if m.execution_id in (None, instance.execution_id)]
        if CONTINUE in events:
            return [CONTINUE]
        pending = open_tasks(execution.events)
        batch: list[Event] = []
        for item in events:
            kind = item["EventType"]
            if kind in COMPLETES and pending.pop(item[COMPLETES[kind]], None) is None:
                continue
            batch.append(item)
        return batch or None

    # ------------------------------------------------------------------ the SDK

    def _ask(
        self, instance: Instance, history: list[Event], text: str, replaying: bool
    ) -> dict[str, Any]:
        handle = self._core.functions.orchestrator(instance.name)
        if handle is None:
            missing = self._core.unknown("orchestrator", instance.name)
            return {"isDone": False, "actions": [], "error": missing}
        parent = None if instance.parent is None else json.loads(instance.parent)
        parent_id = None if parent is None else parent["OrchestrationInstance"]["InstanceId"]
        context = (
            f'{{"history":[{text}],"input":{instance.input or "null"},'
            f'"instanceId":{compact(instance.instance_id)},'
            f'"isReplaying":{"true" if replaying else "false"},'
            f'"parentInstanceId":{compact(parent_id)}{_CONSTANT_CONTEXT}'
        )
        if any(e["EventType"] == Kind.EVENT_RAISED for e in history):
            # The SDK warns of every event that comes before it is awaited, on every replay.
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Potential duplicate Task completion")
                return _answer(handle, context)
        return _answer(handle, context)

    def _decide(
        self, instance: Instance, history: list[Event], answer: dict[str, Any]
    ) -> tuple[Outcome, str | None]:
        now = self._core.clock.now_ms()
        try:
            _check_custom_status(answer.get("customStatus"))
            outcome = Replay(history, answer, now, self._core.exists).run()
        except NonDeterministic as error:
            return Outcome(finished=True, next_id=_next_id(history)), str(error)
        except OrchestrationFailed as error:
            failed = f"Orchestrator function '{instance.name}' failed: {error}"
            return Outcome(finished=True, next_id=_next_id(history)), failed
        error_text = answer.get("error")
        if outcome.finished and error_text:
            return outcome, f"Orchestrator function '{instance.name}' failed: {error_text}"
        return outcome, None

    # ------------------------------------------------------------------ writing

    def _write(
        self,
        instance: Instance,
        execution: _Execution,
        fresh: list[Event],
        answer: dict[str, Any],
        outcome: Outcome,
        failure: str | None,
        effects: Effects,
    ) -> None:
        core, store, now = self._core, self._core.store, self._core.clock.now_ms()
        instance_id = instance.instance_id
        custom = answer.get("customStatus")
        instance = replace(
            _after_control(instance, fresh),
            updated=now,
            custom_status=None if custom is None else compact(custom),
        )
        new_events = list(fresh)
        if outcome.terminated is not None:
            result: str | None = outcome.terminated
            self._complete(instance, "Terminated", result, outcome.next_id, new_events, effects)
        else:
            for decision in outcome.decisions:
                new_events.append(decision.event)
                self._carry_out(instance, decision, effects)
            store.drop_timers(instance_id, outcome.cancelled_timers)
            if outcome.finished and failure is None and outcome.continue_as_new is not None:
                self._continue(instance, outcome, effects)
                return
            if outcome.finished:
                if failure is not None:
                    status, result = "Failed", failure
                else:
                    output = answer.get("output")
                    status, result = "Completed", None if output is None else compact(output)
                self._complete(instance, status, result, outcome.next_id, new_events, effects)
            else:
                store.put_instance(instance)
        new_events.append(event(Kind.ORCHESTRATOR_COMPLETED, core.clock.now_ms()))
        store.append_history(instance_id, execution.episodes, new_events)
        if outcome.finished or outcome.terminated is not None:
            self.forget(instance_id)
            return
        kept = [played(e) for e in new_events]
        execution.events = execution.events + kept
        execution.text = ",".join(filter(None, (execution.text, *(compact(e) for e in kept))))
        execution.episodes += 1

    def _carry_out(self, instance: Instance, decision: Decision, effects: Effects) -> None:
        store, item = self._core.store, decision.event
        kind, number = item["EventType"], item["EventId"]
        owner = (instance.instance_id, instance.execution_id, number)
        if kind == Kind.TASK_SCHEDULED:
            effects.work.append(store.add_work(*owner, item["Name"], decision.input))
        elif kind == Kind.TIMER_CREATED and not decision.cancelled:
            fire_at = item["FireAt"]
            effects.timers.append(store.add_timer(*owner, due_ms(fire_at), fire_at))
        elif kind == Kind.SUB_CREATED:
            self._start_child(instance, decision, effects)
        elif kind == Kind.EVENT_SENT and decision.operation is not None:
            send_operation(self._core, item["InstanceId"], decision.operation)
            effects.ready.append(item["InstanceId"])

    def _start_child(self, instance: Instance, decision: Decision, effects: Effects) -> None:
        core, item = self._core, decision.event
        child_id = item["InstanceId"]
        existing = core.store.instance(child_id)
        if existing is not None and existing.running:
            reason = f"An Orchestration instance with the status {existing.status} already exists."
            refused = _sub_failed(core.clock.now_ms(), item["EventId"], reason, reason)
            core.store.post(instance.instance_id, refused, execution_id=instance.execution_id)
            effects.ready.append(instance.instance_id)
            return
        self.forget(child_id)
        core.begin(
            item["Name"],
            child_id,
            None if decision.input is None else compact(decision.input),
            execution_id=core.new_id().hex,
            version=item["Version"] or None,
            parent={
                "Name": instance.name,
                "OrchestrationInstance": {
                    "InstanceId": instance.instance_id,
                    "ExecutionId": instance.execution_id,
                },
                "TaskScheduleId": item["EventId"],
                "Version": instance.version,
            },
        )
        effects.ready.append(child_id)

    def _complete(
        self,
        instance: Instance,
        status: str,
        result: str | None,
        next_id: int,
        events: list[Event],
        effects: Effects,
    ) -> None:
        store, now = self._core.store, self._core.clock.now_ms()
        events.append(
            event(
                Kind.EXECUTION_COMPLETED,
                now,
                next_id,
                OrchestrationStatus=status,
                Result=result,
                FailureDetails=None,
            )
        )
        output = result if status == "Completed" or result is None else compact(result)
        store.put_instance(replace(instance, status=status, output=output))
        store.drop_timers(instance.instance_id)
        if instance.parent is None:
            return
        parent = json.loads(instance.parent)
        number = parent["TaskScheduleId"]
        if status == "Completed":
            told = event(Kind.SUB_COMPLETED, now, TaskScheduledId=number, Result=result)
        else:
            reason = result or ""
            detail = reason.removeprefix(f"Orchestrator function '{instance.name}' failed: ")
            told = _sub_failed(now, number, reason, f"Message: {detail}, StackTrace: ")
        owner = parent["OrchestrationInstance"]
        store.post(owner["InstanceId"], told, execution_id=owner["ExecutionId"])
        effects.ready.append(owner["InstanceId"])

    def _continue(self, instance: Instance, outcome: Outcome, effects: Effects) -> None:
        """Begin the next generation; events this one had received and not awaited are lost."""
        core, store, now = self._core, self._core.store, self._core.clock.now_ms()
        execution_id = core.new_id().hex
        input_json = compact(outcome.continue_as_new)
        started = execution_started(
            now,
            name=instance.name,
            instance_id=instance.instance_id,
            execution_id=execution_id,
            input_json=input_json,
            version=instance.version,
            parent=None if instance.parent is None else json.loads(instance.parent),
        )
        store.put_instance(
            replace(
                instance,
                execution_id=execution_id,
                input=input_json,
                created=now,
                status="Running",
                output=None,
            )
        )
        store.drop_timers(instance.instance_id)
        events = [
            event(Kind.ORCHESTRATOR_STARTED, now),
            started,
            *outcome.carried,
            # Recorded: this one completion is shown as played from the second replay on.
            {**event(Kind.ORCHESTRATOR_COMPLETED, now), "IsPlayed": True},
        ]
        store.replace_history(instance.instance_id, events)
        store.post(instance.instance_id, CONTINUE, execution_id=execution_id)
        self.forget(instance.instance_id)
        effects.ready.append(instance.instance_id)


def _answer(handle: Callable[[str], str], context: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(handle(context))
    except Exception as error:  # noqa: BLE001 - any failure of user code fails its instance
        text = str(error)
        _, label, data = text.rpartition(_OUT_OF_PROC)
        if label:
            return dict(json.loads(data))
        return {"isDone": False, "actions": [], "error": text or type(error).__name__}
    return answer


def _check_custom_status(value: Any) -> None:
    size = 0 if value is None else len(compact(value).encode("utf-16-le"))
    if size > _MAX_CUSTOM_STATUS:
        raise OrchestrationFailed(
            "The UTF-16 size of the JSON-serialized payload must not exceed 16 KB. "
            f"The current payload is {size / 1024:.2f} KB."
        )


def _next_id(history: list[Event]) -> int:
    return 1 + max((e["EventId"] for e in history), default=-1)


def _after_control(instance: Instance, batch: list[Event]) -> Instance:
    """Status and output as suspending and resuming leave them."""
    if instance.status == "Pending":
        instance = replace(instance, status="Running")
    for item in batch:
        if item["EventType"] == Kind.EXECUTION_SUSPENDED:
            instance = replace(instance, status="Suspended", output=compact(item["Reason"]))
        elif item["EventType"] == Kind.EXECUTION_RESUMED:
            instance = replace(instance, status="Running", output=compact(item["Reason"]))
    return instance


def _sub_failed(now: int, number: int, reason: str, details: str) -> Event:
    return event(
        Kind.SUB_FAILED,
        now,
        TaskScheduledId=number,
        Reason=reason,
        Details=details,
        FailureDetails=None,
    )
