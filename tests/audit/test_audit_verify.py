"""Whatever is done to a stored or exported chain is found, and the record is named."""

from __future__ import annotations

import copy
import json
from contextlib import closing

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.audit.log import AuditLog
from shared.audit.record import digest, from_document, sealed, to_document
from shared.audit.verify import verify, verify_file
from shared.errors import AuditBroken, InvalidInput
from shared.storage.sqlite import SqliteStore

MAY_4 = 1_746_316_800_000
DAY = 86_400


def build(account="main"):
    """Nine records over three of four days; with the log's own there are twelve."""
    clock = VirtualClock(MAY_4)
    store = SqliteStore(":memory:", clock=clock)
    log = AuditLog(store, clock, account)
    for day, count in ((0, 3), (1, 4), (3, 2)):
        clock.advance_to(MAY_4 + day * DAY * 1000)
        for n in range(count):
            body = {"n": n, "price": "96000.5", "votes": {"trend": 0.25}, "list": [1, {"x": None}]}
            log.append("decision", body, correlation=f"d{n}", key=f"{day} {n}")
            clock.sleep(60)
    return store, log


def documents(store):
    """Every record document by sequence number."""
    found = {}
    for day in ("genesis", *(f"2025-05-{n:02d}" for n in range(3, 10))):
        for each in store.query("audit", day).documents:
            found[each.body["seq"]] = each
    return found


def overwrite(store, original, body):
    store.delete("audit", original["day"], original["id"])
    store.create("audit", body)


@pytest.fixture
def chain():
    store, log = build()
    yield store, log
    store.close()


def test_an_intact_chain(chain):
    store, log = chain
    report = verify(store, "main")
    report.require()
    assert (report.ok, report.records, report.last_seq, report.problems) == (True, 12, 11, ())
    assert report.last_hash == log.head().hash


def _seqs(report, finding):
    return [p.seq for p in report.problems if p.finding == finding]


@pytest.mark.parametrize("seq", range(12))
def test_a_removed_record_is_named(chain, seq):
    store, _ = chain
    found = documents(store)[seq].body
    store.delete("audit", found["day"], found["id"])
    report = verify(store, "main")
    assert not report.ok
    assert _seqs(report, "removed" if seq < 11 else "truncated") == [seq]


@pytest.mark.parametrize("seq", range(12))
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time", MAY_4 + 1),
        ("kind", "order"),
        ("correlation", "another"),
        ("key", "another"),
        ("body", {"n": 99}),
        ("prev_hash", "1" * 64),
        ("hash", "1" * 64),
        ("extra", 1),
    ],
)
def test_a_changed_record_is_named(chain, seq, field, value):
    store, _ = chain
    found = documents(store)[seq].body
    overwrite(store, found, {**found, field: value})
    report = verify(store, "main")
    named = [p for p in report.problems if p.seq == seq or found["id"] in p.where]
    assert named, report.problems
    assert len(report.problems) <= 3


@pytest.mark.parametrize("seq", range(1, 12))
def test_a_change_with_a_matching_hash_is_found_by_the_next_record(chain, seq):
    store, _ = chain
    found = documents(store)[seq].body
    forged = sealed(from_document({**found, "time": 1}))
    assert digest(forged) == forged.hash
    overwrite(store, found, to_document(forged))
    report = verify(store, "main")
    if seq < 11:
        assert _seqs(report, "changed") == [seq + 1]
        assert f"record {seq};" in report.problems[0].text
    else:
        assert _seqs(report, "head") == [11]


def test_two_records_that_changed_places_are_named(chain):
    store, _ = chain
    found = documents(store)
    one, two = found[5].body, found[6].body
    assert one["day"] == two["day"]
    for body in (one, two):
        store.delete("audit", body["day"], body["id"])
    store.create("audit", {**one, "id": two["id"]})
    store.create("audit", {**two, "id": one["id"]})
    report = verify(store, "main")
    assert _seqs(report, "moved") == [6, 5]


