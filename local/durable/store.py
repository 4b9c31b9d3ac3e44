"""The task hub's tables.

Everything an episode decides is written in one transaction before any of it is acted upon, so a
killed process finds after its restart either all of it or none. One connection, used only from
the event loop's thread.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from local.durable.history import Event, compact, played
from shared.errors import StoreUnavailable

_SCHEMA = """
create table if not exists meta (key text primary key, value integer not null) without rowid;
create table if not exists instances (
    instance_id text primary key, name text not null, execution_id text not null,
    status text not null, created integer not null, updated integer not null,
    input text, output text, custom_status text, version text,
    parent text, entity_state text, entity_exists integer not null default 0
) without rowid;
create table if not exists history (
    instance_id text not null, episode integer not null, events text not null,
    primary key (instance_id, episode)
) without rowid;
create table if not exists inbox (
    seq integer primary key autoincrement, instance_id text not null, execution_id text,
    due integer not null, event text not null
);
create index if not exists inbox_instance on inbox (instance_id, seq);
create table if not exists work (
    seq integer primary key autoincrement, instance_id text not null, execution_id text not null,
    event_id integer not null, name text not null, input text
);
create table if not exists timers (
    seq integer primary key autoincrement, instance_id text not null, execution_id text not null,
    event_id integer not null, fire_ms integer not null, fire_at text not null
);
create index if not exists timers_instance on timers (instance_id, execution_id, event_id);
"""

RUNNING_STATES = ("Pending", "Running", "Suspended", "ContinuedAsNew")


@dataclass(frozen=True, slots=True)
class Instance:
    """One row of the instance table; times are UTC ms, JSON columns are JSON text."""

    instance_id: str
    name: str
    execution_id: str
    status: str
    created: int
    updated: int
    input: str | None = None
    output: str | None = None
    custom_status: str | None = None
    version: str | None = None
    parent: str | None = None
    entity_state: str | None = None
    entity_exists: bool = False

    @property
    def running(self) -> bool:
        return self.status in RUNNING_STATES

    @property
    def is_entity(self) -> bool:
        return self.execution_id == ""


@dataclass(frozen=True, slots=True)
class Message:
    """Something waiting for an instance: a history event, or an entity operation."""

    seq: int
    execution_id: str | None
    event: Event


@dataclass(frozen=True, slots=True)
class Work:
    """An activity that was scheduled and has not reported."""

    seq: int
    instance_id: str
    execution_id: str
    event_id: int
    name: str
    input: str | None


@dataclass(frozen=True, slots=True)
class Timer:
    seq: int
    instance_id: str
    execution_id: str
    event_id: int
    fire_ms: int
    fire_at: str


_COLUMNS = ", ".join(Instance.__slots__)
_INSERT = (
    f"insert or replace into instances ({_COLUMNS}) "
    f"values ({', '.join('?' * len(Instance.__slots__))})"
)


class HubStore:
    """SQLite tables of one task hub."""

    def __init__(self, path: str) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None, cached_statements=256)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            self._db.execute("pragma busy_timeout = 5000")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"The task hub's database {path}: {error}") from error
        self._counter: int = self._one("select value from meta where key = 'counter'", 0)

    def close(self) -> None:
        self._db.close()

    def _one(self, sql: str, default: Any) -> Any:
        row = self._db.execute(sql).fetchone()
        return default if row is None else row[0]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; database errors surface as `StoreUnavailable`."""
        counter = self._counter
        try:
            self._db.execute("begin immediate")
            yield
            if self._counter != counter:
                self._db.execute(
                    "insert or replace into meta values ('counter', ?)", (self._counter,)
                )
            self._db.execute("commit")
        except BaseException as error:
            self._counter = counter
            if self._db.in_transaction:
                self._db.execute("rollback")
            if isinstance(error, sqlite3.Error):
                raise StoreUnavailable(f"The task hub's database: {error}") from error
            raise

    def next_number(self) -> int:
        """A number never given before in this hub; only inside a transaction."""
        self._counter += 1
        return self._counter

    # ------------------------------------------------------------------ instances

    def instance(self, instance_id: str) -> Instance | None:
        row = self._db.execute(
            f"select {_COLUMNS} from instances where instance_id = ?", (instance_id,)
        ).fetchone()
        return None if row is None else _instance(row)

    def put_instance(self, item: Instance) -> None:
        self._db.execute(_INSERT, [getattr(item, name) for name in Instance.__slots__])

    def instances(
        self,
        *,
        after: str = "",
        limit: int | None = None,
        prefix: str = "",
        statuses: Iterable[str] = (),
        created_from: int | None = None,
        created_to: int | None = None,
        entities: bool | None = None,
    ) -> list[Instance]:
        """Matching instances in the order of their ids, from ``after`` (inclusive) on."""
        sql = [f"select {_COLUMNS} from instances where instance_id >= ?"]
        values: list[Any] = [after]
        if prefix:
            sql.append("and substr(instance_id, 1, ?) = ?")
            values += [len(prefix), prefix]
        wanted = list(statuses)
        if wanted:
            sql.append(f"and status in ({', '.join('?' * len(wanted))})")
            values += wanted
        if created_from is not None:
            sql.append("and created >= ?")
            values.append(created_from)
        if created_to is not None:
            sql.append("and created <= ?")
            values.append(created_to)
        if entities is not None:
            sql.append("and execution_id = ''" if entities else "and execution_id != ''")
        sql.append("order by instance_id limit ?")
        values.append(-1 if limit is None else limit)
        return [_instance(row) for row in self._db.execute(" ".join(sql), values)]

    def forget(self, instance_id: str) -> None:
        """Delete an instance's history, messages and timers; activities on their way stay."""
        for table in ("history", "inbox", "timers"):
            self._db.execute(f"delete from {table} where instance_id = ?", (instance_id,))

    def purge(self, instance_id: str) -> None:
        self.forget(instance_id)
        self._db.execute("delete from instances where instance_id = ?", (instance_id,))

    # ------------------------------------------------------------------ history

    def history(self, instance_id: str) -> tuple[list[Event], int]:
        """All events of the current execution and the number of episodes stored."""
        rows = self._db.execute(
            "select events from history where instance_id = ? order by episode", (instance_id,)
        ).fetchall()
        events: list[Event] = []
        for (text,) in rows:
            events += json.loads(text)
        return events, len(rows)

    def append_history(self, instance_id: str, episode: int, events: list[Event]) -> None:
        self._db.execute(
            "insert into history values (?, ?, ?)",
            (instance_id, episode, compact([played(e) for e in events])),
        )

    def replace_history(self, instance_id: str, events: list[Event]) -> None:
        self._db.execute("delete from history where instance_id = ?", (instance_id,))
        self.append_history(instance_id, 0, events)

    # ------------------------------------------------------------------ inbox

    def post(
        self, instance_id: str, item: Event, *, execution_id: str | None = None, due: int = 0
    ) -> None:
        self._db.execute(
            "insert into inbox (instance_id, execution_id, due, event) values (?, ?, ?, ?)",
            (instance_id, execution_id, due, compact(item)),
        )

    def messages(self, instance_id: str, now_ms: int) -> list[Message]:
        rows = self._db.execute(
            "select seq, execution_id, event from inbox where instance_id = ? and due <= ? "
            "order by seq",
            (instance_id, now_ms),
        )
        return [Message(seq, execution, json.loads(text)) for seq, execution, text in rows]

    def take(self, messages: Iterable[Message]) -> None:
        self._db.executemany("delete from inbox where seq = ?", [(m.seq,) for m in messages])

    def waiting(self) -> list[tuple[str, int]]:
        """Instance ids with messages and when each becomes due, in order of arrival."""
        return self._db.execute("select instance_id, due from inbox order by seq").fetchall()

    # ------------------------------------------------------------------ work and timers

    def add_work(
        self, instance_id: str, execution_id: str, event_id: int, name: str, input_: str | None
    ) -> Work:
        cursor = self._db.execute(
            "insert into work (instance_id, execution_id, event_id, name, input) "
            "values (?, ?, ?, ?, ?)",
            (instance_id, execution_id, event_id, name, input_),
        )
        return Work(cursor.lastrowid or 0, instance_id, execution_id, event_id, name, input_)

    def all_work(self) -> list[Work]:
        rows = self._db.execute(
            "select seq, instance_id, execution_id, event_id, name, input from work order by seq"
        )
        return [Work(*row) for row in rows]

    def finish_work(self, work: Work) -> None:
        self._db.execute("delete from work where seq = ?", (work.seq,))

    def add_timer(
        self, instance_id: str, execution_id: str, event_id: int, fire_ms: int, fire_at: str
    ) -> Timer:
        cursor = self._db.execute(
            "insert into timers (instance_id, execution_id, event_id, fire_ms, fire_at) "
            "values (?, ?, ?, ?, ?)",
            (instance_id, execution_id, event_id, fire_ms, fire_at),
        )
        return Timer(cursor.lastrowid or 0, instance_id, execution_id, event_id, fire_ms, fire_at)

    def all_timers(self) -> list[Timer]:
        rows = self._db.execute(
            "select seq, instance_id, execution_id, event_id, fire_ms, fire_at from timers "
            "order by seq"
        )
        return [Timer(*row) for row in rows]

    def take_timer(self, timer: Timer) -> bool:
        """Whether the timer was still there: not cancelled, its instance not gone."""
        cursor = self._db.execute("delete from timers where seq = ?", (timer.seq,))
        return cursor.rowcount > 0

    def drop_timers(self, instance_id: str, event_ids: Iterable[int] | None = None) -> None:
        if event_ids is None:
            self._db.execute("delete from timers where instance_id = ?", (instance_id,))
            return
        self._db.executemany(
            "delete from timers where instance_id = ? and event_id = ?",
            [(instance_id, number) for number in event_ids],
        )


def _instance(row: tuple[Any, ...]) -> Instance:
    item = Instance(*row)
    return replace(item, entity_exists=bool(item.entity_exists))
