"""The audit chain under repetition, crashes, rivals and clocks that disagree."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.audit.kinds import KINDS
from shared.audit.log import AuditLog
from shared.audit.record import digest
from shared.audit.verify import verify
from shared.errors import AlreadyExists, AuditBroken, InvalidInput, StoreUnavailable
from shared.storage.sqlite import SqliteStore

MAY_4 = 1_746_316_800_000
DAY = 86_400


@pytest.fixture
def clock():
    return VirtualClock(MAY_4)


@pytest.fixture
def store(clock):
    opened = SqliteStore(":memory:", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def log(store, clock):
    return AuditLog(store, clock, "main")


class Chaos:
    """A store that counts writes and, before or after a chosen one, lets something happen."""

    def __init__(self, store):
        self._store = store
        self.writes = 0
        self.at = None
        self.before = True
        self.event = None

    def __getattr__(self, name):
        method = getattr(self._store, name)
        if name not in ("create", "replace", "patch", "delete"):
            return method

        def write(*args, **kwargs):
            number = self.writes
            self.writes += 1
            if number == self.at and self.before:
                self.event()
            result = method(*args, **kwargs)
            if number == self.at and not self.before:
                self.event()
            return result

        return write


def lose_answer():
    raise StoreUnavailable("the answer was lost")


# ---------------------------------------------------------------------- appending and reading


def test_a_record_says_what_happened_and_continues_the_chain(log, clock):
    first = log.append("signal", {"symbol": "BTCUSDT", "votes": {"trend": 0.5}}, correlation="d1")
    clock.sleep(1.5)
    second = log.append("order", {"quantity": Decimal("0.010"), "filled": 1.0}, correlation="d1")
    assert (first.seq, first.kind, first.day, first.time) == (1, "signal", "2025-05-04", MAY_4)
    assert (second.seq, second.time, second.body) == (
        2,
        MAY_4 + 1500,
        {"quantity": "0.010", "filled": 1},
    )
    assert second.prev_hash == first.hash == digest(first)
    assert list(log.records()) == [first, second]


def test_records_are_found_by_correlation_kind_and_day(log, clock):
    for n in range(6):
        log.append(("signal", "order")[n % 2], {"n": n}, correlation=f"d{n // 2}", key=f"key {n}")
        clock.sleep(DAY / 2)

    def found(**by):
        return [r.body["n"] for r in log.records(**by)]

    assert found() == [0, 1, 2, 3, 4, 5]
    assert found(correlation="d1") == [2, 3]
    assert found(kind="order") == [1, 3, 5]
    assert found(day="2025-05-05") == [2, 3]
    assert found(day="2025-05-05", kind="signal", correlation="d1") == [2]
    assert found(correlation="nobody") == found(day="2024-01-01") == []
    assert list(log.days()) == ["2025-05-04", "2025-05-05", "2025-05-06"]


def test_nothing_is_an_intact_chain(store, log):
    report = verify(store, "main")
    assert (report.ok, report.records, report.last_seq) == (True, 0, -1)
    assert log.head() is None
    assert list(log.records()) == list(log.days()) == []


def test_the_chain_goes_on_over_days_without_records_and_after_a_restart(store, clock, log):
    hashes = []
    for pause in (0, 1, DAY, 40 * DAY, 3 * DAY, 10):
        clock.sleep(pause)
        log = AuditLog(store, clock, "main")
        hashes.append(log.append("report", {"after": pause}).hash)
    report = verify(store, "main")
    assert report.ok, report.problems
    assert report.last_hash == hashes[-1] == log.head().hash
    assert len(list(log.records())) == 6


def test_accounts_have_chains_of_their_own(store, clock):
    logs = [AuditLog(store, clock, name) for name in ("main", "main-2")]
    for n in range(3):
        for log in logs:
            log.append("order", {"n": n}, key=f"k{n}")
        clock.sleep(DAY)
    for log, name in zip(logs, ("main", "main-2"), strict=True):
        assert [r.body["n"] for r in log.records()] == [0, 1, 2]
        assert {r.account for r in log.records()} == {name}
        assert verify(store, name).ok


def test_every_kind_can_be_written(log, store):
    for kind in KINDS:
        log.append(kind, {})
    assert [r.kind for r in log.records()] == list(KINDS)
    assert verify(store, "main").ok


@pytest.mark.parametrize("kind", ["", "Order", "genesis", "day_end", "gossip"])
def test_an_unknown_kind_is_refused(log, store, kind):
    with pytest.raises(InvalidInput, match="kind"):
        log.append(kind, {})
    assert verify(store, "main").records == 0


# ---------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"apiSecret": "x"}, r"body\.apiSecret"),
        ({"request": {"headers": {"X-MBX-APIKEY": "x"}}}, r"body\.request\.headers\.X-MBX-APIKEY"),
        ({"a": [{"b": {"Signature": "x"}}]}, "Signature"),
        ({"api_key": "x"}, "api_key"),
        ({"totpCode": "123456"}, "totpCode"),
        ({"listenKey": "x"}, "listenKey"),
        ({"url": "https://fapi/order?symbol=X&signature=abcd"}, "signature="),
        ({"text": "AccountKey=abcd"}, "AccountKey="),
        ({"pem": "-----BEGIN EC KEY-----"}, "-----BEGIN"),
    ],
)
def test_a_secret_never_enters(log, store, body, named):
    with pytest.raises(InvalidInput, match=named) as raised:
        log.append("operator", {"who": "ana", **body}, key="k")
    assert "abcd" not in str(raised.value)
    assert "123456" not in str(raised.value)
    assert verify(store, "main").records == 0
    log.append("operator", {"who": "ana"}, key="k")


def test_ordinary_words_are_no_secrets(log):
    log.append("order", {"clientOrderId": "key-1", "token": "none", "keys": 3, "sign": -1})


# ---------------------------------------------------------------------- idempotency


def test_the_same_key_and_content_is_one_record(store, clock, log):
    first = log.append("decision", {"price": Decimal("1.0"), "n": 1}, correlation="d", key="d:1")
    log.append("order", {"n": 2})
    clock.sleep(3 * DAY)
    again = log.append("decision", {"n": 1.0, "price": "1.0"}, correlation="d", key="d:1")
    other_process = AuditLog(store, clock, "main")
    third = other_process.append("decision", {"price": "1.0", "n": 1}, correlation="d", key="d:1")
    assert first == again == third
    assert len(list(log.records())) == 2


@pytest.mark.parametrize(
    ("kind", "body", "correlation"),
    [("decision", {"n": 2}, "d"), ("order", {"n": 1}, "d"), ("decision", {"n": 1}, "e")],
)
def test_the_same_key_with_other_content_is_refused(store, log, kind, body, correlation):
    log.append("decision", {"n": 1}, correlation="d", key="d:1")
    with pytest.raises(AlreadyExists, match=r"'d:1'.*record 1"):
        log.append(kind, body, correlation=correlation, key="d:1")
    log.append("order", {"n": 3})
    assert [r.body["n"] for r in log.records()] == [1, 3]
    assert verify(store, "main").ok


def test_without_a_key_the_same_content_is_two_records(log):
    assert log.append("order", {}).seq + 1 == log.append("order", {}).seq


# ---------------------------------------------------------------------- crashes


def _story(store, clock):
    """Appends as a re-run activity makes them: keyed, over a day's end."""
    log = AuditLog(store, clock, "main")
    for n in range(4):
        log.append("order", {"n": n}, correlation="d", key=f"order {n}")
        clock.advance_to(MAY_4 + (n + 1) * DAY * 1000 // 2)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("point", range(17))
def test_a_crash_at_any_write_loses_and_doubles_nothing(clock, point, before):
    real = SqliteStore(":memory:", clock=clock)
    chaos = Chaos(real)
    chaos.at, chaos.before, chaos.event = point, before, lose_answer
    crashed = False
    try:
        _story(chaos, clock)
    except StoreUnavailable:
        crashed = True
    _story(real, clock)
    report = verify(real, "main")
    bodies = [r.body["n"] for r in AuditLog(real, clock, "main").records()]
    real.close()
    assert crashed is (point < 15), "the points no longer cover every write of the story"
    assert report.ok, report.problems
    assert bodies == [0, 1, 2, 3]


def test_a_lost_answer_does_not_stop_the_same_process(store, clock):
    chaos = Chaos(store)
    log = AuditLog(chaos, clock, "main")
    chaos.event = lose_answer
    for n in range(12):
        chaos.at, chaos.before = chaos.writes + n % 3, bool(n % 2)
        try:
            log.append("order", {"n": n}, key=f"k{n}")
        except StoreUnavailable:
            log.append("order", {"n": n}, key=f"k{n}")
    report = verify(store, "main")
    assert report.ok, report.problems
    assert [r.body["n"] for r in log.records()] == list(range(12))


def test_the_head_falls_behind_in_a_crash_and_catches_up(store, clock, log):
    log.append("order", {"n": 1})
    chaos = Chaos(store)
    crashing = AuditLog(chaos, clock, "main")
    crashing.head()
    chaos.at, chaos.event = chaos.writes + 1, lose_answer
    with pytest.raises(StoreUnavailable):
        crashing.append("order", {"n": 2})
    assert store.get("control", "main", "audit-head").body["seq"] == 1
    assert verify(store, "main").ok
    AuditLog(store, clock, "main").append("order", {"n": 3})
    head = store.get("control", "main", "audit-head").body
    assert (head["seq"], [r.body["n"] for r in log.records()]) == (3, [1, 2, 3])


# ---------------------------------------------------------------------- rivals


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("same_key", [True, False])
@pytest.mark.parametrize("point", range(5))
def test_a_rival_at_any_write(clock, point, before, same_key):
    """Another process appends at the worst moments, on a clock that is a day ahead."""
    real = SqliteStore(":memory:", clock=clock)
    ahead = VirtualClock(MAY_4 + DAY * 1000)
    chaos = Chaos(real)
    rival = AuditLog(real, ahead, "main")
    key = "shared" if same_key else "rival"
    chaos.at, chaos.before = point, before
    chaos.event = lambda: rival.append("order", {"n": 1}, key=key)
    log = AuditLog(chaos, clock, "main")
    mine = log.append("order", {"n": 1}, key="shared")
    after = log.append("order", {"n": 2})
    report = verify(real, "main")
    records = list(log.records())
    real.close()
    assert report.ok, report.problems
    happened = point < chaos.writes
    assert happened
    assert len(records) == (2 if same_key else 3)
    assert mine in records
    assert after in records


class Counted:
    """A store that counts what is asked of it."""

    def __init__(self, store):
        self._store = store
        self.operations = 0

    def __getattr__(self, name):
        self.operations += name in ("get", "create", "replace", "patch", "query")
        return getattr(self._store, name)


@pytest.mark.parametrize("key", ["mine", ""], ids=["keyed", "unkeyed"])
def test_an_idle_process_does_not_walk_what_others_appended(store, clock, key):
    """The same few operations, whether ten or three hundred records behind."""
    needed = []
    counted = Counted(store)
    idle, busy = AuditLog(counted, clock, "main"), AuditLog(store, clock, "main")
    for behind in (10, 300):
        idle.append("incident", {"behind": behind})
        for n in range(behind):
            busy.append("incident", {"n": n}, key=f"{behind}-{n}")
        clock.sleep(60)
        counted.operations = 0
        idle.append("kill_switch", {"behind": behind}, key=key and f"{key}-{behind}")
        needed.append(counted.operations)
    assert needed[0] == needed[1] <= 6
    assert verify(store, "main").ok


def test_what_was_skipped_is_searched_for_a_key_that_was_claimed(store, clock):
    """An idle process repeats what another wrote long ago: the first record, not another."""
    idle, busy = AuditLog(store, clock, "main"), AuditLog(store, clock, "main")
    idle.append("incident", {})
    first = busy.append("trade", {"id": 1}, key="once")
    for n in range(20):
        busy.append("incident", {"n": n})
    clock.sleep(60)
    assert idle.append("trade", {"id": 1}, key="once") == first
    with pytest.raises(AlreadyExists):
        idle.append("trade", {"id": 2}, key="once")


def test_threads_and_processes_append_without_loss(store):
    clocks = [VirtualClock(MAY_4 + DAY * 1000 - 30 + n) for n in range(4)]
    logs = [AuditLog(store, each, "main") for each in clocks for _ in range(2)]
    barrier = threading.Barrier(8)

    def work(number):
        barrier.wait()
        for turn in range(15):
            clocks[number // 2].sleep(0.004)
            # Every fourth append is also made, with the same key, by everybody else.
            key = f"all {turn}" if turn % 4 == 0 else f"{number} {turn}"
            logs[number].append("order", {"key": key}, key=key)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    report = verify(store, "main")
    assert report.ok, report.problems
    keys = [r.body["key"] for r in logs[0].records()]
    expected = {f"all {t}" for t in range(0, 15, 4)}
    expected |= {f"{n} {t}" for n in range(8) for t in range(15) if t % 4}
    assert sorted(keys) == sorted(expected)
    assert list(logs[0].days()) == ["2025-05-04", "2025-05-05"]


def test_one_log_shared_by_threads(store, clock, log):
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: log.append("order", {"n": n}), range(120)))
    assert sorted(r.body["n"] for r in log.records()) == list(range(120))
    assert verify(store, "main").ok


