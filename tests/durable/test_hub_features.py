"""What an orchestration can do, each run through the real SDK in virtual time."""

from __future__ import annotations

import asyncio
import datetime
import json
import warnings
from typing import Any

import azure.durable_functions as df
import pytest
from durable_support import new_app, output, run

from local.durable import ActivityFault, Delivery, FaultPolicy, SqliteTaskHub
from shared.errors import AlreadyExists, Conflict, InvalidInput, NotFound

app = new_app()
ran: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ran.clear()


@app.activity_trigger(input_name="value")
def note(value: Any) -> Any:
    ran.append(value)
    return value


@app.activity_trigger(input_name="value")
def fails(value: Any) -> Any:
    ran.append(value)
    raise ValueError(f"no {value}")


@app.activity_trigger(input_name="seconds")
async def slow(seconds: float) -> float:
    ran.append(f"begin {seconds}")
    await asyncio.sleep(seconds)
    ran.append(f"end {seconds}")
    return seconds


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext) -> Any:
    first = yield context.call_activity("note", "a")
    second = yield context.call_activity("note", first + "b")
    return second


@app.orchestration_trigger(context_name="context")
def fan(context: df.DurableOrchestrationContext) -> Any:
    return (yield context.task_all([context.call_activity("slow", s) for s in context.get_input()]))


@app.orchestration_trigger(context_name="context")
def sleeps(context: df.DurableOrchestrationContext) -> Any:
    due = context.current_utc_datetime + datetime.timedelta(seconds=context.get_input())
    yield context.create_timer(due)
    return (context.current_utc_datetime - due).total_seconds()


@app.orchestration_trigger(context_name="context")
def approval(context: df.DurableOrchestrationContext) -> Any:
    timer = context.create_timer(context.current_utc_datetime + datetime.timedelta(hours=1))
    event = context.wait_for_external_event("approval")
    winner = yield context.task_any([event, timer])
    if winner is timer:
        return "rejected"
    timer.cancel()
    yield context.call_activity("note", "approved")
    return event.result


@app.orchestration_trigger(context_name="context")
def retries(context: df.DurableOrchestrationContext) -> Any:
    options = df.RetryOptions(60_000, 3)
    try:
        yield context.call_activity_with_retry("fails", options, "x")
    except Exception as error:  # noqa: BLE001 - the SDK raises plain Exception
        return str(error)[:41]


@app.orchestration_trigger(context_name="context")
def two_retries(context: df.DurableOrchestrationContext) -> Any:
    tasks = [
        context.call_activity_with_retry("fails", df.RetryOptions(ms, 2), name)
        for ms, name in ((5_000, "slower"), (1_000, "faster"))
    ]
    try:
        yield context.task_all(tasks)
    except Exception as error:  # noqa: BLE001
        return str(error).split(":")[2].split("\n")[0].strip()


@app.orchestration_trigger(context_name="context")
def parent(context: df.DurableOrchestrationContext) -> Any:
    context.set_custom_status({"step": 1})
    return (yield context.call_sub_orchestrator("chain", None, "child"))


@app.orchestration_trigger(context_name="context")
def counts(context: df.DurableOrchestrationContext) -> Any:
    n = context.get_input() or 0
    yield context.call_activity("note", n)
    if n < 3:
        context.continue_as_new(n + 1)
        return None
    return n


@app.orchestration_trigger(context_name="context")
def pair(context: df.DurableOrchestrationContext) -> Any:
    a = yield context.wait_for_external_event("A")
    b = yield context.wait_for_external_event("B")
    return [a, b]


@app.orchestration_trigger(context_name="context")
def uses_entity(context: df.DurableOrchestrationContext) -> Any:
    entity = df.EntityId("ledger", "main")
    context.signal_entity(entity, "add", 5)
    return (yield context.call_entity(entity, "add", 2))


@app.entity_trigger(context_name="context")
def ledger(context: df.DurableEntityContext) -> None:
    total = context.get_state(lambda: 0) + context.get_input()
    context.set_state(total)
    context.set_result(total)


@app.orchestration_trigger(context_name="context")
def loose_timer(context: df.DurableOrchestrationContext) -> Any:
    timer = context.create_timer(context.current_utc_datetime + datetime.timedelta(minutes=5))
    yield context.task_any([context.call_activity("note", 1), timer])
    return "done"


@app.orchestration_trigger(context_name="context")
def big_status(context: df.DurableOrchestrationContext) -> Any:
    context.set_custom_status("x" * 9_000)
    yield context.call_activity("note", 1)


