"""The store on SQLite: what the embedded platform runs on.

One table per container, clustered by (partition, id). A write is one statement, hence atomic
without an explicit transaction; a patch is read, change, replace under the ETag, the same as on
Cosmos DB. Several processes may share the file (write-ahead log).
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal

import msgspec

from shared.clock import Clock
from shared.errors import AlreadyExists, Conflict, InvalidInput, NotFound, StoreUnavailable
from shared.storage import document as doc
from shared.storage.containers import CONTAINERS, Container
from shared.storage.store import Body, Document, Page, Patch, Where

_LIVE = "(expires IS NULL OR expires > ?)"
#: Writes after which expired documents are swept.
_SWEEP_EVERY = 4096
#: What is asked for every few minutes among documents that become ever more. (Cosmos DB indexes
#: every field.)
_INDEXED = {"orders": ("state", "updatedAt"), "alerts": ("state",)}
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class SqliteStore:
    """Documents in one SQLite file.

    Parameters
    ----------
    path : str
        File, made if absent (with its folder), or ``":memory:"``.
    clock : Clock
        Decides what has expired.
    busy_timeout : float
        Seconds of real time to wait for another process that is writing.
    durability : {"process", "power"}
        What an acknowledged write survives: a killed process, or a power cut as well (one disk
        flush per write).

    Raises
    ------
    StoreUnavailable
        When the file cannot be opened.
    """

    def __init__(
        self,
        path: str,
        *,
        clock: Clock,
        busy_timeout: float = 5.0,
        durability: Literal["process", "power"] = "process",
    ) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._writes = 0
        # Never repeated: unique to this opening of the file, then counted.
        self._etag_prefix = os.urandom(8).hex()
        self._etags = itertools.count()
        with self._errors():
            if path != ":memory:" and (folder := os.path.dirname(path)):
                os.makedirs(folder, exist_ok=True)
            # Rows are short-lived and statements few: a larger cache keeps them all prepared.
            self._connection = sqlite3.connect(
                path,
                timeout=busy_timeout,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=512,
            )
        try:
            with self._errors():
                self._prepare(durability)
        except StoreUnavailable:
            self._connection.close()
            raise

    def _prepare(self, durability: str) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        run(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
        run("PRAGMA temp_store = MEMORY")
        for container in CONTAINERS.values():
            run(
                f'CREATE TABLE IF NOT EXISTS "{container.name}" ('
                " partition TEXT NOT NULL, id TEXT NOT NULL, etag TEXT NOT NULL,"
                " ttl INTEGER, expires INTEGER, body TEXT NOT NULL,"
                " PRIMARY KEY (partition, id)) WITHOUT ROWID"
            )
            run(
                f'CREATE INDEX IF NOT EXISTS "{container.name}.expires"'
                f' ON "{container.name}" (expires) WHERE expires IS NOT NULL'
            )
            for asked in _INDEXED.get(container.name, ()):
                run(
                    f'CREATE INDEX IF NOT EXISTS "{container.name}.{asked}"'
                    f' ON "{container.name}" (partition, json_extract(body, {_path(asked)}))'
                )
            for field in container.unique:
                # As on Cosmos DB a missing field is one value: only one document may lack it.
                run(
                    f'CREATE UNIQUE INDEX IF NOT EXISTS "{container.name}.{field}"'
                    f' ON "{container.name}"'
                    f" (partition, coalesce(json_extract(body, '$.{field}'), x'00'))"
                )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.IntegrityError:
                raise
            except (sqlite3.Error, OSError) as error:
                raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(f"state file {self._path}: {error}")

    # ------------------------------------------------------------------ reads

    def get(self, container: str, partition: str, id: str) -> Document | None:
        """Point read; an expired document is absent."""
        found = self._read(doc.container_named(container), partition, id)
        return None if found is None else found[0]

    def _read(
        self, container: Container, partition: str, id: str
    ) -> tuple[Document, int | None] | None:
        # A busy statement: without the context manager, which costs as much as the read.
        try:
            with self._lock:
                row = self._connection.execute(
                    f'SELECT body, etag, ttl FROM "{container.name}"'
                    f" WHERE partition = ? AND id = ? AND {_LIVE}",
                    (partition, id, self._clock.now_ms()),
                ).fetchone()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error
        return None if row is None else (Document(body=_decode(row[0]), etag=row[1]), row[2])

    def query(
        self,
        container: str,
        partition: str,
        *,
        where: Sequence[Where] = (),
        order_by: str = "id",
        descending: bool = False,
        limit: int = 100,
        continuation: str | None = None,
    ) -> Page:
        """One page, ordered by the field and then by id.

        Documents in which the field is missing, an array or an object are left out.
        """
        if limit < 1:
            raise InvalidInput(f"limit {limit} must be at least 1")
        table = doc.container_named(container).name
        values: list[Any] = [partition, self._clock.now_ms()]
        conditions = []
        for condition in where:
            doc.check(condition)
            kind = doc.kind_of(condition.value)
            if kind in ("number", "string"):
                values.append(condition.value)
            elif kind == "boolean":
                kind = "true" if condition.value else "false"
            conditions.append((condition.field, condition.operator, kind))
        if continuation is not None:
            query = doc.describe(container, partition, where, order_by, descending)
            values += doc.position(query, continuation)
        paged = continuation is not None
        sql = _selection(table, tuple(conditions), order_by, descending, paged)
        try:
            with self._lock:
                rows = self._connection.execute(sql, (*values, limit + 1)).fetchall()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error
        token = None
        if len(rows) > limit:
            query = doc.describe(container, partition, where, order_by, descending)
            token = doc.token(query, list(rows[limit - 1][2:]))
        return Page(
            documents=[Document(body=_decode(row[0]), etag=row[1]) for row in rows[:limit]],
            continuation=token,
        )

    # ------------------------------------------------------------------ writes

    def create(self, container: str, body: Body, *, ttl: int | None = None) -> Document:
        """Create only if absent; ``AlreadyExists`` when the id or a unique key is taken."""
        kind = doc.container_named(container)
        clean, partition, key, text = doc.prepare(kind, body, ttl)
        etag = self._new_etag()
        self._write(
            kind,
            partition,
            f'INSERT INTO "{kind.name}" (partition, id, etag, ttl, expires, body)'
            " VALUES (?, ?, ?, ?, ?, ?)",
            (partition, key, etag, ttl, self._expires(kind, ttl), text.decode()),
            f"{container} {partition}/{key}",
        )
        return Document(body=clean, etag=etag)

    def replace(self, container: str, body: Body, *, etag: str, ttl: int | None = None) -> Document:
        """Replace exactly that version; ``Conflict`` if it changed, ``NotFound`` if gone."""
        kind = doc.container_named(container)
        clean, partition, key, text = doc.prepare(kind, body, ttl)
        fresh = self._new_etag()
        with self._lock:
            changed = self._write(
                kind,
                partition,
                f'UPDATE "{kind.name}" SET etag = ?, ttl = ?, expires = ?, body = ?'
                f" WHERE partition = ? AND id = ? AND etag = ? AND {_LIVE}",
                (
                    fresh,
                    ttl,
                    self._expires(kind, ttl),
                    text.decode(),
                    partition,
                    key,
                    etag,
                    self._clock.now_ms(),
                ),
                f"{container} {partition}/{key}",
            )
            if not changed:
                self._explain_miss(kind, partition, key)
        return Document(body=clean, etag=fresh)

    def patch(
        self,
        container: str,
        partition: str,
        id: str,
        operations: Sequence[Patch],
        *,
        condition: Sequence[Where] = (),
    ) -> Document:
        """Apply all operations atomically if every condition holds; the time to live restarts."""
        kind = doc.container_named(container)
        while True:
            with self._lock:
                found = self._read(kind, partition, id)
                if found is None:
                    raise NotFound(f"{container} {partition}/{id}")
                current, ttl = found
                body = doc.patched(kind, current.body, operations, condition)
                try:
                    return self.replace(container, body, etag=current.etag, ttl=ttl)
                except (Conflict, NotFound):
                    continue  # another process was faster

    def delete(self, container: str, partition: str, id: str, *, etag: str | None = None) -> None:
        """Remove; ``NotFound`` if absent, ``Conflict`` if ``etag`` is given and differs."""
        kind = doc.container_named(container)
        version, values = ("", ()) if etag is None else (" AND etag = ?", (etag,))
        with self._lock:
            removed = self._write(
                kind,
                partition,
                f'DELETE FROM "{kind.name}" WHERE partition = ? AND id = ? AND {_LIVE}{version}',
                (partition, id, self._clock.now_ms(), *values),
                f"{container} {partition}/{id}",
            )
            if not removed:
                self._explain_miss(kind, partition, id)

    def purge(self) -> int:
        """Remove what has expired from the file; returns how many documents."""
        now, removed = self._clock.now_ms(), 0
        with self._errors():
            for name in CONTAINERS:
                removed += self._connection.execute(
                    f'DELETE FROM "{name}" WHERE expires <= ?', (now,)
                ).rowcount
        return removed

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    # ------------------------------------------------------------------ helpers

    def _write(
        self, container: Container, partition: str, sql: str, values: tuple[Any, ...], what: str
    ) -> int:
        try:
            with self._lock:
                self._writes += 1
                if self._writes % _SWEEP_EVERY == 0:
                    self.purge()
                try:
                    return self._connection.execute(sql, values).rowcount
                except sqlite3.IntegrityError:
                    # Something is in the way; if it has expired it is not.
                    self._connection.execute(
                        f'DELETE FROM "{container.name}" WHERE partition = ? AND expires <= ?',
                        (partition, self._clock.now_ms()),
                    )
                return self._connection.execute(sql, values).rowcount
        except sqlite3.IntegrityError as error:
            raise AlreadyExists(f"{what}: the id or a unique key is taken") from error
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _explain_miss(self, container: Container, partition: str, id: str) -> None:
        what = f"{container.name} {partition}/{id}"
        if self._read(container, partition, id) is None:
            raise NotFound(what)
        raise Conflict(f"{what} changed since it was read")

    def _new_etag(self) -> str:
        return f"{self._etag_prefix}-{next(self._etags):x}"

    def _expires(self, container: Container, ttl: int | None) -> int | None:
        seconds = container.ttl if ttl is None else ttl
        return None if seconds == -1 else self._clock.now_ms() + seconds * 1000


def _path(field: str) -> str:
    return "'$" + "".join(f'."{segment}"' for segment in doc.segments(field)) + "'"


# The application asks few kinds of questions, each of them every minute.
@lru_cache(maxsize=256)
def _selection(
    table: str,
    conditions: tuple[tuple[str, str, str], ...],
    order_by: str,
    descending: bool,
    paged: bool,
) -> str:
    """The statement of a query; conditions are (field, operator, type of the value)."""
    texts = ["partition = ?", _LIVE, *(_condition(*condition) for condition in conditions)]
    if order_by == "id":
        keys = ["id"]
    else:
        path = _path(order_by)
        keys = [
            f"CASE json_type(body, {path}) WHEN 'null' THEN 0 WHEN 'false' THEN 1 WHEN 'true'"
            " THEN 1 WHEN 'integer' THEN 2 WHEN 'real' THEN 2 WHEN 'text' THEN 3 END",
            f"ifnull(json_extract(body, {path}), 0)",
            "id",
        ]
        texts.append(f"json_type(body, {path}) IN ('null','false','true','integer','real','text')")
    if paged:
        texts.append(
            f"({', '.join(keys)}) {'<' if descending else '>'} ({', '.join('?' * len(keys))})"
        )
    direction = " DESC" if descending else ""
    index = _index(table, conditions)
    return (
        f'SELECT body, etag, {", ".join(keys)} FROM "{table}"{index} WHERE {" AND ".join(texts)}'
        f" ORDER BY {', '.join(key + direction for key in keys)} LIMIT ?"
    )


def _index(table: str, conditions: tuple[tuple[str, str, str], ...]) -> str:
    """The index to read by; without statistics the planner reads the whole partition instead."""
    for field in _INDEXED.get(table, ()):
        for asked, operator, kind in conditions:
            if asked == field and operator != "!=" and kind in ("string", "number"):
                return f' INDEXED BY "{table}.{field}"'
    return ""


def _condition(field: str, operator: str, kind: str) -> str:
    """A condition as SQL; types are compared first because SQLite would mix them."""
    if field == "id" and kind == "string":
        return f"id {operator} ?"
    path = _path(field)
    compared = "=" if operator == "!=" else operator
    match kind:
        case "null" | "true" | "false":
            text = f"json_type(body, {path}) = '{kind}'"
        case "number":
            text = f"json_type(body, {path}) IN ('integer', 'real')"
            text = f"({text} AND json_extract(body, {path}) {compared} ?)"
        case _:
            text = f"(json_type(body, {path}) = 'text' AND json_extract(body, {path}) {compared} ?)"
    return f"(json_type(body, {path}) IS NOT NULL AND NOT {text})" if operator == "!=" else text