@settings(max_examples=40, deadline=None, database=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(-1, 2), st.booleans()),
        max_size=25,
    )
)
def test_any_interleaving_of_processes_restarts_and_clocks_makes_one_chain(steps):
    clock = VirtualClock(MAY_4)
    store = SqliteStore(":memory:", clock=clock)
    clocks = [VirtualClock(MAY_4 + n * DAY * 300) for n in range(3)]
    logs = [AuditLog(store, each, "main") for each in clocks]
    expected = []
    for writer, key, days, restart in steps:
        if days > 0:
            clocks[writer].sleep(days * DAY / 2)
        if restart:
            logs[writer] = AuditLog(store, clocks[writer], "main")
        logs[writer].append("fill", {"key": key}, key=f"k{key}")
        if key not in expected:
            expected.append(key)
    report = verify(store, "main")
    keys = [r.body["key"] for r in logs[0].records()]
    days = [r.day for r in logs[0].records()]
    store.close()
    assert report.ok, report.problems
    assert keys == expected
    assert days == sorted(days)


# ---------------------------------------------------------------------- a chain that is broken


def test_appending_to_a_cut_chain_is_refused(store, clock, log):
    for n in range(3):
        log.append("order", {"n": n})
    store.delete("audit", "2025-05-04", "000000000003-main")
    with pytest.raises(AuditBroken, match="record 3"):
        AuditLog(store, clock, "main").append("order", {"n": 4})


