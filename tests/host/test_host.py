"""Triggers, outputs, keys and life cycle of the function host, through real parts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from local.clock import VirtualClock
from local.durable import SqliteTaskHub
from local.eventlog import DisturbedDelivery, EventLog, StoredEvent
from local.host.eventhubs import BatchMetadata, to_sdk
from tests.host.harness import START_MS, Rig, drive, run, write_app

MINUTE = 60_000


def durable_rig(folder: Path) -> Rig:
    """A rig whose durable functions are on."""
    clock = VirtualClock(START_MS)
    return Rig(folder, clock=clock, hub=SqliteTaskHub(":memory:", clock=clock))


# -- timers ------------------------------------------------------------------------------------

TIMERS = """
@app.timer_trigger(schedule="0 * * * * *", arg_name="t", run_on_startup=False)
def minute(t: func.TimerRequest) -> None:
    WORK(t)
def WORK(t): pass
"""


def past_due(invocation: Any) -> bool:
    return json.loads(invocation.inputs()["t"]["json"])["IsPastDue"]


def test_a_timer_fires_on_every_occurrence_once(tmp_path: Path) -> None:
    rig = Rig(write_app(tmp_path, TIMERS))

    async def scenario(rig: Rig) -> None:
        await asyncio.sleep(600)

    drive(rig, scenario)
    due = [START_MS - START_MS % MINUTE + k * MINUTE for k in range(1, 11)]
    assert [i.started_ms for i in rig.of("minute")] == due


def test_a_timer_never_overlaps_itself(tmp_path: Path) -> None:
    rig = Rig(write_app(tmp_path, TIMERS))

    async def scenario(rig: Rig) -> None:
        import function_app

        function_app.WORK = lambda t: rig.clock.sleep(150)
        await asyncio.sleep(600)

    drive(rig, scenario)
    calls = rig.of("minute")
    assert all(a.ended_ms <= b.started_ms for a, b in pairwise(calls))
    assert [i.started_ms % MINUTE for i in calls] == [0] * len(calls)
    assert len(calls) == 4  # minutes 1, 4, 7, 10: two of three are skipped


ASYNC_TIMER = """
import asyncio
DONE = []
@app.timer_trigger(schedule="0 * * * * *", arg_name="t", run_on_startup=False)
async def minute(t: func.TimerRequest) -> None:
    await asyncio.sleep(20)
    DONE.append(1)
"""


def test_stopping_lets_a_running_timer_finish(tmp_path: Path) -> None:
    rig = Rig(write_app(tmp_path, ASYNC_TIMER))

    async def scenario(rig: Rig) -> None:
        await asyncio.sleep(20)  # 09:59:06, six seconds into the first run

    drive(rig, scenario)
    assert [i.error for i in rig.of("minute")] == [None]
    assert rig.of("minute")[0].ended_ms - rig.of("minute")[0].started_ms == 20_000


@pytest.mark.parametrize(
    ("downtime_s", "expected"),
    [(3600, True), (5, False)],
    ids=["an hour down: past due at start", "back before it was due: nothing missed"],
)
def test_downtime_makes_a_monitored_timer_past_due_once(
    tmp_path: Path, downtime_s: int, expected: bool
) -> None:
    folder, state = write_app(tmp_path / "app", TIMERS), tmp_path / "state.db"
    clock = VirtualClock(START_MS)

    async def scenario(rig: Rig) -> None:
        await asyncio.sleep(125)

    drive(Rig(folder, clock=clock, state=state), scenario)
    clock.sleep(downtime_s)
    restarted = clock.now_ms()
    second = Rig(folder, clock=clock, state=state)
    drive(second, scenario)
    calls = second.of("minute")
    assert [past_due(i) for i in calls] == [expected] + [False] * (len(calls) - 1)
    assert (calls[0].started_ms == restarted) is expected


KILLED_TIMER = """
import os, pathlib, signal
@app.timer_trigger(schedule="0 * * * * *", arg_name="t", run_on_startup=False)
def minute(t: func.TimerRequest) -> None:
    flag = pathlib.Path(os.environ["FLAG"])
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
"""

FIRST_LIFE = """
import asyncio, sys
from pathlib import Path
from local.eventlog import EventLog
from tests.host.harness import Rig, VirtualClock, START_MS, drive
folder, flag = Path(sys.argv[1]), sys.argv[2]
clock = VirtualClock(START_MS)
log = EventLog(folder / "events.db", clock=clock)
rig = Rig(folder, clock=clock, state=folder / "state.db", log=log,
          settings={"FLAG": flag, "HUB": "market"})
