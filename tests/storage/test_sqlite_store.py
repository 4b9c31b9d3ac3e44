"""What only SQLite has: expiry by the clock, a file that outlives its process, a full disk."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from local.clock import VirtualClock
from shared.errors import AlreadyExists, Conflict, NotFound, StoreUnavailable
from shared.storage.containers import CONTAINERS, DAY_SECONDS
from shared.storage.sqlite import SqliteStore
from shared.storage.store import Patch

START = 1_746_316_800_000


@pytest.fixture
def memory(clock):
    store = SqliteStore(":memory:", clock=clock)
    yield store
    store.close()


def _order(id, **fields):
    return {"id": id, "account": "main", "clientOrderId": f"c-{id}", **fields}


def test_an_expired_document_is_absent_everywhere(memory, clock):
    made = memory.create("orders", _order("a"), ttl=60)
    clock.sleep(59.999)
    assert memory.get("orders", "main", "a") is not None
    clock.sleep(0.001)
    assert memory.get("orders", "main", "a") is None
    assert memory.query("orders", "main").documents == []
    with pytest.raises(NotFound):
        memory.replace("orders", made.body, etag=made.etag)
    with pytest.raises(NotFound):
        memory.patch("orders", "main", "a", [Patch("set", "x", 1)])
    with pytest.raises(NotFound):
        memory.delete("orders", "main", "a")


def test_an_expired_document_blocks_neither_its_id_nor_its_unique_key(memory, clock):
    memory.create("orders", _order("a"), ttl=60)
    memory.create("orders", _order("b"), ttl=60)
    second = memory.create("orders", _order("c"))
    with pytest.raises(AlreadyExists):
        memory.create("orders", _order("a"))
    clock.sleep(60)
    memory.create("orders", _order("a"))
    memory.replace("orders", _order("c", clientOrderId="c-b"), etag=second.etag)


@pytest.mark.parametrize(
    ("container", "ttl", "seconds"),
    [
        ("signals", None, 90 * DAY_SECONDS),
        ("signals", 5, 5),
        ("orders", 5, 5),
        ("alerts", None, 180 * DAY_SECONDS),
    ],
)
def test_time_to_live_is_the_documents_else_the_containers(memory, clock, container, ttl, seconds):
    partition = CONTAINERS[container].partition
    memory.create(container, {"id": "a", partition: "p", "clientOrderId": "c"}, ttl=ttl)
    clock.sleep(seconds - 1)
    assert memory.get(container, "p", "a") is not None
    clock.sleep(1)
    assert memory.get(container, "p", "a") is None


def test_minus_one_lives_for_ever(memory, clock):
    memory.create("signals", {"id": "a", "symbol": "BTCUSDT"}, ttl=-1)
    clock.sleep(1000 * DAY_SECONDS)
    assert memory.get("signals", "BTCUSDT", "a") is not None


def test_a_write_starts_the_time_anew_and_a_patch_keeps_its_length(memory, clock):
    made = memory.create("orders", _order("a"), ttl=60)
    clock.sleep(50)
    memory.patch("orders", "main", "a", [Patch("set", "x", 1)])
    clock.sleep(50)
    found = memory.get("orders", "main", "a")
    assert found.body == {**made.body, "x": 1}
    clock.sleep(9.999)
    assert memory.get("orders", "main", "a") is not None
    memory.replace("orders", found.body, etag=found.etag)
    clock.sleep(5000)
    assert memory.get("orders", "main", "a") is not None


def test_a_patched_document_still_expires(memory, clock):
    memory.create("orders", _order("a"), ttl=60)
    clock.sleep(50)
    memory.patch("orders", "main", "a", [Patch("set", "x", 1)])
    clock.sleep(60)
    assert memory.get("orders", "main", "a") is None


def test_purge_removes_only_what_has_expired(memory, clock):
    for n in range(5):
        memory.create("orders", _order(f"o{n}"), ttl=10 * (n + 1))
    memory.create("trades", {"id": "t", "account": "main"})
    clock.sleep(30)
    assert memory.purge() == 3
    assert memory.purge() == 0
    assert [d.body["id"] for d in memory.query("orders", "main").documents] == ["o3", "o4"]


def test_the_file_is_found_again(tmp_path, clock):
    path = str(tmp_path / "a" / "b" / "state.db")
    first = SqliteStore(path, clock=clock)
    made = first.create("orders", _order("a"))
    first.close()
    second = SqliteStore(path, clock=clock)
    assert second.get("orders", "main", "a") == made
    with pytest.raises(AlreadyExists):
        second.create("orders", _order("b", clientOrderId="c-a"))
    second.replace("orders", made.body, etag=made.etag)
    second.close()


def test_acknowledged_writes_survive_a_killed_process(tmp_path, clock):
    path = tmp_path / "state.db"
    script = textwrap.dedent(
        f"""
        import os, signal
        from local.clock import VirtualClock
        from shared.storage.sqlite import SqliteStore
        store = SqliteStore({str(path)!r}, clock=VirtualClock({START}))
        for n in range(50):
            store.create("trades", {{"id": f"t{{n:02d}}", "account": "main"}})
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, env={"PYTHONPATH": str(root)})
    assert done.returncode == -9
    store = SqliteStore(str(path), clock=clock)
    assert len(store.query("trades", "main").documents) == 50
    store.close()