@app.orchestration_trigger(context_name="context")
def missing(context: df.DurableOrchestrationContext) -> Any:
    return (yield context.call_activity("not_there", 1))


def test_a_chain_runs_in_order_and_keeps_its_output() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("CHAIN", "order:1")
        await hub.wait_idle()
        return await output(hub, i), hub.pending_work()

    result, pending = run(app, scenario)
    assert result == ("Completed", "ab")
    assert ran == ["a", "ab"]
    assert pending == {"activities": 0, "timers": 0, "messages": 0}


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (3, ["begin 3", "begin 1", "begin 2", "end 1", "end 2", "end 3"]),
        (1, ["begin 3", "end 3", "begin 1", "end 1", "begin 2", "end 2"]),
    ],
)
def test_fan_out_uses_as_many_places_as_configured(places: int, expected: list[str]) -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("fan", None, '"[3, 1, 2]"')
        await hub.wait_idle()
        return await output(hub, i)

    settings = {"maxConcurrentActivityFunctions": places}
    # As the Python client sends it: JSON text inside a JSON string.
    assert run(app, scenario, settings=settings) == ("Completed", [3, 1, 2])
    assert ran == expected


@pytest.mark.parametrize("seconds", [0, 0.0004, 1, 86_400, 86_400 * 20])
def test_a_timer_fires_at_its_time_never_early(seconds: float) -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("sleeps", None, json.dumps(json.dumps(seconds)))
        await asyncio.sleep(seconds + 1)
        await hub.wait_idle()
        return await output(hub, i)

    status, late = run(app, scenario)
    assert status == "Completed"
    assert 0 <= late <= 0.001


@pytest.mark.parametrize(
    ("answer", "expected"),
    [('{"yes":1}', {"yes": 1}), ('"{\\"yes\\":1}"', '{"yes":1}'), (None, "rejected")],
)
def test_an_approval_arrives_or_times_out(answer: str | None, expected: Any) -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("approval")
        await hub.wait_idle()
        await asyncio.sleep(60)
        if answer is None:
            await asyncio.sleep(3600)
        else:
            hub.operations.raise_event(i, "approval", answer)
        await hub.wait_idle()
        return await output(hub, i), hub.pending_work()["timers"]

    assert run(app, scenario) == (("Completed", expected), 0)
    assert ran == ([] if answer is None else ["approved"])


def test_retries_wait_between_attempts_and_then_surface_the_failure() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("retries")
        await hub.wait_idle()
        counts = [len(ran)]
        for _ in range(3):
            await asyncio.sleep(60)
            await hub.wait_idle()
            counts.append(len(ran))
        return counts, await output(hub, i)

    counts, result = run(app, scenario)
    assert counts == [1, 2, 3, 3]
    assert result == ("Completed", "Activity function 'fails' failed:  ValueE")


def test_two_retried_activities_take_their_numbers_in_the_order_of_events() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("two_retries")
        await asyncio.sleep(30)
        await hub.wait_idle()
        return await output(hub, i)

    assert run(app, scenario)[0] == "Completed"
    assert ran == ["slower", "faster", "faster", "slower"]


def test_a_child_reports_to_its_parent() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("parent")
        await hub.wait_idle()
        item = await hub.status(i)
        return await output(hub, i), item.custom_status, await output(hub, "child")

    assert run(app, scenario) == (("Completed", "ab"), '{"step":1}', ("Completed", "ab"))


def test_continue_as_new_drops_history_and_starts_again() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("counts")
        await hub.wait_idle()
        return await output(hub, i), len(await hub.history(i))

    assert run(app, scenario) == (("Completed", 3), 9)
    assert ran == [0, 1, 2, 3]


def test_events_in_the_other_order_are_kept() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("pair")
        hub.operations.raise_event(i, "B", "2")
        await hub.wait_idle()
        hub.operations.raise_event(i, "A", "1")
        await hub.wait_idle()
        return await output(hub, i)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(app, scenario) == ("Completed", [1, 2])


def test_entities_apply_operations_in_order_and_answer() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        results = []
        for _ in range(2):
            i = await hub.start_new("uses_entity")
            await hub.wait_idle()
            results.append(await output(hub, i))
        return results

    assert run(app, scenario) == [("Completed", 7), ("Completed", 14)]


def test_an_open_timer_keeps_the_instance_running() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("loose_timer")
        await hub.wait_idle()
        before = (await output(hub, i))[0]
        await asyncio.sleep(301)
        await hub.wait_idle()
        return before, await output(hub, i)

    assert run(app, scenario) == ("Running", ("Completed", "done"))


