"""Checking the audit chain: every changed, removed, moved or inserted record is named.

What a chain alone cannot show is a forger who rewrites everything from some record to the end,
head included. Hashes kept elsewhere (in reports and alerts, see
:meth:`shared.audit.log.AuditLog.head`) are checked as ``anchors`` and close that gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from shared.audit.chain import CONTAINER, HEAD_CONTAINER, HEAD_ID, walk
from shared.audit.kinds import DAY_END, GENESIS, KINDS
from shared.audit.record import (
    GENESIS_DAY,
    NO_HASH,
    AuditRecord,
    digest,
    from_document,
    record_id,
)
from shared.errors import AuditBroken, InvalidInput
from shared.storage.store import Store

Finding = Literal["changed", "removed", "inserted", "moved", "unreadable", "truncated", "head"]
#: Findings after which the report says no more; the count goes on.
_REPORTED = 100


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with the chain. ``seq`` is -1 where no record can be named."""

    finding: Finding
    seq: int
    where: str
    text: str


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A record up to which a chain was found in order, its day and how many there were."""

    seq: int
    day: str
    hash: str
    records: int


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a verification.

    ``records`` counts what was read, now or up to a mark, ``last_seq``, ``last_day`` and
    ``last_hash`` are the end of the chain (-1 and empty when there is none), ``found`` is the
    number of all problems, of which the first hundred are in ``problems``.
    """

    account: str
    records: int
    last_seq: int
    last_hash: str
    found: int
    problems: tuple[Problem, ...]
    last_day: str = ""

    @property
    def ok(self) -> bool:
        return self.found == 0

    def require(self) -> None:
        """Raise :class:`~shared.errors.AuditBroken`, naming the first problem, unless ok."""
        if not self.ok:
            first = self.problems[0]
            raise AuditBroken(f"{self.found} problems, first: {first.text} ({first.where})")


class _Checker:
    """Takes records in order and notes what does not fit."""

    def __init__(self, account: str | None, anchors: Mapping[int, str]) -> None:
        self.account = account
        self.anchors = dict(anchors)
        self.records = self.found = 0
        self.problems: list[Problem] = []
        self.last: AuditRecord | None = None
        self._seq = 0
        # What the next record must say; None after a gap, when nothing is known.
        self._hash: str | None = NO_HASH
        self._day: str | None = GENESIS_DAY

    def go_on_from(self, record: AuditRecord, records: int) -> None:
        """Take everything up to this record for verified."""
        self.records, self.last = records, record
        self._seq, self._hash, self._day = record.seq + 1, record.hash, _next_day(record)

    def note(self, finding: Finding, seq: int, where: str, text: str) -> None:
        self.found += 1
        if len(self.problems) < _REPORTED:
            self.problems.append(Problem(finding=finding, seq=seq, where=where, text=text))

    def take(self, body: Any, where: str, partition: str | None) -> None:
        self.records += 1
        try:
            record = from_document(body if isinstance(body, dict) else {})
        except AuditBroken as error:
            self.note("unreadable", -1, where, str(error))
            # Its neighbours say whether it stood in the place of a record.
            return
        if self.account is None:
            self.account = record.account
        if not self._placed(record, body, where, partition):
            return
        if digest(record) != record.hash:
            self.note("changed", record.seq, where, f"record {record.seq} was changed")
        elif self._hash is not None and record.prev_hash != self._hash:
            self.note(
                "changed",
                record.seq,
                where,
                f"record {record.seq} does not continue record {record.seq - 1}; "
                "one of them was replaced",
            )
        if (record.seq == 0) != (record.kind == GENESIS) or (
            record.kind not in KINDS and record.kind not in (GENESIS, DAY_END)
        ):
            self.note("changed", record.seq, where, f"record {record.seq} is a {record.kind!r}")
        wanted = self.anchors.pop(record.seq, record.hash)
        if wanted != record.hash:
            text = f"record {record.seq} has not the hash that was kept elsewhere"
            self.note("changed", record.seq, where, text)
        self._seq, self._hash = record.seq + 1, record.hash
        self._day, self.last = _next_day(record), record

    def _placed(
        self, record: AuditRecord, body: dict[str, Any], where: str, partition: str | None
    ) -> bool:
        """Whether the record is where it belongs or at least goes on from there."""
        if partition is not None and (
            body.get("id") != record_id(record.account, record.seq) or record.day != partition
        ):
            self.note("moved", record.seq, where, f"record {record.seq} was moved to {where}")
            return False
        if record.account != self.account:
            self.note("inserted", record.seq, where, f"record {record.seq} is of another account")
            return False
        if record.seq < self._seq:
            text = f"record {record.seq} comes after record {self._seq - 1}"
            self.note("inserted", record.seq, where, text)
            return False
        if record.seq > self._seq:
            for missing in range(self._seq, min(record.seq, self._seq + _REPORTED)):
                self.note("removed", missing, where, f"record {missing} is missing")
            self._hash = self._day = None
        elif self._day is not None and record.day != self._day:
            text = f"record {record.seq} is on {record.day}, it belongs on {self._day}"
            self.note("moved", record.seq, where, text)
        return True

    def report(self) -> VerifyReport:
        for seq in sorted(self.anchors):
            text = f"record {seq}, whose hash was kept elsewhere, is missing"
            self.note("truncated", seq, "end", text)
        return VerifyReport(
            account=self.account or "",
            records=self.records,
            last_seq=-1 if self.last is None else self.last.seq,
            last_hash="" if self.last is None else self.last.hash,
            found=self.found,
            problems=tuple(self.problems),
            last_day="" if self.last is None else self.last.day,
        )


