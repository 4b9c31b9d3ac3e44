"""Nothing is lost when the process is killed, the disk refuses, or the hub is simply restarted."""

from __future__ import annotations

import asyncio
import datetime
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import pytest
from durable_support import START, new_app, output, run

from local.durable import SqliteTaskHub
from shared.errors import StoreUnavailable

app = new_app()


@app.activity_trigger(input_name="value")
async def think(value: int) -> int:
    await asyncio.sleep(10)
    return value


@app.orchestration_trigger(context_name="context")
def steps(context: df.DurableOrchestrationContext) -> Any:
    first = yield context.call_activity("think", 1)
    yield context.create_timer(context.current_utc_datetime + datetime.timedelta(minutes=5))
    second = yield context.call_activity("think", 2)
    event = yield context.wait_for_external_event("go")
    return [first, second, event]


def test_kill_minus_nine_loses_nothing_and_repeats_only_what_was_in_flight(tmp_path: Path) -> None:
    database, log = tmp_path / "hub.db", tmp_path / "log"
    log.touch()
    script = [sys.executable, str(Path(__file__).with_name("killable.py")), str(database), str(log)]
    first = subprocess.Popen([*script, "start"])
    try:
        wanted = {"blocked-1", "blocked-2", "timed-1", "waiting-1"}
        deadline = time.monotonic() + 60
        while not wanted <= set(log.read_text().split()):
            assert first.poll() is None, "the process ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    subprocess.run([*script, "resume"], check=True, timeout=60)
    lines = log.read_text().splitlines()
    assert lines[-3:] == [
        'blocked Completed ["blocked-1","blocked-2"]',
        'timed Completed ["timed-1","timed-2"]',
        'waiting Completed ["waiting-1","on"]',
    ]
    effects = lines[:-3]
    assert effects.count("blocked-2") == 2
    # A completed activity is repeated only if the kill fell between effect and commit.
    assert effects.count("blocked-1") == 1
    assert 1 <= effects.count("timed-2") <= 2


@pytest.mark.parametrize("stop_after", [0, 1, 9.9, 10, 100, 309, 311, 315, 321])
def test_a_restart_at_any_moment_gives_the_same_result(tmp_path: Path, stop_after: float) -> None:
    path = str(tmp_path / "hub.db")

    async def before(hub: SqliteTaskHub) -> None:
        await hub.start_new("steps", "i")
        await asyncio.sleep(stop_after)

    async def after(hub: SqliteTaskHub) -> Any:
        hub.operations.raise_event("i", "go", "true")
        await asyncio.sleep(400)
        await hub.wait_idle()
        return await output(hub, "i"), hub.pending_work()

    run(app, before, path)
    result, pending = run(app, after, path, start_ms=START + int(stop_after * 1000))
    assert result == ("Completed", [1, 2, True])
    assert pending == {"activities": 0, "timers": 0, "messages": 0}


def test_a_refused_write_is_tried_again_and_changes_nothing_meanwhile() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("steps", "i")
        await hub.wait_idle()
        # The pages in use are all there may be: every further write fails as on a full disk.
        database = hub._core.store._db
        (pages,) = database.execute("pragma page_count").fetchone()
        database.execute(f"pragma max_page_count = {pages}")
        with pytest.raises(StoreUnavailable):
            await hub.start_new("steps", "extra", '"' + "x" * 4_000_000 + '"')
        assert await hub.status("extra") is None
        await asyncio.sleep(15)
        during = (await output(hub, i))[0]
        database.execute("pragma max_page_count = 1000000")
        hub.operations.raise_event("i", "go", "7")
        await asyncio.sleep(500)
        await hub.wait_idle()
        return during, await output(hub, i)

    assert run(app, scenario) == ("Running", ("Completed", [1, 2, 7]))


def test_a_path_that_cannot_be_opened_is_said_clearly(tmp_path: Path) -> None:
    async def scenario(hub: SqliteTaskHub) -> None:
        raise AssertionError("never started")

    with pytest.raises(StoreUnavailable, match="nowhere"):
        run(app, scenario, str(tmp_path / "nowhere" / "hub.db"))
