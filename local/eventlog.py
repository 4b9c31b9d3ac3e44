"""A partitioned, durable event log on SQLite: what Event Hubs is to the application.

Events of one partition keep their order; consumer groups remember how far they came by
checkpoint. Delivery is at least once: whatever was read and not checkpointed is read again
after a restart.
"""

from __future__ import annotations

import json
import random
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from shared.clock import Clock

#: How often an append looks for events older than the retention; it reads them all.
_PURGE_EVERY_MS = 6 * 3_600_000
_OVERHEAD = 64
"""Bytes an event takes in its partition besides its body; offsets grow by both."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS hub (
    name TEXT PRIMARY KEY, partitions INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
    hub TEXT NOT NULL, part INTEGER NOT NULL, seq INTEGER NOT NULL, offset INTEGER NOT NULL,
    enqueued_ms INTEGER NOT NULL, key TEXT, body BLOB NOT NULL, properties TEXT,
    PRIMARY KEY (hub, part, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS head (
    hub TEXT NOT NULL, part INTEGER NOT NULL, seq INTEGER NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (hub, part)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checkpoint (
    hub TEXT NOT NULL, grp TEXT NOT NULL, part INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (hub, grp, part)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event as it lies in a partition; ``enqueued_ms`` is UTC milliseconds."""

    partition: int
    sequence: int
    offset: int
    enqueued_ms: int
    partition_key: str | None
    body: bytes
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One batch on its way to a consumer, after waiting ``delay_s`` seconds."""

    events: Sequence[StoredEvent]
    delay_s: float = 0.0


class DeliveryPolicy(Protocol):
    """Where tests bend delivery, within what at-least-once allows."""

    def plan(
        self, hub: str, group: str, partition: int, events: Sequence[StoredEvent]
    ) -> Sequence[Delivery]:
        """How a batch that was read is handed over; the checkpoint follows the last delivery."""
        ...


class FaithfulDelivery:
    """Every batch once, at once, in order."""

    def plan(
        self, hub: str, group: str, partition: int, events: Sequence[StoredEvent]
    ) -> Sequence[Delivery]:
        return (Delivery(events),)


class DisturbedDelivery:
    """Duplicates, delays and disorder drawn from one seed.

    Parameters
    ----------
    seed : int
    duplicate, delay, reorder : float
        Probability per batch of each disturbance.
    max_delay_s : float
        Longest delay in seconds.
    """

    def __init__(
        self,
        seed: int,
        *,
        duplicate: float = 0.0,
        delay: float = 0.0,
        reorder: float = 0.0,
        max_delay_s: float = 30.0,
    ) -> None:
        self._random = random.Random(seed)
        self._duplicate, self._delay, self._reorder = duplicate, delay, reorder
        self._max_delay_s = max_delay_s

    def plan(
        self, hub: str, group: str, partition: int, events: Sequence[StoredEvent]
    ) -> Sequence[Delivery]:
        draw = self._random.random
        delay = draw() * self._max_delay_s if draw() < self._delay else 0.0
        batch = list(events)
        if draw() < self._reorder:
            self._random.shuffle(batch)
        plan = [Delivery(batch, delay)]
        if draw() < self._duplicate:
            plan.append(Delivery(batch, draw() * self._max_delay_s))
        return plan


class EventLog:
    """Hubs, partitions, consumer groups, checkpoints.

    Parameters
    ----------
    path : str or Path
        SQLite file, or ``":memory:"``.
    clock : Clock
        Where enqueued times come from.
    partitions : int
        Partitions of a hub that is used without having been declared.
    retention_s : float
        Events older than this are purged now and then.
    policy : DeliveryPolicy, optional
        Disturbances for tests; consumers ask it through :meth:`plan`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Clock,
        partitions: int = 4,
        retention_s: float = 7 * 86400.0,
        policy: DeliveryPolicy | None = None,
    ) -> None:
        self._clock = clock
        self._default_partitions = partitions
        self._retention_ms = int(retention_s * 1000)
        self._policy: DeliveryPolicy = policy or FaithfulDelivery()
        self._lock = threading.RLock()
        self._db = sqlite3.connect(str(path), check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._partitions: dict[str, int] = dict(
            self._db.execute("SELECT name, partitions FROM hub")
        )
        self._heads = self._read_heads()
        self._round_robin: dict[str, int] = {}
        self._wakers: dict[tuple[str, int], list[Callable[[], None]]] = {}
        self._next_purge_ms = clock.now_ms() + _PURGE_EVERY_MS

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def declare(self, hub: str, partitions: int | None = None) -> int:
        """Create a hub if it is not there; its number of partitions never changes."""
        with self._lock:
            count = self._partitions.get(hub)
            if count is None:
                count = partitions or self._default_partitions
                self._db.execute("INSERT INTO hub VALUES (?, ?)", (hub, count))
                self._partitions[hub] = count
            return count

    def partition_of(self, hub: str, partition_key: str) -> int:
        """The partition a key always goes to."""
        return zlib.crc32(partition_key.encode()) % self.declare(hub)

    def append(
        self, hub: str, body: bytes, *, partition_key: str | None = None, **properties: Any
    ) -> None:
        """Store one event; durable and visible to consumers when this returns.

        Parameters
        ----------
        hub : str
        body : bytes
        partition_key : str, optional
            Events with one key keep their order; without a key partitions take turns.
        **properties
            Application properties, JSON values.
        """
        with self._lock:
            count = self.declare(hub)
            if partition_key is None:
                part = self._round_robin.get(hub, self._appended(hub)) % count
                self._round_robin[hub] = part + 1
            else:
                part = self.partition_of(hub, partition_key)
            seq, offset = self._heads.get((hub, part), (0, 0))
            now = self._clock.now_ms()
            text = json.dumps(properties) if properties else None
            self._db.execute(
                "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (hub, part, seq, offset, now, partition_key, body, text),
            )
            self._heads[hub, part] = (seq + 1, offset + len(body) + _OVERHEAD)
            if now >= self._next_purge_ms:
                self._next_purge_ms = now + _PURGE_EVERY_MS
                self.purge()
            wakers = list(self._wakers.get((hub, part), ()))
        for wake in wakers:
            wake()

    def append_all(self, hub: str, bodies: Iterable[bytes]) -> None:
        """Store several events, each in the next partition."""
        for body in bodies:
            self.append(hub, body)

    def read(self, hub: str, group: str, partition: int, limit: int) -> list[StoredEvent]:
        """Up to ``limit`` events after the group's checkpoint, oldest first."""
        return self.read_from(hub, partition, self.position(hub, group, partition), limit)

    def read_from(self, hub: str, partition: int, sequence: int, limit: int) -> list[StoredEvent]:
        """Up to ``limit`` events from a sequence number on."""
        with self._lock:
            rows = self._db.execute(
                "SELECT seq, offset, enqueued_ms, key, body, properties FROM event"
                " WHERE hub = ? AND part = ? AND seq >= ? ORDER BY seq LIMIT ?",
                (hub, partition, sequence, limit),
            ).fetchall()
        return [
            StoredEvent(partition, seq, offset, ms, key, body, json.loads(props) if props else {})
            for seq, offset, ms, key, body, props in rows
        ]

    def position(self, hub: str, group: str, partition: int) -> int:
        """The sequence number the group reads next in that partition."""
        with self._lock:
            row = self._db.execute(
                "SELECT seq FROM checkpoint WHERE hub = ? AND grp = ? AND part = ?",
                (hub, group, partition),
            ).fetchone()
        return row[0] if row else 0

    def checkpoint(self, hub: str, group: str, partition: int, next_sequence: int) -> None:
        """Record that the group is done with everything before ``next_sequence``."""
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?)",
                (hub, group, partition, next_sequence),
            )

    def join(
        self, hub: str, group: str, start: Literal["fromStart", "fromEnd"] = "fromStart"
    ) -> int:
        """A consumer group appears; returns the number of partitions.

        A group without a checkpoint begins at the oldest event kept, or, with ``"fromEnd"``,
        after the newest.
        """
        with self._lock:
            count = self.declare(hub)
            if start == "fromEnd":
                for part in range(count):
                    seq = self._heads.get((hub, part), (0, 0))[0]
                    self._db.execute(
                        "INSERT OR IGNORE INTO checkpoint VALUES (?, ?, ?, ?)",
                        (hub, group, part, seq),
                    )
            return count

    def lag(self, hub: str, group: str) -> int:
        """Events of the hub the group has not checkpointed yet."""
        with self._lock:
            return sum(
                self._heads.get((hub, part), (0, 0))[0] - self.position(hub, group, part)
                for part in range(self.declare(hub))
            )

    def plan(
        self, hub: str, group: str, partition: int, events: Sequence[StoredEvent]
    ) -> Sequence[Delivery]:
        """The deliveries the policy makes of a batch."""
        return self._policy.plan(hub, group, partition, events)

    def subscribe(self, hub: str, partition: int, wake: Callable[[], None]) -> Callable[[], None]:
        """Call ``wake`` after every append to the partition, from the appending thread.

        Returns
        -------
        callable
            Ends the subscription.
        """
        with self._lock:
            self._wakers.setdefault((hub, partition), []).append(wake)

        def end() -> None:
            with self._lock:
                self._wakers[hub, partition].remove(wake)

        return end

    def head(self, hub: str, partition: int) -> int:
        """The sequence number the next event of the partition gets."""
        return self._heads.get((hub, partition), (0, 0))[0]

    def purge(self) -> int:
        """Delete events older than the retention; returns how many."""
        oldest = self._clock.now_ms() - self._retention_ms
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                # Sequence numbers must go on where they were, even if no event is left.
                self._db.executemany(
                    "INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?)",
                    [(*key, *head) for key, head in self._heads.items()],
                )
                cursor = self._db.execute("DELETE FROM event WHERE enqueued_ms < ?", (oldest,))
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            return cursor.rowcount

    def _read_heads(self) -> dict[tuple[str, int], tuple[int, int]]:
        heads = {
            (hub, part): (seq, offset)
            for hub, part, seq, offset in self._db.execute(
                "SELECT hub, part, seq, offset FROM head"
            )
        }
        for hub, part, seq, offset, size in self._db.execute(
            "SELECT hub, part, MAX(seq), offset, LENGTH(body) FROM event GROUP BY hub, part"
        ):
            heads[hub, part] = (seq + 1, offset + size + _OVERHEAD)
        return heads

    def _appended(self, hub: str) -> int:
        return sum(seq for (name, _), (seq, _) in self._heads.items() if name == hub)
