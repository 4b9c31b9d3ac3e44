"""Where the chain lies in the store, and its export to a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from shared.audit.kinds import DAY_END
from shared.audit.record import GENESIS_DAY, AuditRecord, canonical, record_id
from shared.storage.store import Store, Where

CONTAINER = "audit"
HEAD_CONTAINER, HEAD_ID = "control", "audit-head"
_PAGE = 500
#: Days without any record after which a walk gives up, should a date in the store be forged.
_EMPTY_DAYS = 3660


def documents(store: Store, day: str, where: Sequence[Where]) -> Iterator[dict[str, Any]]:
    """All matching documents of a day, ordered by sequence number, paged."""
    continuation = None
    while True:
        page = store.query(CONTAINER, day, where=where, limit=_PAGE, continuation=continuation)
        for found in page.documents:
            yield found.body
        continuation = page.continuation
        if continuation is None:
            return


def walk(
    store: Store, account: str, after: AuditRecord | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every document that claims to be of this chain, with the partition it lies in.

    Walks the calendar from the chain's first day, not its links: what a broken link leads past,
    or what was put into a day the chain skipped, is found as well. With ``after`` it begins on
    that record's day, behind it.
    """
    own = [Where("account", "=", account)]
    head = store.get(HEAD_CONTAINER, account, HEAD_ID)
    if after is not None:
        behind = [*own, Where("seq", ">", after.seq)]
        start = _as_date(after.day)
        ends = _as_date(after.next_day) if after.kind == DAY_END else None
        yield from _days(
            store, behind, start, [ends, _as_date((head.body if head else {}).get("day"))]
        )
        return
    genesis = store.get(CONTAINER, GENESIS_DAY, record_id(account, 0))
    for body in documents(store, GENESIS_DAY, own):
        yield GENESIS_DAY, body
    known = {} if head is None else head.body
    first = _next(genesis.body if genesis else {}) or _as_date(known.get("first"))
    yield from _days(store, own, first, [_as_date(known.get("day"))])


def _days(
    store: Store, where: Sequence[Where], first: date | None, known: Sequence[date | None]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The documents of each day from the first to the last that is known of, or is led to."""
    if first is None:
        return
    current, empty = first, 0
    last = max((first, *(day for day in known if day is not None)))
    while current <= last and empty < _EMPTY_DAYS:
        empty += 1
        for body in documents(store, current.isoformat(), where):
            empty = 0
            if body.get("kind") == DAY_END:
                last = max(last, _next(body) or last)
            yield current.isoformat(), body
        if current == date.max:
            return
        current += timedelta(days=1)


def export(store: Store, account: str, path: str | Path) -> int:
    """Write the chain as JSON Lines, one record each, and a last line with count and end.

    The same chain gives the same bytes. What is in the store is written as it is, changed or not:
    :func:`shared.audit.verify.verify_file` tells.

    Returns
    -------
    int
        Number of records.
    """
    count, end = 0, ""
    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    with open(partial, "wb") as file:
        for _, body in walk(store, account):
            record = {name: value for name, value in body.items() if name != "id"}
            file.write(canonical(record) + b"\n")
            count, end = count + 1, record.get("hash", "")
        file.write(canonical({"account": account, "records": count, "head": end}) + b"\n")
    os.replace(partial, target)
    return count


def _next(body: dict[str, Any]) -> date | None:
    content = body.get("body")
    return _as_date(content.get("next")) if isinstance(content, dict) else None


def _as_date(value: Any) -> date | None:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        return None