async def scenario(rig):
    rig.log.append("market", b"kill", partition_key="k")
    await asyncio.sleep(100)
drive(rig, scenario)
"""


def live_until_killed(folder: Path, flag: Path) -> None:
    """The host in its own process, ended by SIGKILL in the middle of a function."""
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", FIRST_LIFE, str(folder), str(flag)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr


def test_a_timer_that_was_killed_in_the_middle_is_past_due(tmp_path: Path) -> None:
    folder, flag = write_app(tmp_path / "app", KILLED_TIMER), tmp_path / "flag"
    live_until_killed(folder, flag)
    clock = VirtualClock(START_MS + 20_000)
    second = Rig(folder, clock=clock, state=folder / "state.db", settings={"FLAG": str(flag)})

    async def later(rig: Rig) -> None:
        await asyncio.sleep(1)

    drive(second, later)
    assert [past_due(i) for i in second.of("minute")] == [True]


SLOW_FUNCTIONS = """
import asyncio
SEEN = []
@app.timer_trigger(schedule="0 * * * * *", arg_name="t", run_on_startup=False)
async def patient(t: func.TimerRequest) -> None:
    for seconds in (1, 0, 2):
        await asyncio.sleep(seconds)
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 1)
    except TimeoutError:
        SEEN.append("own deadline")
    await asyncio.gather(asyncio.sleep(1), asyncio.sleep(2))
@app.timer_trigger(schedule="10 * * * * *", arg_name="t", run_on_startup=False)
async def stuck(t: func.TimerRequest) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        SEEN.append("cleaned up")
@app.timer_trigger(schedule="20 * * * * *", arg_name="t", run_on_startup=False)
async def failing(t: func.TimerRequest) -> None:
    await asyncio.sleep(1)
    raise LookupError("after a while")
@app.timer_trigger(schedule="30 * * * * *", arg_name="t", run_on_startup=False)
async def at_once(t: func.TimerRequest) -> None:
    raise TimeoutError("its own")
"""


def test_asynchronous_functions_wait_fail_and_are_cut_off(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", SLOW_FUNCTIONS, {"functionTimeout": "00:00:15"})
    rig = Rig(folder, clock=VirtualClock(START_MS))

    async def scenario(rig: Rig) -> None:
        await asyncio.sleep(119 - START_MS / 1000 % 60)

    drive(rig, scenario)
    ends = {
        name: (i.ended_ms - i.started_ms, i.error_message)
        for name in ("patient", "stuck", "failing", "at_once")
        for i in rig.of(name)[:1]
    }
    assert ends["patient"] == (6_000, None)
    assert ends["failing"] == (1_000, "LookupError: after a while")
    assert ends["at_once"] == (0, "TimeoutError: its own")
    late, error = ends["stuck"]
    assert late == 15_000
    assert error is not None
    assert "Timeout value of 15" in error
    assert sys.modules["function_app"].SEEN[:2] == ["own deadline", "cleaned up"]


# -- Event Hubs --------------------------------------------------------------------------------

CONSUMER = """
import os, pathlib, signal
from typing import List
SEEN = []
@app.event_hub_message_trigger(arg_name="events", event_hub_name="%HUB%", connection="C",
    cardinality=func.Cardinality.MANY, consumer_group="bot")