@pytest.mark.parametrize(
    ("day", "id", "seq"),
    [
        ("2025-05-04", "000000000002-main-again", 2),
        ("2025-05-05", "000000000002-main", 2),
        ("2025-05-06", "000000000050-main", 50),
        ("2025-05-07", "000000000012-main", 12),
        ("genesis", "000000000001-main", 1),
    ],
)
def test_an_inserted_record_is_named(chain, day, id, seq):
    store, _ = chain
    original = documents(store)[2].body
    store.create("audit", {**original, "day": day, "id": id, "seq": seq})
    report = verify(store, "main")
    assert not report.ok
    assert any(id in p.where for p in report.problems), report.problems


def test_a_record_of_another_kind_of_document_is_unreadable(chain):
    store, _ = chain
    store.create("audit", {"day": "2025-05-05", "id": "zzz", "account": "main"})
    (problem,) = verify(store, "main").problems
    assert (problem.finding, problem.where) == ("unreadable", "2025-05-05/zzz")


@pytest.mark.parametrize("count", [1, 2, 3, 7, 11, 12])
def test_a_cut_off_end_is_named(chain, count):
    store, _ = chain
    for seq in range(12 - count, 12):
        body = documents(store)[seq].body
        store.delete("audit", body["day"], body["id"])
    report = verify(store, "main")
    assert _seqs(report, "truncated") == [12 - count]


@pytest.mark.parametrize(
    "change", [{"hash": "0" * 64}, {"seq": "x"}, {"day": "2025-05-05"}, {"seq": 99}]
)
def test_a_changed_head_is_found(chain, change):
    store, _ = chain
    head = store.get("control", "main", "audit-head")
    store.replace("control", {**head.body, **change}, etag=head.etag)
    assert next(p.finding for p in verify(store, "main").problems) in ("head", "truncated")


def test_a_missing_head_is_found(chain):
    store, _ = chain
    store.delete("control", "main", "audit-head")
    assert [p.finding for p in verify(store, "main").problems] == ["head"]


def test_a_chain_rewritten_to_its_end_is_found_by_an_anchor(chain):
    store, log = chain
    anchors = {r.seq: r.hash for r in log.records() if r.seq in (3, 10)}
    assert verify(store, "main", anchors=anchors).ok
    previous = None
    for seq, document in sorted(documents(store).items()):
        body = document.body
        if seq >= 5:
            changed = {**body, "prev_hash": previous["hash"], "time": body["time"] + 1}
            body = to_document(sealed(from_document(changed)))
            overwrite(store, document.body, body)
        previous = body
    head = store.get("control", "main", "audit-head")
    store.replace("control", {**head.body, "hash": previous["hash"]}, etag=head.etag)
    assert verify(store, "main").ok
    report = verify(store, "main", anchors=anchors)
    assert _seqs(report, "changed") == [10]
    assert _seqs(verify(store, "main", anchors={77: "x"}), "truncated") == [77]


def test_many_problems_are_counted_and_the_first_hundred_named():
    clock = VirtualClock(MAY_4)
    store = SqliteStore(":memory:", clock=clock)
    log = AuditLog(store, clock, "main")
    for n in range(150):
        log.append("order", {"n": n})
    for document in store.query("audit", "2025-05-04", limit=200).documents:
        overwrite(store, document.body, {**document.body, "time": 1})
    report = verify(store, "main")
    store.close()
    assert (report.found, len(report.problems)) == (150, 100)
    with pytest.raises(AuditBroken, match="150 problems, first: record 1 was changed"):
        report.require()


def test_a_forged_date_does_not_make_verification_endless(chain):
    store, _ = chain
    head = store.get("control", "main", "audit-head")
    store.replace("control", {**head.body, "day": "9999-12-31"}, etag=head.etag)
    assert not verify(store, "main").ok


# ---------------------------------------------------------------------- any change at all


