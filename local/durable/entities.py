"""Durable entities: operations are applied in batches, in order, one batch at a time per entity."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from local.durable.core import Core, Effects
from local.durable.history import Event, Kind, compact, event
from local.durable.store import Instance, Message

_RESPONSE = (
    "Microsoft.Azure.WebJobs.Extensions.DurableTask.ResponseMessage, "
    "Microsoft.Azure.WebJobs.Extensions.DurableTask"
)


def entity_instance_id(name: str, key: str) -> str:
    """Entities live in the instance table under this id; names are case-insensitive."""
    return f"@{name.lower()}@{key}"


def send_operation(core: Core, instance_id: str, operation: Event) -> None:
    """Put an operation before an entity, creating the entity's row; inside a transaction."""
    if core.store.instance(instance_id) is None:
        now = core.clock.now_ms()
        core.store.put_instance(
            Instance(
                instance_id=instance_id,
                name=instance_id,
                execution_id="",
                status="Running",
                created=now,
                updated=now,
                custom_status="{}",
            )
        )
    core.store.post(instance_id, operation)


def run_batch(core: Core, instance: Instance) -> Effects:
    """Apply all waiting operations of one entity and answer the callers.

    An entity whose function is missing keeps its messages and its callers waiting, as on Azure.

    Raises
    ------
    StoreUnavailable
        Nothing was written; the batch can be run again.
    """
    effects = Effects()
    messages = core.store.messages(instance.instance_id, core.clock.now_ms())
    _, name, key = instance.instance_id.split("@", 2)
    handle = core.functions.entity(name)
    if handle is None or not messages:
        return effects
    context = {
        "self": {"name": name, "key": key},
        "exists": instance.entity_exists,
        "state": instance.entity_state,
        "batch": [
            {
                "name": m.event["op"],
                "input": m.event["input"],
                "isSignal": m.event.get("signal", False),
                "id": m.event["id"],
            }
            for m in messages
        ],
    }
    try:
        answer = json.loads(handle(compact(context)))
    except Exception as error:  # noqa: BLE001 - user code; every caller is told
        answer = _all_failed(instance, messages, str(error))
    now = core.clock.now_ms()
    with core.store.transaction():
        core.store.take(messages)
        core.store.put_instance(
            replace(
                instance,
                updated=now,
                entity_state=answer["entityState"],
                entity_exists=bool(answer["entityExists"]),
            )
        )
        for message, result in zip(messages, answer["results"], strict=True):
            _respond(core, message.event, result, now, effects)
        for signal in answer.get("signals") or []:
            target = signal["target"]
            target_id = entity_instance_id(target["name"], target["key"])
            operation = {
                "op": signal["name"],
                "signal": True,
                "input": signal["input"],
                "id": str(core.new_id()),
            }
            send_operation(core, target_id, operation)
            effects.ready.append(target_id)
    return effects


def _respond(
    core: Core, operation: Event, result: dict[str, Any], now: int, effects: Effects
) -> None:
    if operation.get("signal") or "parent" not in operation:
        return
    response: Event = {"$type": _RESPONSE, "result": result["result"]}
    if result["isError"]:
        response["exceptionType"] = "Error"
    raised = event(
        Kind.EVENT_RAISED,
        now,
        Name=operation["id"],
        Input=compact(response),
        ParentTraceContext=None,
    )
    core.store.post(operation["parent"], raised, execution_id=operation["parentExecution"])
    effects.ready.append(operation["parent"])


def _all_failed(instance: Instance, messages: list[Message], text: str) -> dict[str, Any]:
    return {
        "entityState": instance.entity_state,
        "entityExists": instance.entity_exists,
        "results": [{"isError": True, "result": compact(text)} for _ in messages],
        "signals": [],
    }