def consume(events: List[func.EventHubEvent]) -> None:
    bodies = [e.get_body().decode() for e in events]
    SEEN.append((events[0].partition_key, bodies))
    if "poison" in bodies:
        raise ValueError("poison")
    if "kill" in bodies and not pathlib.Path(os.environ["FLAG"]).exists():
        pathlib.Path(os.environ["FLAG"]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
@app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="t", run_on_startup=False)
@app.event_hub_output(arg_name="out", event_hub_name="%HUB%", connection="C")
@app.generic_output_binding(arg_name="live", type="signalR", hub_name="board", connection="S")
def produce(t: func.TimerRequest, out: func.Out[List[str]], live: func.Out[str]) -> None:
    out.set(["a", "b", "c"])
    live.set('[{"target": "x", "arguments": [1]}, {"target": "y", "arguments": []}]')
"""
HUB = {"HUB": "market"}
SMALL = {"version": "2.0", "extensions": {"eventHubs": {"maxEventBatchSize": 3}}}


def seen() -> list[tuple[str | None, list[str]]]:
    import function_app

    return function_app.SEEN


def test_batches_keep_order_per_key_and_the_size_limit(tmp_path: Path) -> None:
    rig = Rig(write_app(tmp_path, CONSUMER, SMALL), settings=HUB)

    async def scenario(rig: Rig) -> Any:
        for number in range(8):
            rig.log.append("market", str(number).encode(), partition_key="BTCUSDT")
        await asyncio.sleep(1)
        return list(seen())

    batches = drive(rig, scenario)
    assert [bodies for _, bodies in batches] == [["0", "1", "2"], ["3", "4", "5"], ["6", "7"]]
    assert {key for key, _ in batches} == {"BTCUSDT"}


def test_outputs_go_to_the_log_and_to_signalr(tmp_path: Path) -> None:
    rig = Rig(write_app(tmp_path, CONSUMER), settings=HUB)

    async def scenario(rig: Rig) -> Any:
        await rig.host.invoke("produce")
        await asyncio.sleep(1)
        return sorted(body for _, bodies in seen() for body in bodies)

    assert drive(rig, scenario) == ["a", "b", "c"]
    assert rig.signalr == [
        ("board", [{"target": "x", "arguments": [1]}, {"target": "y", "arguments": []}])
    ]


def test_a_failing_batch_is_checkpointed_like_on_azure(tmp_path: Path) -> None:
    rig = Rig(write_app(tmp_path, CONSUMER), settings=HUB)

    async def scenario(rig: Rig) -> int:
        rig.log.append("market", b"poison", partition_key="k")
        await asyncio.sleep(1)
        rig.log.append("market", b"next", partition_key="k")
        await asyncio.sleep(1)
        return rig.log.lag("market", "bot")

    assert drive(rig, scenario) == 0
    assert [i.error_message for i in rig.of("consume")] == ["ValueError: poison", None]


def test_a_batch_cut_off_by_a_crash_comes_again(tmp_path: Path) -> None:
    folder, flag = write_app(tmp_path / "app", CONSUMER), tmp_path / "flag"
    live_until_killed(folder, flag)
    clock = VirtualClock(START_MS + 1000)
    log = EventLog(folder / "events.db", clock=clock)
    second = Rig(folder, clock=clock, settings={**HUB, "FLAG": str(flag)}, log=log)

    async def recover(rig: Rig) -> Any:
        await asyncio.sleep(1)
        return list(seen())

    assert drive(second, recover) == [("k", ["kill"])]


def test_disturbed_delivery_repeats_but_never_loses(tmp_path: Path) -> None:
    def history(seed: int) -> list[Any]:
        clock = VirtualClock(START_MS)
        policy = DisturbedDelivery(seed, duplicate=0.5, delay=0.5, reorder=0.5)
        log = EventLog(":memory:", clock=clock, policy=policy)
        rig = Rig(write_app(tmp_path, CONSUMER, SMALL), clock=clock, settings=HUB, log=log)

        async def scenario(rig: Rig) -> list[Any]:
            for number in range(40):
                rig.log.append("market", str(number).encode())
            await asyncio.sleep(7200)
            return [bodies for _, bodies in seen()]

        return drive(rig, scenario)

    once = history(3)
    flat = [body for bodies in once for body in bodies]
    assert set(flat) == {str(number) for number in range(40)}
    assert len(flat) > 40
    assert once == history(3)
    assert once != history(4)


@pytest.mark.parametrize("many", [True, False])
def test_events_equal_what_the_sdk_converter_makes(many: bool) -> None:
    from azure.functions import meta

    event = StoredEvent(2, 41, 4711, START_MS + 7, "ETHUSDT", b"\x00{}", {"trace": "t"})
    metadata = BatchMetadata("market", "bot", [event], many)
    converter = meta.get_binding_registry().get("eventHubTrigger")
    if many:
        body = type("Bodies", (), {"bytes": [event.body]})
        (theirs,) = converter.decode(
            meta.Datum(body, "collection_bytes"), trigger_metadata=metadata
        )
    else:
        theirs = converter.decode(meta.Datum(event.body, "bytes"), trigger_metadata=metadata)
    ours = to_sdk(event, metadata, many)
    for name in ("partition_key", "sequence_number", "offset", "enqueued_time", "iothub_metadata"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.get_body() == theirs.get_body()
    assert type(ours.offset) is type(theirs.offset)
    assert ours.metadata == theirs.metadata


# -- HTTP --------------------------------------------------------------------------------------

HTTP = """
@app.route(route="admin/x")
def reserved(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("never")
@app.route(route="open")
def open_(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.get_body(), headers={"X-A": "1"})
@app.route(route="closed", auth_level=func.AuthLevel.FUNCTION)
def closed(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("in")
@app.route(route="client")
@app.durable_client_input(client_name="client")
async def client(req: func.HttpRequest, client) -> func.HttpResponse:
    return func.HttpResponse(type(client).__name__)
"""


def test_keys_open_what_they_should(tmp_path: Path) -> None:
    rig = durable_rig(write_app(tmp_path, HTTP))
    keys = rig.host.keys

    async def scenario(rig: Rig) -> None:
        mine = keys.of_function("closed")["default"]
        foreign = keys.of_function("open_")["default"]
        hook = "/runtime/webhooks/durabletask/instances"
        system = keys.system["durabletask_extension"]
        for target, key, status in [
            ("/api/closed", mine, 200),
            ("/api/closed", keys.host["default"], 200),
            ("/api/closed", keys.master, 200),
            ("/api/closed", foreign, 401),
            ("/api/closed", system, 401),
            ("/api/closed", mine + "x", 401),
            (hook, system, 200),
            (hook, keys.master, 200),
            (hook, keys.host["default"], 403),
            (hook, "x", 401),
            ("/admin/functions", keys.host["default"], 403),
        ]:
            assert (await rig.get(target, **{"x-functions-key": key})).status == status
            assert (await rig.get(f"{target}?code={key}")).status == status

    drive(rig, scenario)


def test_keys_survive_a_restart(tmp_path: Path) -> None:
    folder, state = write_app(tmp_path / "app", HTTP), tmp_path / "state.db"

    async def add(rig: Rig) -> str:
        path = "/admin/functions/closed/keys/extra"
        answer = await rig.request("POST", path, {"x-functions-key": rig.host.keys.master})
        return json.loads(answer.body)["value"]

    key = drive(Rig(folder, state=state), add)

    async def use(rig: Rig) -> int:
        return (await rig.get(f"/api/closed?code={key}")).status

    assert drive(Rig(folder, state=state), use) == 200


def test_reserved_routes_and_oversized_bodies_are_refused(tmp_path: Path) -> None:
    rig = durable_rig(write_app(tmp_path, HTTP))

    async def scenario(rig: Rig) -> None:
        assert (await rig.get("/api/admin/x")).status == 404
        assert "built in" in rig.host.errors["reserved"][0]
        assert (await rig.request("POST", "/api/open", body=b"a" * 104_857_601)).status == 413
        assert (await rig.get("/api/client")).body == b"DurableOrchestrationClient"

    drive(rig, scenario)


def test_settings_are_in_the_environment_only_while_the_host_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BORSA_PROBE", raising=False)
    rig = Rig(write_app(tmp_path, HTTP), settings={"BORSA_PROBE": "1"})

    async def scenario(rig: Rig) -> str | None:
        return os.environ.get("BORSA_PROBE")

    assert drive(rig, scenario) == "1"
    assert "BORSA_PROBE" not in os.environ


# -- indexing: what the worker refuses is refused here too ---------------------------------------

EVENT_PARAMETER = """
from typing import List, Optional
@app.event_hub_message_trigger(arg_name="e", event_hub_name="m", connection="C",
    cardinality=func.Cardinality.MANY)
@app.event_hub_output(arg_name="o", event_hub_name="m", connection="C")
def f(e: {events}, o: {out}{extra}){returns}:
    pass
"""
INDEXING = [
    ("List[func.EventHubEvent]", "func.Out[List[str]]", "", " -> None", True),
    ("func.EventHubEvent", "func.Out[str]", ", context: func.Context", "", True),
    ("list[func.EventHubEvent]", "func.Out[str]", "", "", False),
    ("List[func.EventHubEvent]", "func.Out[list[str]]", "", "", False),
    ("func.EventHubEvent | None", "func.Out[str]", "", "", False),
    ("func.TimerRequest", "func.Out[str]", "", "", False),
    ("List[func.EventHubEvent]", "str", "", "", False),
    ("func.Out[str]", "func.Out[str]", "", "", False),
    ("List[func.EventHubEvent]", "func.Out[str]", ", more: str", "", False),
]


@pytest.mark.parametrize(("events", "out", "extra", "returns", "accepted"), INDEXING)
def test_annotations_are_checked_like_the_worker_does(
    tmp_path: Path, events: str, out: str, extra: str, returns: str, accepted: bool
) -> None:
    code = EVENT_PARAMETER.format(events=events, out=out, extra=extra, returns=returns)
    folder = write_app(tmp_path, code)
    if sys.version_info >= (3, 13):
        from tests.host.worker_library import index_and_invoke

        try:
            theirs = len(index_and_invoke(folder, {}).metadata) == 1
        except RuntimeError:
            theirs = False
        assert theirs is accepted
    rig = Rig(folder)

    async def scenario(rig: Rig) -> int:
        return len(rig.host.functions)

    assert drive(rig, scenario) == int(accepted)


# -- the log by itself ---------------------------------------------------------------------------


def test_the_log_keeps_sequence_and_offset_over_restarts_and_purges(tmp_path: Path) -> None:
    clock = VirtualClock(START_MS)

    async def main() -> None:
        path = tmp_path / "events.db"
        log = EventLog(path, clock=clock, partitions=1, retention_s=3600)
        log.append("h", b"one", trace="t1")
        clock.sleep(3000)
        log.append("h", b"two")
        clock.sleep(3000)
        assert log.purge() == 1
        log.close()
        log = EventLog(path, clock=clock, partitions=7, retention_s=3600)
        log.append("h", b"three")
        events = log.read("h", "g", 0, 10)
        assert [(e.sequence, e.body) for e in events] == [(1, b"two"), (2, b"three")]
        assert events[0].offset < events[1].offset
        log.checkpoint("h", "g", 0, 2)
        assert [e.body for e in log.read("h", "g", 0, 10)] == [b"three"]
        assert log.lag("h", "g") == 1
        assert log.join("h", "late", "fromEnd") == 1
        assert log.read("h", "late", 0, 10) == []
        log.close()

    run(clock, main)


def test_an_empty_partition_goes_on_with_its_numbers_after_a_restart(tmp_path: Path) -> None:
    clock = VirtualClock(START_MS)
    path = tmp_path / "events.db"
    log = EventLog(path, clock=clock, partitions=1, retention_s=60)
    log.append("h", b"old")
    log.checkpoint("h", "g", 0, 1)
    clock.sleep(3600)
    log.purge()
    log.close()
    log = EventLog(path, clock=clock)
    log.append("h", b"new")
    assert [(e.sequence, e.body) for e in log.read("h", "g", 0, 10)] == [(1, b"new")]
    log.close()
