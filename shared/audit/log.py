"""Appending to the audit chain, from any number of processes, across any crash.

The place of the next record follows from the last one alone: its sequence number plus one, in the
partition the last record names (its own day, or, after a ``day_end`` record, the day that one
names). Creating a document only if absent at that place is what serialises writers; whoever comes
second reads the winner's record and tries the place after it. So the chain cannot fork, not even
around midnight between clocks that disagree.

The head document in ``control`` only says how far the chain is known to reach. It saves walking,
and it gives away a chain whose end was cut off. A crash between record and head leaves the head
behind; the next append brings it forward.

With an idempotency key, a claim is stored before the record, holding where the chain ended then.
A record with that key can only be at or after that place, and every writer looks at each record
it passes. So a repeated append finds the first one, whatever crashed in between.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from shared.audit.chain import CONTAINER, HEAD_CONTAINER, HEAD_ID, documents, export
from shared.audit.kinds import DAY_END, GENESIS, KINDS
from shared.audit.record import (
    GENESIS_DAY,
    NO_HASH,
    AuditRecord,
    canonical,
    from_document,
    record_id,
    sealed,
    to_document,
)
from shared.audit.redaction import refuse_secrets
from shared.clock import Clock, day
from shared.errors import AlreadyExists, AuditBroken, Conflict, InvalidInput, NotFound
from shared.storage.document import clean
from shared.storage.store import Document, Store, Where

_DAY_MS = 86_400_000

#: An end of the chain that was seen longer ago than this is looked up in the head first, instead of
#: walking over all that other processes appended meanwhile.
FRESH_MS = 200


@lru_cache(maxsize=64)
def _day(number: int) -> str:
    """The UTC day with that number since the epoch; formatting one per append would show."""
    return day(number * _DAY_MS)


class AuditLog:
    """The audit chain of one account.

    Parameters
    ----------
    store : Store
    clock : Clock
    account : str
        Names the chain; partition of its head in ``control``.
    """

    def __init__(self, store: Store, clock: Clock, account: str) -> None:
        self._store = store
        self._clock = clock
        self._account = account
        self._lock = threading.Lock()
        self._tail: AuditRecord | None = None
        self._head: Document | None = None
        self._first = ""
        self._seen_at = 0

    # ------------------------------------------------------------------ append

    def append(
        self,
        kind: str,
        body: dict[str, Any],
        *,
        correlation: str = "",
        key: str = "",
    ) -> AuditRecord:
        """Add a record to the chain.

        Parameters
        ----------
        kind : str
            One of :data:`shared.audit.kinds.KINDS`.
        body : dict
            What happened; Decimals become strings, as everywhere in the store.
        correlation : str
            Id of the decision it belongs to.
        key : str
            Makes the append idempotent: doing it again returns the record that is there.

        Raises
        ------
        InvalidInput
            On an unknown kind, content that JSON cannot keep, or a secret; nothing was written.
        AlreadyExists
            When the key was used for other content; nothing was written.
        StoreUnavailable
            The record may or may not be there; with a key it is safe to append again.
        AuditBroken
            When the end of the chain is not readable as a chain.
        """
        if kind not in KINDS:
            raise InvalidInput(f"{kind!r} is not a kind of audit record")
        content = clean(body)
        refuse_secrets(content, canonical(content))
        with self._lock:
            # After a failure the end we remember may be behind, never wrong: an append that
            # finds its place taken reads on from there.
            tail = self._current_tail()
            if key:
                start = self._claim(key, tail)
                if start is not None and (found := self._find(key, start)) is not None:
                    return self._repeated(found, kind, correlation, content)
            return self._extend(self._tail or tail, kind, correlation, key, content)

    def _extend(
        self,
        tail: AuditRecord,
        kind: str,
        correlation: str,
        key: str,
        body: dict[str, Any],
    ) -> AuditRecord:
        while True:
            now = self._clock.now_ms()
            today = _day(now // _DAY_MS)
            ends = today > tail.next_day
            record = sealed(
                AuditRecord(
                    account=self._account,
                    seq=tail.seq + 1,
                    day=tail.next_day,
                    time=now,
                    kind=DAY_END if ends else kind,
                    correlation="" if ends else correlation,
                    key="" if ends else key,
                    body={"next": today} if ends else body,
                    prev_hash=tail.hash,
                )
            )
            try:
                self._store.create(CONTAINER, to_document(record))
            except AlreadyExists:
                other = self._at(tail.next_day, tail.seq + 1)
                if other is None:
                    raise AuditBroken(
                        f"{record.id} cannot be written and is not there on {tail.next_day}"
                    ) from None
                tail = self._follow(tail, other)
                if key and other.key == key:
                    self._advance(tail)
                    return self._repeated(other, kind, correlation, body)
                continue
            tail = record
            if not ends:
                self._advance(tail)
                return record

    def _repeated(
        self, found: AuditRecord, kind: str, correlation: str, body: dict[str, Any]
    ) -> AuditRecord:
        if not found.same_content(kind, correlation, body):
            raise AlreadyExists(
                f"audit key {found.key!r} already stands for record {found.seq} with other content"
            )
        return found

    # ------------------------------------------------------------------ where the chain ends

    def _current_tail(self) -> AuditRecord:
        """The last record there is, as far as we know; walks only what others just appended.

        Comes before the claim of a key: what is skipped here is older than the claim, so a record
        with that key is not among it, or the claim is and names where to look.
        """
        tail = self._tail
        if tail is not None and not 0 <= self._clock.now_ms() - self._seen_at < FRESH_MS:
            tail = self._tail = self._ahead(tail)
            self._seen_at = self._clock.now_ms()
        if tail is None:
            start, lost = self._start()
            tail = self._walk(start)
            if lost:
                body = {"what": "the audit head was missing", "seq": tail.seq, "hash": tail.hash}
                return self._extend(tail, "incident", "", "", body)
            self._advance(tail)
        return tail

    def _start(self) -> tuple[AuditRecord, bool]:
        """A record to walk from, and whether the head was lost.

        The head's record, else the first of the chain, made if need be.
        """
        if (known := self._from_head()) is not None:
            return known, False
        now = self._clock.now_ms()
        genesis = sealed(
            AuditRecord(
                account=self._account,
                seq=0,
                day=GENESIS_DAY,
                time=now,
                kind=GENESIS,
                correlation="",
                key="",
                body={"next": day(now)},
                prev_hash=NO_HASH,
            )
        )
        try:
            self._store.create(CONTAINER, to_document(genesis))
        except AlreadyExists:
            found = self._at(GENESIS_DAY, 0)
            if found is None:
                raise AuditBroken("the first record cannot be written and is not there") from None
            genesis = found
            # The head is made before record 1. With record 1 and still no head, it was lost.
            if self._at(genesis.next_day, 1) is not None:
                if (known := self._from_head()) is not None:
                    return known, False
                self._first = genesis.next_day
                return genesis, True
        self._first = genesis.next_day
        self._advance(genesis)
        return genesis, False

    def _from_head(self) -> AuditRecord | None:
        self._head = self._store.get(HEAD_CONTAINER, self._account, HEAD_ID)
        return None if self._head is None else self._headed(self._head)

    def _ahead(self, tail: AuditRecord) -> AuditRecord:
        """The head's record where it is further than ``tail``."""
        self._head = self._store.get(HEAD_CONTAINER, self._account, HEAD_ID)
        if self._head is None or self._head.body["seq"] <= tail.seq:
            return tail
        return self._headed(self._head)

    def _headed(self, head: Document) -> AuditRecord:
        at = head.body
        found = self._at(at["day"], at["seq"])
        if found is None or found.hash != at["hash"]:
            raise AuditBroken(f"record {at['seq']} on {at['day']} is not what the head says")
        self._first = at["first"]
        return found

    def _walk(self, tail: AuditRecord) -> AuditRecord:
        while (found := self._at(tail.next_day, tail.seq + 1)) is not None:
            tail = self._follow(tail, found)
        return tail

    def _follow(self, tail: AuditRecord, found: AuditRecord) -> AuditRecord:
        if found.prev_hash != tail.hash:
            raise AuditBroken(f"record {found.seq} on {found.day} does not continue the chain")
        return found

    def _at(self, in_day: str, seq: int) -> AuditRecord | None:
        found = self._store.get(CONTAINER, in_day, record_id(self._account, seq))
        return None if found is None else from_document(found.body)

    def _advance(self, tail: AuditRecord) -> None:
        """Remember the end of the chain, here and in the head; the head never moves back."""
        self._tail = tail
        self._seen_at = self._clock.now_ms()
        body = {
            "id": HEAD_ID,
            "scope": self._account,
            "seq": tail.seq,
            "day": tail.day,
            "hash": tail.hash,
            "first": self._first,
        }
        while True:
            try:
                if self._head is None:
                    self._head = self._store.create(HEAD_CONTAINER, body)
                elif self._head.body["seq"] < tail.seq:
                    self._head = self._store.replace(HEAD_CONTAINER, body, etag=self._head.etag)
                return
            except (AlreadyExists, Conflict, NotFound):
                self._head = self._store.get(HEAD_CONTAINER, self._account, HEAD_ID)

    # ------------------------------------------------------------------ idempotency

    def _claim(self, key: str, tail: AuditRecord) -> AuditRecord | None:
        """Store that the key is being used; returns from where to look for an earlier use."""
        name = hashlib.sha256(f"{self._account}|{key}".encode()).hexdigest()
        partition = f"key-{name[:2]}"
        claim = {"id": name, "day": partition, "seq": tail.seq, "in": tail.day}
        try:
            self._store.create(CONTAINER, claim)
        except AlreadyExists:
            found = self._store.get(CONTAINER, partition, name)
            if found is None:
                raise AuditBroken(f"the claim of audit key {key!r} has disappeared") from None
            start = self._at(found.body["in"], found.body["seq"])
            if start is None:
                raise AuditBroken(
                    f"record {found.body['seq']}, where audit key {key!r} was claimed, is gone"
                ) from None
            return start
        return None

    def _find(self, key: str, start: AuditRecord) -> AuditRecord | None:
        """The record with that key, looked for after ``start``; remembers the end it reached."""
        tail = start
        while (found := self._at(tail.next_day, tail.seq + 1)) is not None:
            tail = self._follow(tail, found)
            if found.key == key:
                return found
        self._tail = tail
        return None

    # ------------------------------------------------------------------ reading

    def head(self) -> AuditRecord | None:
        """The last record, ``None`` before the first append. Keep its ``seq`` and ``hash``
        elsewhere (a report, an alert) as an anchor for :func:`shared.audit.verify.verify`."""
        if self._store.get(CONTAINER, GENESIS_DAY, record_id(self._account, 0)) is None:
            return None
        with self._lock:
            self._tail = self._walk(self._current_tail())
            return self._tail

    def days(self) -> Iterator[str]:
        """The chain's days in order."""
        current = self._at(GENESIS_DAY, 0)
        while current is not None:
            yield current.next_day
            page = self._store.query(
                CONTAINER,
                current.next_day,
                where=[Where("account", "=", self._account), Where("kind", "=", DAY_END)],
                limit=1,
            )
            current = from_document(page.documents[0].body) if page.documents else None

    def records(
        self, *, correlation: str | None = None, kind: str | None = None, day: str | None = None
    ) -> Iterator[AuditRecord]:
        """Records in the order of the chain, all or those that match; without the log's own."""
        where = [Where("account", "=", self._account)]
        if correlation is not None:
            where.append(Where("correlation", "=", correlation))
        if kind is not None:
            where.append(Where("kind", "=", kind))
        for each in self.days() if day is None else (day,):
            for body in documents(self._store, each, where):
                if body["kind"] in KINDS:
                    yield from_document(body)

    def export(self, path: str | Path) -> int:
        """Write the chain as JSON Lines; see :func:`shared.audit.chain.export`."""
        return export(self._store, self._account, path)