def test_suspension_holds_completions_back_until_resumed() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("pair")
        await hub.wait_idle()
        hub.operations.suspend(i, "wait")
        await hub.wait_idle()
        with pytest.raises(InvalidInput):
            hub.operations.suspend(i, "again")
        for name in "AB":
            hub.operations.raise_event(i, name, f'"{name}"')
        await hub.wait_idle()
        held = (await output(hub, i))[0]
        hub.operations.resume(i, "go")
        await hub.wait_idle()
        return held, await output(hub, i)

    assert run(app, scenario) == ("Suspended", ("Completed", ["A", "B"]))


def test_terminate_ends_at_once_and_late_results_are_ignored() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("fan", None, '"[5]"')
        await asyncio.sleep(1)
        hub.operations.terminate(i, "enough")
        await asyncio.sleep(0)
        await hub.wait_idle()
        result = await output(hub, i)
        with pytest.raises(Conflict):
            hub.operations.raise_event(i, "x", "1")
        hub.operations.purge(i)
        with pytest.raises(NotFound):
            hub.operations.purge(i)
        return result, hub.pending_work()

    result, pending = run(app, scenario)
    assert result == ("Terminated", "enough")
    assert pending == {"activities": 0, "timers": 0, "messages": 0}
    assert ran == ["begin 5", "end 5"]


def test_ids_of_running_instances_are_taken_those_of_finished_ones_free() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        await hub.start_new("pair", "p")
        with pytest.raises(AlreadyExists, match="status Pending already exists"):
            await hub.start_new("pair", "p")
        await hub.wait_idle()
        with pytest.raises(AlreadyExists, match="status Running"):
            await hub.start_new("pair", "p")
        hub.operations.terminate("p", "")
        await hub.wait_idle()
        await hub.start_new("chain", "p")
        await hub.wait_idle()
        return await output(hub, "p")

    assert run(app, scenario) == ("Completed", "ab")


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("missing", "Running", None),
        ("nowhere", "Failed", "The function 'nowhere' doesn't exist"),
        ("big_status", "Failed", "must not exceed 16 KB"),
    ],
)
def test_what_cannot_run(name: str, status: str, text: str | None) -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new(name)
        await hub.wait_idle()
        return await output(hub, i)

    found, result = run(app, scenario)
    assert found == status
    assert text in result if text else result is None


class Once(FaultPolicy):
    """One fault for the first execution of each activity, one kind of delivery for all."""

    def __init__(self, fault: ActivityFault, delivery: Delivery) -> None:
        self._fault = fault
        self._delivery = delivery

    def activity(self, name: str, attempt: int) -> ActivityFault:
        return self._fault if attempt == 1 else ActivityFault.NONE

    def delivery(self, name: str) -> Delivery:
        return self._delivery


@pytest.mark.parametrize(
    ("fault", "delivery", "executions"),
    [
        (ActivityFault.CRASH_BEFORE, Delivery(), ["a", "ab"]),
        (ActivityFault.CRASH_AFTER, Delivery(), ["a", "a", "ab", "ab"]),
        (ActivityFault.TWICE, Delivery(), ["a", "a", "ab", "ab"]),
        (ActivityFault.NONE, Delivery(copies=3), ["a", "ab"]),
        (ActivityFault.NONE, Delivery(copies=2, delay_ms=7_000), ["a", "ab"]),
    ],
)
def test_faults_change_executions_never_the_result(
    fault: ActivityFault, delivery: Delivery, executions: list[str]
) -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("chain")
        await asyncio.sleep(20)
        await hub.wait_idle()
        return await output(hub, i), hub.pending_work()

    result, pending = run(app, scenario, faults=Once(fault, delivery))
    assert result == ("Completed", "ab")
    assert ran == executions
    assert pending == {"activities": 0, "timers": 0, "messages": 0}


def test_one_seed_gives_one_history_another_seed_other_ids() -> None:
    async def scenario(hub: SqliteTaskHub) -> Any:
        histories = []
        for name, body in (("fan", '"[2, 1]"'), ("parent", None), ("two_retries", None)):
            i = await hub.start_new(name, None, body)
            await asyncio.sleep(100)
            histories.append((i, await hub.history(i)))
        return json.dumps(histories)

    first, second, other = (run(app, scenario, seed=s) for s in (7, 7, 8))
    assert first == second
    assert first != other
