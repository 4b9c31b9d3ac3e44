"""What the parts of the task hub share: store, clock, functions, ids, and what follows a commit."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from local.contracts import DurableFunctions
from local.durable.history import Event, compact, execution_started
from local.durable.settings import HubSettings
from local.durable.store import HubStore, Instance, Timer, Work
from shared.clock import Clock


@runtime_checkable
class NamedFunctions(Protocol):
    """A function host that can also name its durable functions, for error messages."""

    def names(self, kind: str) -> list[str]:
        """Names of all functions of a kind: ``orchestrator``, ``entity`` or ``activity``."""
        ...


@dataclass
class Effects:
    """What to act upon once the transaction is committed."""

    work: list[Work] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)


@dataclass
class Core:
    """Shared by orchestrations, entities, activities and the client operations."""

    store: HubStore
    clock: Clock
    settings: HubSettings
    seed: int
    functions: DurableFunctions

    def exists(self, kind: str, name: str) -> bool:
        lookup = {
            "activity": self.functions.activity,
            "orchestrator": self.functions.orchestrator,
            "entity": self.functions.entity,
        }[kind]
        return lookup(name) is not None

    def unknown(self, kind: str, name: str) -> str:
        """The extension's sentence for a function that is not there."""
        names = self.functions.names(kind) if isinstance(self.functions, NamedFunctions) else []
        known = (
            f"The following are the known {kind} functions: "
            + ", ".join(f"'{n}'" for n in names)
            + "."
            if names
            else f"No {kind} functions are currently registered!"
        )
        article = "an"
        return (
            f"The function '{name}' doesn't exist, is disabled, or is not {article} {kind} "
            f"function. Additional info: {known}"
        )

    def new_id(self) -> uuid.UUID:
        """Unique in this hub, the same for the same seed; only inside a transaction."""
        number = self.store.next_number()
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{self.settings.hub_name}:{self.seed}:{number}")

    def begin(
        self,
        name: str,
        instance_id: str,
        input_json: str | None,
        *,
        execution_id: str,
        version: str | None = None,
        parent: Event | None = None,
        generation: int | None = None,
    ) -> None:
        """Write a new pending instance over whatever finished one has its id."""
        now = self.clock.now_ms()
        version = version or self.settings.default_version
        self.store.forget(instance_id)
        self.store.put_instance(
            Instance(
                instance_id=instance_id,
                name=name,
                execution_id=execution_id,
                status="Pending",
                created=now,
                updated=now,
                input=input_json,
                version=version,
                parent=None if parent is None else compact(parent),
            )
        )
        started = execution_started(
            now,
            name=name,
            instance_id=instance_id,
            execution_id=execution_id,
            input_json=input_json,
            version=version,
            parent=parent,
            generation=generation,
        )
        self.store.post(instance_id, started, execution_id=execution_id)