def _next_day(record: AuditRecord) -> str | None:
    try:
        return record.next_day
    except KeyError:
        return None


def verify(
    store: Store,
    account: str,
    *,
    anchors: Mapping[int, str] | None = None,
    after: Mark | None = None,
) -> VerifyReport:
    """Check the whole chain of an account, one page in memory at a time.

    Parameters
    ----------
    anchors : mapping of int to str, optional
        Sequence number -> hash, as kept outside the store.
    after : Mark, optional
        Only what follows this record, once it has been found to be the same still. What was
        changed before it since is not seen.
    """
    # Read before the records: what is appended meanwhile lies beyond it.
    head = store.get(HEAD_CONTAINER, account, HEAD_ID)
    checker = _Checker(account, anchors or {})
    known: dict[str, Any] = {} if head is None else head.body
    seq, at_head = known.get("seq"), None
    marked = None if after is None else _marked(store, account, after)
    if after is not None and marked is not None:
        checker.go_on_from(marked, after.records)
        at_head = marked if marked.seq == seq else None
    for partition, body in walk(store, account, marked):
        checker.take(body, f"{partition}/{body.get('id')}", partition)
        if checker.last is not None and checker.last.seq == seq:
            at_head = checker.last
    last = -1 if checker.last is None else checker.last.seq
    if head is None:
        # The head is written before record 1.
        if last > 0:
            checker.note("head", -1, HEAD_ID, "the head is missing")
    elif not isinstance(seq, int):
        checker.note("head", -1, HEAD_ID, "the head names no record")
    elif seq > last:
        text = f"records {last + 1} to {seq} are missing at the end of the chain"
        checker.note("truncated", last + 1, HEAD_ID, text)
    elif at_head is not None and (at_head.hash, at_head.day) != (
        known.get("hash"),
        known.get("day"),
    ):
        checker.note("head", seq, HEAD_ID, f"record {seq} is not the one the head names")
    return checker.report()


def _marked(store: Store, account: str, mark: Mark) -> AuditRecord | None:
    """The record of a mark; ``None``, so that all is verified, where it is not what it was."""
    found = store.get(CONTAINER, mark.day, record_id(account, mark.seq))
    if found is None or mark.seq < 1:
        return None
    try:
        record = from_document(found.body)
    except AuditBroken:
        return None
    same = (record.seq, record.day, record.hash) == (mark.seq, mark.day, mark.hash)
    return record if same and digest(record) == record.hash else None


def verify_file(path: str | Path, *, anchors: Mapping[int, str] | None = None) -> VerifyReport:
    """Check an exported chain.

    Raises
    ------
    InvalidInput
        When there is no such file.
    """
    checker = _Checker(None, anchors or {})
    trailer: Any = None
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                where = f"line {number}"
                if trailer is not None:
                    checker.note("inserted", -1, where, "there are lines after the last one")
                try:
                    body = msgspec.json.decode(line)
                except msgspec.DecodeError as error:
                    checker.note("unreadable", -1, where, f"{where} is not JSON: {error}")
                    continue
                if isinstance(body, dict) and "records" in body:
                    trailer = body
                else:
                    checker.take(body, where, None)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from error
    last = checker.last
    end = {
        "account": checker.account or (trailer or {}).get("account"),
        "records": checker.records,
        "head": "" if last is None else last.hash,
    }
    if trailer is None:
        checker.note("truncated", -1, "end of file", "the last line is missing")
    elif trailer != end:
        checker.note("truncated", -1, "last line", "the last line does not fit the records")
    return checker.report()
