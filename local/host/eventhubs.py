"""Event Hub triggers: one pump per function and partition."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from local.eventlog import EventLog, StoredEvent
from local.host.app import FunctionSpec
from local.host.config import HostConfig, resolve
from local.host.worker import Invocation, Worker
from shared.clock import utc

log = logging.getLogger("Host.Triggers.EventHubs")


class BatchMetadata(Mapping[str, Any]):
    """Trigger metadata of a batch (or one event), rendered only when somebody looks."""

    def __init__(self, hub: str, group: str, events: Sequence[StoredEvent], many: bool) -> None:
        self._hub, self._group, self._events, self._many = hub, group, events, many
        self._fields: dict[str, Any] | None = None

    def __getitem__(self, key: str) -> Any:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, Any]:
        if self._fields is None:
            self._fields = self._render()
        return self._fields

    def _render(self) -> dict[str, Any]:
        from azure.functions.meta import Datum

        events = self._events
        context = {
            "FullyQualifiedNamespace": "local",
            "EventHubName": self._hub,
            "ConsumerGroup": self._group,
            "PartitionId": str(events[0].partition),
        }
        fields = {"PartitionContext": Datum(json.dumps(context), "json")}
        if not self._many:
            (event,) = events
            fields |= {
                "Offset": Datum(str(event.offset), "string"),
                "SequenceNumber": Datum(str(event.sequence), "string"),
                "EnqueuedTimeUtc": Datum(json.dumps(_enqueued(event)), "json"),
                "Properties": Datum(json.dumps(dict(event.properties)), "json"),
                "SystemProperties": Datum(json.dumps(system_properties(event)), "json"),
            }
            if event.partition_key is not None:
                fields["PartitionKey"] = Datum(event.partition_key, "string")
            return fields
        arrays: dict[str, list[Any]] = {
            "PartitionKeyArray": [event.partition_key for event in events],
            "OffsetArray": [str(event.offset) for event in events],
            "SequenceNumberArray": [event.sequence for event in events],
            "EnqueuedTimeUtcArray": [_enqueued(event) for event in events],
            "PropertiesArray": [dict(event.properties) for event in events],
            "SystemPropertiesArray": [system_properties(event) for event in events],
        }
        return fields | {name: Datum(json.dumps(v), "json") for name, v in arrays.items()}


def system_properties(event: StoredEvent) -> dict[str, Any]:
    """System properties of an event as the extension writes them."""
    return {
        "SequenceNumber": event.sequence,
        "Offset": str(event.offset),
        "PartitionKey": event.partition_key,
        "EnqueuedTimeUtc": _enqueued(event),
    }


def _enqueued(event: StoredEvent) -> str:
    return utc(event.enqueued_ms).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_sdk(event: StoredEvent, metadata: Mapping[str, Any], many: bool) -> Any:
    """The ``func.EventHubEvent`` the worker would hand to the function.

    Built directly: the SDK's converter gives equal objects (a test compares them) but takes
    many times longer, which a replay of months would feel.
    """
    from azure.functions import EventHubEvent

    return EventHubEvent(
        body=event.body,
        trigger_metadata=metadata,
        enqueued_time=utc(event.enqueued_ms),
        partition_key=event.partition_key,
        sequence_number=event.sequence,
        # The worker decodes the offset as a number in batches and as text in single events.
        offset=event.offset if many else str(event.offset),
        iothub_metadata={},
    )


class EventHubListener:
    """Pumps of one function, one per partition.

    A batch is checkpointed when the function is done with it, failed or not, as the real
    extension does: an error in the function does not bring the batch back, only a crash
    before the checkpoint does.

    Raises
    ------
    ValueError
        If the hub name or consumer group names a missing setting.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        *,
        settings: Mapping[str, str],
        config: HostConfig,
        log_store: EventLog,
        worker: Worker,
        client_args: Callable[[FunctionSpec], Mapping[str, str]],
    ) -> None:
        raw = spec.trigger.raw
        self.spec = spec
        self.hub = resolve(raw["eventHubName"], settings)
        self.group = resolve(raw.get("consumerGroup") or "$Default", settings)
        self._many = str(raw.get("cardinality", "MANY")).upper() != "ONE"
        self._config, self._store, self._worker = config, log_store, worker
        self._client_args = client_args
        self._partitions = log_store.join(self.hub, self.group, config.initial_offset)
        self._stopping = False
        self._wakes: list[Callable[[], None]] = []

    def pumps(self) -> list[Any]:
        """One coroutine per partition; each ends by itself after :meth:`stop`."""
        return [self._pump(partition) for partition in range(self._partitions)]

    def stop(self) -> None:
        """Let every pump finish its batch and end."""
        self._stopping = True
        for wake in list(self._wakes):
            wake()

    async def invoke(self, events: Sequence[StoredEvent]) -> list[Invocation]:
        """Call the function with the events: at once, or one by one (cardinality one)."""
        batches = [events] if self._many else [[event] for event in events]
        return [await self._call(batch) for batch in batches]

    async def _call(self, events: Sequence[StoredEvent]) -> Invocation:
        metadata = BatchMetadata(self.hub, self.group, events, self._many)
        sdk_events = [to_sdk(event, metadata, self._many) for event in events]
        name = self.spec.trigger.name

        def inputs() -> Mapping[str, Any]:
            bodies = [event.body for event in events]
            return {name: {"collection_bytes": bodies} if self._many else {"bytes": bodies[0]}}

        return await self._worker.run(
            self.spec,
            {name: sdk_events if self._many else sdk_events[0], **self._client_args(self.spec)},
            inputs=inputs,
            trigger_metadata=lambda: metadata,
        )

    async def _pump(self, partition: int) -> None:
        loop = asyncio.get_running_loop()
        signal = asyncio.Event()

        def wake() -> None:
            # Appends may come from a worker thread.
            try:
                inside = asyncio.get_running_loop() is loop
            except RuntimeError:
                inside = False
            if inside:
                signal.set()
            elif not loop.is_closed():
                loop.call_soon_threadsafe(signal.set)

        self._wakes.append(wake)
        end = self._store.subscribe(self.hub, partition, wake)
        try:
            await self._consume(partition, signal)
        finally:
            end()
            self._wakes.remove(wake)

    async def _consume(self, partition: int, signal: asyncio.Event) -> None:
        store, limit = self._store, self._config.max_event_batch_size
        position = store.position(self.hub, self.group, partition)
        batches = 0
        while not self._stopping:
            signal.clear()
            if store.head(self.hub, partition) <= position:
                await signal.wait()
                continue
            events = store.read_from(self.hub, partition, position, limit)
            if not events:  # purged before they were read
                position = store.head(self.hub, partition)
                continue
            for delivery in store.plan(self.hub, self.group, partition, events):
                if delivery.delay_s:
                    await asyncio.sleep(delivery.delay_s)
                await self.invoke(delivery.events)
            position = events[-1].sequence + 1
            batches += 1
            if batches % self._config.batch_checkpoint_frequency == 0:
                store.checkpoint(self.hub, self.group, partition, position)
