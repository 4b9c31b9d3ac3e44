"""What the state holds of a period: records as they are stored, and whether the audit verifies."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from shared.audit.chain import documents
from shared.audit.progress import verify_on
from shared.audit.record import AuditRecord, digest, from_document
from shared.audit.verify import VerifyReport, verify
from shared.clock import DAY_MS, day, iso
from shared.errors import AuditBroken, InvalidInput
from shared.storage.store import Store, Where, every

#: Longest period of one bundle.
DAYS = 31
#: Rows of one part; what is beyond is left out, and said so.
ROWS = 20_000

Row = dict[str, Any]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One list of a bundle; ``cut`` where the period holds more rows than are taken."""

    rows: list[Row]
    cut: bool = False


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the records of the period that is not as it was written."""

    seq: int
    text: str


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """A period as the state has it, ``since`` and ``until`` in UTC milliseconds, both included.

    ``whole`` says whether ``verification`` looked at all of the chain, or at what was appended
    since it was verified last; ``links`` at each record of the period, whatever came before.
    """

    account: str
    since: int
    until: int
    control: dict[str, Row | None]
    parts: dict[str, Part]
    verification: VerifyReport
    whole: bool
    links: tuple[Link, ...]

    @property
    def cut(self) -> list[str]:
        """Names of the parts that are not complete."""
        return [name for name, part in self.parts.items() if part.cut]


#: Documents of ``control`` that tell how things stand now.
_CONTROL = ("kill-switch", "risk-ledger", "drill", "stage", "compliance", "audit-head")


def gather(
    store: Store, account: str, since: int, until: int, *, whole: bool = False, rows: int = ROWS
) -> Gathered:
    """Read a period.

    Parameters
    ----------
    since, until : int
        UTC milliseconds, both included.
    whole : bool
        Verify the audit chain from its beginning.
    rows : int
        Most rows of each part.

    Raises
    ------
    InvalidInput
        For a period that is none, or too long.
    StoreError
        Something could not be read.
    """
    if not since < until:
        raise InvalidInput(f"the end {iso(until)} is not after the beginning {iso(since)}")
    if until - since > DAYS * DAY_MS:
        raise InvalidInput(f"a bundle covers at most {DAYS} days; choose a shorter period")

    def of(container: str, field: str, *, text: bool = False) -> Part:
        first: int | str = iso(since) if text else since
        last: int | str = iso(until) if text else until
        where = [Where(field, ">=", first), Where(field, "<=", last)]
        found = every(store, container, account, where=where, order_by=field, limit=500)
        return _part((d.body for d in found), rows)

    audit = _part(_audit(store, account, since, until), rows)
    report = verify(store, account) if whole else verify_on(store, account)
    return Gathered(
        account=account,
        since=since,
        until=until,
        control={name: _control(store, account, name) for name in _CONTROL},
        parts={
            "alerts": of("alerts", "time", text=True),
            "violations": of("violations", "time"),
            "approvals": of("approvals", "requestedAt"),
            "decisions": Part(rows=_decisions(audit.rows), cut=audit.cut),
            # What moved in the period, also if it is older.
            "orders": of("orders", "updatedAt"),
            "trades": of("trades", "closedAt"),
            "positions": _part((d.body for d in every(store, "positions", account)), rows),
            "dead-letters": _dead_letters(store, since, until, rows),
            "audit": audit,
        },
        verification=report,
        whole=whole,
        links=_links(audit.rows),
    )


def _control(store: Store, account: str, id: str) -> Row | None:
    found = store.get("control", account, id)
    return None if found is None else found.body


def _part(found: Iterator[Row], most: int) -> Part:
    rows = list(islice(found, most + 1))
    return Part(rows=rows[:most], cut=len(rows) > most)


def _audit(store: Store, account: str, since: int, until: int) -> Iterator[Row]:
    # A writer whose clock is behind appends to the chain's day, which is later than its own.
    first, last = since // DAY_MS, until // DAY_MS + 1
    own = [Where("account", "=", account)]
    for number in range(first, last + 1):
        for body in documents(store, day(number * DAY_MS), own):
            at = body.get("time")
            if isinstance(at, int) and since <= at <= until:
                yield {name: value for name, value in body.items() if name != "id"}


def _decisions(audit: list[Row]) -> list[Row]:
    """Decisions without their inputs, which the audit records have."""
    found = []
    for row in audit:
        body = row.get("body")
        if row.get("kind") == "decision" and isinstance(body, dict):
            found.append({"seq": row.get("seq"), "decision": body.get("decision")})
    return found


def _dead_letters(store: Store, since: int, until: int, rows: int) -> Part:
    """Poison events as text, so that what is withheld elsewhere is withheld in them."""
    where = [Where("time", ">=", iso(since)), Where("time", "<=", iso(until))]
    found: list[Row] = []
    for source in ("market", "executions", "risk", "compliance"):
        for document in every(store, "deadletter", source, where=where, order_by="time"):
            row = dict(document.body)
            try:
                row["body"] = base64.b64decode(str(row.get("body", ""))).decode(errors="replace")
            except binascii.Error:
                row["body"] = "(not base64)"
            found.append(row)
            if len(found) > rows:
                return Part(rows=found[:rows], cut=True)
    return Part(rows=found)


def _links(audit: list[Row]) -> tuple[Link, ...]:
    """What does not fit in the records of the period, each looked at with the one before it."""
    wrong: list[Link] = []
    before: AuditRecord | None = None
    for row in sorted(audit, key=_seq):
        try:
            record = from_document(row)
        except AuditBroken as error:
            wrong.append(Link(seq=_seq(row), text=str(error)))
            continue
        if digest(record) != record.hash:
            wrong.append(Link(seq=record.seq, text=f"record {record.seq} was changed"))
        elif (
            before is not None and record.seq == before.seq + 1 and record.prev_hash != before.hash
        ):
            text = f"record {record.seq} does not continue record {before.seq}"
            wrong.append(Link(seq=record.seq, text=text))
        before = record
    return tuple(wrong)


def _seq(row: Row) -> int:
    seq = row.get("seq")
    return seq if isinstance(seq, int) else -1


def fingerprint(data: bytes) -> str:
    """SHA-256 in hex: a file of a bundle that was changed afterwards is found out."""
    return hashlib.sha256(data).hexdigest()
