"""A decision explained: what it was taken from, and whether it comes out the same again."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from shared.audit.log import AuditLog
from shared.audit.record import AuditRecord
from shared.clock import DAY_MS, day
from shared.errors import AuditBroken, NotFound
from shared.execution.assess import CONTAINER, decision_key
from shared.risk.decision import Decision, DecisionInputs, canonical_json
from shared.risk.gate import decide
from shared.storage.store import Store

#: Symbol, time frame, close of the bar in UTC milliseconds, version.
_ID = re.compile(r"([A-Z0-9]{1,20})-(\d{1,2}[mhd])-(\d{12,14})-v\d{1,6}")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a record stands in the audit chain."""

    seq: int
    day: str
    time: int
    hash: str


class Explained(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A decision as the audit chain has it.

    Parameters
    ----------
    audit : Place
        Its record.
    replays : bool
        Whether the inputs of the record give the same decision now, bit for bit.
    recomputed : Decision, optional
        What they give instead; ``None`` where it is the same.
    stored_alike : bool, optional
        Whether the state has the same decision; ``None`` where it has been removed from there.
    """

    id: str
    symbol: str
    audit: Place
    replays: bool
    recomputed: Decision | None
    stored_alike: bool | None
    decision: Decision
    inputs: DecisionInputs


def explained(store: Store, audit: AuditLog, id: str) -> Explained:
    """The decision of that id, looked for on the day its bar closed and the one after.

    Raises
    ------
    NotFound
        When the audit chain has no decision of that id.
    AuditBroken
        When the record is not what was written.
    """
    parts = _ID.fullmatch(id)
    if parts is None:
        raise NotFound(f"there is no decision {id}; ids look like BTCUSDT-1h-1746339900000-v1")
    symbol, closed = parts[1], int(parts[3])
    record = _recorded(audit, id, closed)
    if record is None:
        raise NotFound(f"the audit log has no decision {id}")
    inputs, recorded = in_record(id, record.body)
    again = decide(inputs)
    same = canonical_json(again) == canonical_json(recorded)
    document = store.get(CONTAINER, symbol, decision_key(id))
    return Explained(
        id=id,
        symbol=symbol,
        audit=Place(seq=record.seq, day=record.day, time=record.time, hash=record.hash),
        replays=same,
        recomputed=None if same else again,
        stored_alike=None if document is None else _alike(document.body, record.body),
        decision=recorded,
        inputs=inputs,
    )


def in_record(id: str, body: dict[str, Any]) -> tuple[DecisionInputs, Decision]:
    """Inputs and decision of an audit record's body.

    Raises
    ------
    AuditBroken
        When it is not what was written.
    """
    try:
        return (
            msgspec.convert(body["inputs"], DecisionInputs),
            msgspec.convert(body["decision"], Decision),
        )
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise AuditBroken(
            f"the record of {id} is not what was written: {error}; verify the audit chain"
        ) from error


def _recorded(audit: AuditLog, id: str, closed: int) -> AuditRecord | None:
    # A decision is taken within minutes of its bar's close, or never.
    for within in (day(closed), day(closed + DAY_MS)):
        for record in audit.records(correlation=id, kind="decision", day=within):
            return record
    return None


def _alike(stored: dict[str, Any], recorded: dict[str, Any]) -> bool:
    return all(stored.get(part) == recorded.get(part) for part in ("inputs", "decision"))
