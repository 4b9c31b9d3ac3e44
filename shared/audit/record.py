"""One audit record, its canonical form, and its hash."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from shared.audit.kinds import DAY_END, GENESIS
from shared.errors import AuditBroken

#: ``prev_hash`` of the first record.
NO_HASH = "0" * 64
#: The partition of the first record of every chain: found without knowing any day.
GENESIS_DAY = "genesis"


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One link of the chain.

    Parameters
    ----------
    account : str
        Whose chain it is.
    seq : int
        Position in the chain, from 0, without gaps.
    day : str
        The chain's UTC day and the record's partition. It never runs backward: a writer whose
        clock is behind still appends to the chain's day.
    time : int
        UTC ms on the writer's clock.
    kind : str
        One of :data:`shared.audit.kinds.KINDS`, or what the log writes itself.
    correlation : str
        Id of the decision it belongs to, for explaining; empty where there is none.
    key : str
        Idempotency key of the append; empty where there was none.
    body : dict
        What happened.
    prev_hash, hash : str
        SHA-256 in hex of the record before and of this one without ``hash``.
    """

    account: str
    seq: int
    day: str
    time: int
    kind: str
    correlation: str
    key: str
    body: dict[str, Any]
    prev_hash: str
    hash: str = ""

    @property
    def id(self) -> str:
        """The document id; sorts like ``seq``."""
        return record_id(self.account, self.seq)

    @property
    def next_day(self) -> str:
        """The partition in which the next record is, whoever writes it."""
        return str(self.body["next"]) if self.kind in (GENESIS, DAY_END) else self.day

    def same_content(self, kind: str, correlation: str, body: dict[str, Any]) -> bool:
        """Whether it says the same, bit for bit, whenever it was said."""
        return (self.kind, self.correlation) == (kind, correlation) and canonical(
            self.body
        ) == canonical(body)


def record_id(account: str, seq: int) -> str:
    return f"{seq:012d}-{account}"


_encoder = msgspec.json.Encoder(order="deterministic")
#: Canonical JSON: UTF-8, keys sorted, no blanks.
canonical = _encoder.encode


def digest(record: AuditRecord) -> str:
    """SHA-256 over the canonical JSON of everything but ``hash``."""
    return hashlib.sha256(
        canonical(
            [
                record.account,
                record.seq,
                record.day,
                record.time,
                record.kind,
                record.correlation,
                record.key,
                record.body,
                record.prev_hash,
            ]
        )
    ).hexdigest()


def sealed(record: AuditRecord) -> AuditRecord:
    """The record with its hash."""
    return msgspec.structs.replace(record, hash=digest(record))


def to_document(record: AuditRecord) -> dict[str, Any]:
    """The stored form."""
    return {"id": record.id, **msgspec.structs.asdict(record)}


def from_document(body: dict[str, Any]) -> AuditRecord:
    """Read the stored form.

    Raises
    ------
    AuditBroken
        When it is not a record.
    """
    fields = {name: value for name, value in body.items() if name != "id"}
    try:
        return msgspec.convert(fields, AuditRecord)
    except msgspec.ValidationError as error:
        raise AuditBroken(f"{body.get('id')!r} is not an audit record: {error}") from error
