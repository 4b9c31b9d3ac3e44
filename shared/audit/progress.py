"""Verifying a chain that grows: what was found in order is not read again.

The mark lies in ``control``. Somebody who can write to the store can forge it, and can change what
lies before it unseen: where something depends on the answer the whole chain is verified.
"""

from __future__ import annotations

import msgspec

from shared.audit.chain import HEAD_CONTAINER
from shared.audit.verify import Mark, VerifyReport, verify
from shared.errors import AlreadyExists, Conflict, NotFound
from shared.storage.store import Document, Store

MARK_ID = "audit-verified"


def verify_on(store: Store, account: str) -> VerifyReport:
    """Verify what was appended since the last time, and remember how far it is in order."""
    known = store.get(HEAD_CONTAINER, account, MARK_ID)
    mark = None if known is None else _read(known)
    report = verify(store, account, after=mark)
    if report.ok and report.last_seq > (0 if mark is None else mark.seq):
        reached = Mark(
            seq=report.last_seq,
            day=report.last_day,
            hash=report.last_hash,
            records=report.records,
        )
        body = {"id": MARK_ID, "scope": account, **msgspec.to_builtins(reached)}
        try:
            if known is None:
                store.create(HEAD_CONTAINER, body)
            else:
                store.replace(HEAD_CONTAINER, body, etag=known.etag)
        except (AlreadyExists, Conflict, NotFound):
            pass  # somebody else has been as far
    return report


def _read(document: Document) -> Mark | None:
    try:
        return msgspec.convert(document.body, Mark)
    except msgspec.ValidationError:
        return None  # everything is verified, and a new one written