def test_two_processes_share_one_file(tmp_path, clock):
    path = str(tmp_path / "state.db")
    one, two = (SqliteStore(path, clock=clock) for _ in range(2))
    made = one.create("control", {"id": "k", "scope": "main", "n": 0})
    for _ in range(10):
        one.patch("control", "main", "k", [Patch("increment", "n", 1)])
        two.patch("control", "main", "k", [Patch("increment", "n", 1)])
    assert two.get("control", "main", "k").body["n"] == 20
    with pytest.raises(Conflict):
        two.replace("control", made.body, etag=made.etag)
    one.close()
    two.close()


def test_a_locked_file_is_unavailable_and_nothing_is_lost(tmp_path, clock):
    path = str(tmp_path / "state.db")
    store = SqliteStore(path, clock=clock, busy_timeout=0.01)
    store.create("orders", _order("a"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.create("orders", _order("b"))
    assert store.get("orders", "main", "a") is not None
    other.execute("ROLLBACK")
    other.close()
    store.create("orders", _order("b"))
    store.close()


def test_a_full_disk_is_unavailable_and_nothing_is_lost(tmp_path, clock):
    path = str(tmp_path / "state.db")
    store = SqliteStore(path, clock=clock)
    # The page limit makes SQLite answer SQLITE_FULL, as a full disk does.
    store._connection.execute("PRAGMA max_page_count = 60")
    written = []

    def write_until_refused():
        for n in range(1000):
            store.create("orders", _order(f"o{n}", text="x" * 1000))
            written.append(f"o{n}")

    with pytest.raises(StoreUnavailable, match=r"state\.db.*full"):
        write_until_refused()
    assert written
    for order in written:
        assert store.get("orders", "main", order) is not None
    assert store.get("orders", "main", f"o{len(written)}") is None
    with pytest.raises(StoreUnavailable):
        store.patch("orders", "main", "o0", [Patch("set", "text", "y" * 100_000)])
    assert store.get("orders", "main", "o0").body["text"] == "x" * 1000
    store._connection.execute("PRAGMA max_page_count = 100000")
    store.create("orders", _order("after"))
    store.close()


def test_a_folder_or_garbage_instead_of_a_file_is_unavailable(tmp_path, clock):
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"not a database, " * 1000)
    blocked = tmp_path / "file"
    blocked.write_text("")
    for path in (tmp_path, garbage, blocked / "state.db"):
        with pytest.raises(StoreUnavailable, match="state file"):
            SqliteStore(str(path), clock=clock)


def test_a_closed_store_is_unavailable():
    store = SqliteStore(":memory:", clock=VirtualClock(START))
    store.close()
    for use in (
        lambda: store.get("orders", "main", "a"),
        lambda: store.query("orders", "main"),
        lambda: store.create("orders", _order("a")),
    ):
        with pytest.raises(StoreUnavailable):
            use()


def test_expired_documents_leave_the_file_without_being_asked(memory, clock):
    for n in range(3000):
        memory.create("leases", {"id": f"l{n}"}, ttl=1)
    clock.sleep(2)
    for n in range(1500):
        memory.create("trades", {"id": f"t{n}", "account": "main"})
    left = memory._connection.execute("SELECT count(*) FROM leases").fetchone()[0]
    assert left == 0
