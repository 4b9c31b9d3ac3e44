"""Client operations on instances: what the management API and the Python client can ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from local.durable.core import Core
from local.durable.entities import entity_instance_id, send_operation
from local.durable.history import Event, Kind, event
from local.durable.store import Instance
from shared.errors import AlreadyExists, Conflict, InvalidInput, NotFound

TERMINAL = ("Completed", "Failed", "Terminated", "Canceled")


class Finished(Conflict):
    """The instance's status does not allow the request, mostly because it has ended."""

    def __init__(self, status: str) -> None:
        super().__init__(f"The instance is {status}.")
        self.status = status


class Operations:
    """Every method stores its request and then wakes the instance.

    Parameters
    ----------
    core : Core
    wake : callable
        Told the id of an instance that has something to do.
    forget : callable
        Told the id of an instance whose stored history was changed or removed.
    """

    def __init__(
        self, core: Core, wake: Callable[[str], None], forget: Callable[[str], None]
    ) -> None:
        self._core = core
        self._wake = wake
        self._forget = forget

    def start(
        self,
        name: str,
        instance_id: str | None = None,
        input_json: str | None = None,
        version: str | None = None,
    ) -> str:
        """Start an orchestration; the name is not checked, as on Azure.

        Returns
        -------
        str
            The instance id, made up where none was given.

        Raises
        ------
        AlreadyExists
            An instance of that id is not finished.
        """
        core = self._core
        with core.store.transaction():
            instance_id = instance_id or core.new_id().hex
            existing = core.store.instance(instance_id)
            if (
                existing is not None
                and existing.running
                and core.settings.overridable != "AnyState"
            ):
                raise AlreadyExists(
                    f"An Orchestration instance with the status {existing.status} already exists."
                )
            self._forget(instance_id)
            core.begin(
                name,
                instance_id,
                input_json,
                execution_id=str(core.new_id()),
                version=version,
                generation=0,
            )
        self._wake(instance_id)
        return instance_id

    def raise_event(self, instance_id: str, name: str, input_json: str) -> None:
        """Deliver an external event; `NotFound`, or `Finished` where the instance has ended."""
        self._post_running(
            instance_id,
            event(
                Kind.EVENT_RAISED,
                self._core.clock.now_ms(),
                Name=name,
                Input=input_json,
                ParentTraceContext=None,
            ),
        )

    def terminate(self, instance_id: str, reason: str) -> None:
        """End an instance with ``reason`` as output; activities on their way still run."""
        now = self._core.clock.now_ms()
        self._post_running(instance_id, event(Kind.EXECUTION_TERMINATED, now, Input=reason))

    def suspend(self, instance_id: str, reason: str) -> None:
        """Raises `InvalidInput` where it is suspended already."""
        self._control(instance_id, reason, Kind.EXECUTION_SUSPENDED, "suspend", "Suspended")

    def resume(self, instance_id: str, reason: str) -> None:
        """Raises `InvalidInput` where it is running already."""
        self._control(instance_id, reason, Kind.EXECUTION_RESUMED, "resume", "Running")

    def rewind(self, instance_id: str, reason: str) -> None:
        """Let a failed instance go on as if its failed activities had not been run.

        Raises
        ------
        NotFound, Finished
            No such instance; it has not failed.
        """
        item = self._core.store.instance(instance_id)
        if item is None:
            raise NotFound(f'No orchestration with instance ID "${instance_id}" found.')
        if item.status != "Failed":
            raise Finished(item.status)
        with self._core.store.transaction():
            woken = self._rewind(item, reason)
        for name in woken:
            self._wake(name)

    def restart(self, instance_id: str, new_id: bool = True) -> str:
        """Start the same orchestration with the same input again."""
        core = self._core
        item = core.store.instance(instance_id)
        if item is None:
            raise NotFound(f"No instance with ID '{instance_id}' was found.")
        with core.store.transaction():
            target = core.new_id().hex if new_id else instance_id
            if not new_id and item.running:
                raise AlreadyExists(
                    f"An Orchestration instance with the status {item.status} already exists."
                )
            self._forget(target)
            core.begin(
                item.name,
                target,
                item.input or "null",
                execution_id=core.new_id().hex,
                version=item.version,
                generation=0,
            )
        self._wake(target)
        return target

    def purge(self, instance_id: str) -> None:
        """Remove a finished instance; `NotFound`, or `Conflict` where it is not finished."""
        item = self._core.store.instance(instance_id)
        if item is None:
            raise NotFound(f"No instance with ID '{instance_id}' was found.")
        if item.running and not item.is_entity:
            raise Conflict(
                "Only orchestrations in a terminal state can be purged, but the orchestration "
                f"with instance ID {instance_id} has status {item.status}"
            )
        with self._core.store.transaction():
            self._core.store.purge(instance_id)
        self._forget(instance_id)

    def purge_where(
        self, created_from: int, created_to: int | None, statuses: Iterable[str]
    ) -> int:
        """Remove finished instances created in a time range (UTC ms); how many were removed."""
        wanted = [s for s in statuses if s in TERMINAL] or list(TERMINAL)
        found = self._core.store.instances(
            created_from=created_from, created_to=created_to, statuses=wanted, entities=False
        )
        with self._core.store.transaction():
            for item in found:
                self._core.store.purge(item.instance_id)
        for item in found:
            self._forget(item.instance_id)
        return len(found)

    def signal(self, entity: str, key: str, operation: str, input_json: str | None) -> None:
        """Send an operation to an entity without waiting; `InvalidInput` for an unknown entity."""
        core = self._core
        if not core.exists("entity", entity):
            raise InvalidInput(core.unknown("entity", entity))
        instance_id = entity_instance_id(entity, key)
        with core.store.transaction():
            message: Event = {
                "op": operation,
                "signal": True,
                "input": input_json,
                "id": str(core.new_id()),
            }
            send_operation(core, instance_id, message)
        self._wake(instance_id)

    # ------------------------------------------------------------------ parts

    def _running(self, instance_id: str) -> Instance:
        item = self._core.store.instance(instance_id)
        if item is None:
            raise NotFound(f"No instance with ID '{instance_id}' was found.")
        if not item.running:
            raise Finished(item.status)
        return item

    def _post_running(self, instance_id: str, item: Event) -> None:
        self._running(instance_id)
        with self._core.store.transaction():
            self._core.store.post(instance_id, item)
        self._wake(instance_id)

    def _control(self, instance_id: str, reason: str, kind: Kind, verb: str, already: str) -> None:
        if self._running(instance_id).status == already:
            raise InvalidInput(
                f"Cannot {verb} the orchestration instance {instance_id} because instance is in "
                f"the {already} state."
            )
        self._post_running(instance_id, event(kind, self._core.clock.now_ms(), Reason=reason))

    def _rewind(self, item: Instance, reason: str) -> list[str]:
        """Blank out failures in the history, in failed children too; ids to wake."""
        store, now = self._core.store, self._core.clock.now_ms()
        events, _ = store.history(item.instance_id)
        failed = {
            e["TaskScheduledId"]
            for e in events
            if e["EventType"] in (Kind.TASK_FAILED, Kind.SUB_FAILED)
        }
        rewound: list[Event] = []
        children: list[str] = []
        for e in events:
            kind = e["EventType"]
            if kind in (Kind.TASK_FAILED, Kind.SUB_FAILED, Kind.EXECUTION_COMPLETED) or (
                kind == Kind.TASK_SCHEDULED and e["EventId"] in failed
            ):
                e = {
                    "Data": None,
                    "EventType": int(Kind.GENERIC),
                    "EventId": e["EventId"],
                    "IsPlayed": e["IsPlayed"],
                    "Timestamp": e["Timestamp"],
                }
            elif kind == Kind.SUB_CREATED and e["EventId"] in failed:
                children.append(e["InstanceId"])
            rewound.append(e)
        store.replace_history(item.instance_id, rewound)
        self._forget(item.instance_id)
        store.put_instance(replace(item, status="Running", output=None, updated=now))
        woken: list[str] = []
        for child_id in children:
            child = store.instance(child_id)
            if child is not None and child.status == "Failed":
                woken += self._rewind(child, reason)
        store.post(item.instance_id, event(Kind.GENERIC, now, Data=reason))
        return [*woken, item.instance_id]
