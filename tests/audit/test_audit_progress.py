"""Going on from where a chain was found in order gives the verdict of the whole chain."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_audit_verify import DAY, build, documents, overwrite

from shared.audit.log import AuditLog
from shared.audit.progress import MARK_ID, verify_on
from shared.audit.record import from_document, sealed, to_document
from shared.audit.verify import verify


def append(log: AuditLog, clock: Any, pauses: list[int]) -> None:
    for n, days in enumerate(pauses):
        clock.sleep(days * DAY + 60)
        log.append("decision", {"n": n}, correlation=f"later-{n}")


def read_of_the_chain(store: Any) -> list[int]:
    """Sequence numbers that the next walk reads, filled while it runs."""
    seen: list[int] = []
    query = store.query

    def noted(container: str, partition: str, **named: Any) -> Any:
        page = query(container, partition, **named)
        seen.extend(d.body["seq"] for d in page.documents if container == "audit")
        return page

    store.query = noted
    return seen


@pytest.fixture
def chain():
    store, log = build()
    yield store, log
    store.close()


@settings(max_examples=25, deadline=None)
@given(rounds=st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=1, max_size=4))
def test_in_steps_or_at_once_the_same_is_reported(rounds):
    store, log = build()
    try:
        for pauses in rounds:
            append(log, log._clock, pauses)
            assert verify_on(store, "main") == verify(store, "main")
    finally:
        store.close()


def test_only_what_is_new_is_read(chain):
    store, log = chain
    first = verify_on(store, "main")
    append(log, log._clock, [0, 1])
    seen = read_of_the_chain(store)
    report = verify_on(store, "main")
    assert report.ok
    assert report.records == first.records + len(seen)
    assert min(seen) == first.last_seq + 1
    seen.clear()
    assert verify_on(store, "main") == report
    assert seen == []


def changed(store: Any, seq: int) -> None:
    found = documents(store)[seq].body
    record = from_document(found)
    forged = to_document(sealed(type(record)(**{**record_fields(record), "correlation": "forged"})))
    overwrite(store, found, forged)


def record_fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


@pytest.mark.parametrize("what", ["changed", "removed", "truncated"])
def test_trouble_behind_the_mark_is_found_and_the_mark_stays(chain, what):
    store, log = chain
    reached = verify_on(store, "main").last_seq
    append(log, log._clock, [0, 0, 1])
    last = verify(store, "main").last_seq
    if what == "changed":
        changed(store, reached + 1)
    else:
        found = documents(store)[reached + 1 if what == "removed" else last].body
        store.delete("audit", found["day"], found["id"])
    for _ in range(2):
        assert what in {p.finding for p in verify_on(store, "main").problems}
    assert store.get("control", "main", MARK_ID).body["seq"] == reached


def test_a_marked_record_that_is_not_what_it_was_has_everything_read_again(chain):
    store, log = chain
    reached = verify_on(store, "main").last_seq
    append(log, log._clock, [0])
    changed(store, reached)
    report = verify_on(store, "main")
    assert report == verify(store, "main")
    assert not report.ok


def test_a_change_before_the_mark_is_what_the_whole_verification_is_for(chain):
    store, _ = chain
    verify_on(store, "main")
    changed(store, 4)
    assert verify_on(store, "main").ok
    assert not verify(store, "main").ok


@pytest.mark.parametrize(
    "body", [{"seq": "many"}, {"seq": 3, "day": "", "hash": "x", "records": 4}]
)
def test_a_mark_that_says_nothing_is_replaced(chain, body):
    store, _ = chain
    store.create("control", {"id": MARK_ID, "scope": "main", **body})
    report = verify_on(store, "main")
    assert report == verify(store, "main")
    assert store.get("control", "main", MARK_ID).body["hash"] == report.last_hash