def _paths(value, path=()):
    """Every place in a JSON value."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))


def _mutate(data, original):
    """Change, add or remove something, anywhere in the body."""
    body = copy.deepcopy(original)
    path = data.draw(st.sampled_from([p for p in _paths(body) if p and p != ("account",)]))
    node = body
    for part in path[:-1]:
        node = node[part]
    last, current = path[-1], node[path[-1]]
    way = data.draw(st.sampled_from(["remove", "add", "change"]))
    if way == "remove":
        del node[last]
    elif way == "add" and isinstance(current, dict):
        current[data.draw(st.sampled_from(["x", "n2", "seq2"]))] = 1
    elif isinstance(current, str):
        node[last] = current[:-1] + ("0" if current[-1:] != "0" else "1")
    elif isinstance(current, bool | int | float):
        node[last] = current + data.draw(st.sampled_from([1, -1, 0.5, 1e-9]))
    else:
        node[last] = "changed"
    # A time plus a billionth is the same time.
    assume(body != original)
    return body


@settings(max_examples=150, deadline=None, database=None)
@given(st.data())
def test_any_change_of_any_exported_record_is_found(tmp_path_factory, data):
    lines = _exported(tmp_path_factory)
    records = [json.loads(line) for line in lines]
    number = data.draw(st.integers(0, len(records) - 1))
    changed = _mutate(data, records[number])
    if number == len(records) - 1 and "records" not in changed:
        changed = {**changed, "not_a_trailer": 1}
    path = tmp_path_factory.mktemp("changed") / "audit.jsonl"
    new = [*lines[:number], json.dumps(changed).encode() + b"\n", *lines[number + 1 :]]
    path.write_bytes(b"".join(new))
    report = verify_file(path)
    assert not report.ok, changed


@settings(max_examples=150, deadline=None, database=None)
@given(st.data())
def test_any_change_of_any_stored_record_is_found(data):
    store, _ = build()
    with closing(store):
        found = documents(store)
        seq = data.draw(st.sampled_from(sorted(found)))
        original = found[seq].body
        changed = _mutate(data, original)
        store.delete("audit", original["day"], original["id"])
        if isinstance(changed.get("day"), str) and isinstance(changed.get("id"), str):
            store.create("audit", changed)
        report = verify(store, "main")
    assert not report.ok, changed
    near = {seq, seq + 1}
    assert any(p.seq in near or original["id"] in p.where for p in report.problems), report.problems


# ---------------------------------------------------------------------- files

_files = {}


def _exported(tmp_path_factory):
    if not _files:
        store, log = build()
        path = tmp_path_factory.mktemp("export") / "audit.jsonl"
        log.export(path)
        store.close()
        _files["lines"] = path.read_bytes().splitlines(keepends=True)
    return _files["lines"]


def test_the_same_history_exports_the_same_bytes(tmp_path):
    exports = []
    for number in range(2):
        store, log = build()
        path = tmp_path / f"{number}.jsonl"
        assert log.export(path) == 12
        store.close()
        exports.append(path.read_bytes())
    assert exports[0] == exports[1]
    assert exports[0].count(b"\n") == 13


def test_an_exported_chain_verifies_like_the_stored_one(chain, tmp_path):
    store, log = chain
    path = tmp_path / "audit.jsonl"
    log.export(path)
    assert verify_file(path) == verify(store, "main")
    head = log.head()
    assert verify_file(path, anchors={head.seq: head.hash}).ok
    assert not verify_file(path, anchors={head.seq: "x"}).ok


@pytest.mark.parametrize(
    ("edit", "finding"),
    [
        (lambda x: x[:-1], "truncated"),
        (lambda x: [*x[:-2], x[-1]], "truncated"),
        (lambda x: x[1:], "removed"),
        (lambda x: [*x[:4], *x[5:]], "removed"),
        (lambda x: [*x[:4], x[5], x[4], *x[6:]], "removed"),
        (lambda x: [*x[:4], x[4], *x[4:]], "inserted"),
        (lambda x: [*x, x[3]], "inserted"),
        (lambda x: [*x[:4], b"{broken\n", *x[4:]], "unreadable"),
        (lambda x: [*x[:4], b"[]\n", *x[4:]], "unreadable"),
        (lambda x: [], "truncated"),
    ],
)
def test_an_edited_file_is_found(tmp_path, tmp_path_factory, edit, finding):
    path = tmp_path / "edited.jsonl"
    path.write_bytes(b"".join(edit(_exported(tmp_path_factory))))
    assert finding in [p.finding for p in verify_file(path).problems]


def test_a_tampered_chain_is_exported_as_it_is(chain, tmp_path):
    store, log = chain
    found = documents(store)[4].body
    overwrite(store, found, {**found, "time": 1})
    log.export(tmp_path / "audit.jsonl")
    assert [(p.finding, p.seq) for p in verify_file(tmp_path / "audit.jsonl").problems] == [
        ("changed", 4)
    ]


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InvalidInput, match=r"none\.jsonl"):
        verify_file(tmp_path / "none.jsonl")