def test_a_lost_head_is_made_again_and_said_so_in_the_chain(store, clock, log):
    for n in range(3):
        log.append("order", {"n": n})
    store.delete("control", "main", "audit-head")
    assert [p.finding for p in verify(store, "main").problems] == ["head"]
    AuditLog(store, clock, "main").append("order", {"n": 3})
    assert [r.kind for r in log.records()] == ["order"] * 3 + ["incident", "order"]
    assert verify(store, "main").ok


# ---------------------------------------------------------------------- Cosmos DB


@pytest.mark.cosmos
@pytest.mark.xdist_group("cosmos")
def test_on_cosmos_the_same_story_gives_the_same_bytes(cosmos, tmp_path, clock, store):
    account = f"audit-{next(_names)}"
    exports = []
    for number, each in enumerate((store, cosmos)):
        time = VirtualClock(MAY_4)
        log = AuditLog(each, time, account)
        for n in range(8):
            body = {"n": n, "vote": n / 7, "whole": float(n), "big": 1e20, "text": "ž", "no": None}
            log.append("signal", body, correlation=f"d{n % 3}", key=f"k{n % 6}" if n < 6 else "")
            time.sleep(DAY / 3)
        report = verify(each, account)
        assert report.ok, report.problems
        path = tmp_path / f"{number}.jsonl"
        log.export(path)
        exports.append(path.read_bytes())
        assert [r.body["n"] for r in log.records(correlation="d1")] == [1, 4, 7]
    assert exports[0] == exports[1]


_names = itertools.count()
