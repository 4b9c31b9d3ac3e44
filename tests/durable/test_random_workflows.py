"""Any small workflow ends with the same result whatever the faults, delays and completion order."""

from __future__ import annotations

import asyncio
import datetime
import json
from typing import Any

import azure.durable_functions as df
from durable_support import new_app, output, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.durable import FaultPolicy, RandomFaults, SqliteTaskHub

app = new_app()


@app.activity_trigger(input_name="job")
async def work(job: dict[str, Any]) -> str:
    await asyncio.sleep(job["seconds"])
    if job["fails"]:
        raise RuntimeError(job["name"])
    return str(job["name"])


@app.orchestration_trigger(context_name="context")
def interpret(context: df.DurableOrchestrationContext) -> Any:
    """Runs a described workflow: a list of steps, each one task or a fan-out of tasks."""

    def task(step: dict[str, Any]) -> Any:
        match step["kind"]:
            case "activity":
                return context.call_activity("work", step)
            case "retry":
                return context.call_activity_with_retry("work", df.RetryOptions(1_000, 2), step)
            case "event":
                return context.wait_for_external_event(step["name"])
            case "child":
                return context.call_sub_orchestrator("interpret", step["steps"])
        due = context.current_utc_datetime + datetime.timedelta(seconds=step["seconds"])
        return context.create_timer(due)

    results = []
    for step in context.get_input():
        try:
            if step["kind"] == "all":
                results.append((yield context.task_all([task(s) for s in step["steps"]])))
            else:
                results.append((yield task(step)))
        except Exception:  # noqa: BLE001 - the SDK raises plain Exception
            results.append("failed")
    return results


def expected(steps: list[dict[str, Any]]) -> list[Any]:
    """What the workflow must give, computed without any task hub."""
    results: list[Any] = []
    for step in steps:
        match step["kind"]:
            case "all":
                inner = expected(step["steps"])
                results.append("failed" if "failed" in inner else inner)
            case "activity" | "retry":
                results.append("failed" if step["fails"] else step["name"])
            case "event":
                results.append(step["name"])
            case "child":
                results.append(expected(step["steps"]))
            case _:
                results.append(None)
    return results


seconds = st.integers(0, 20)
names = st.text("abc", min_size=1, max_size=3)
activity = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["activity", "retry"]),
        "name": names,
        "seconds": seconds,
        "fails": st.booleans(),
    }
)
timer = st.fixed_dictionaries({"kind": st.just("timer"), "seconds": seconds})
simple = st.one_of(activity, timer)


def _numbered_alike(steps: list[dict[str, Any]]) -> bool:
    """Leave out what SDK and extension number differently.

    The SDK goes on at the first failure of a ``task_all``; a retry in it that still fails goes on
    taking numbers at the extension. What the orchestrator starts then has two numbers. The
    application never puts retries into a fan-out.
    """
    failing = [s for s in steps if s.get("fails")]
    return len(failing) < 2 or not any(s["kind"] == "retry" for s in failing)


fan_out = st.fixed_dictionaries(
    {
        "kind": st.just("all"),
        "steps": st.lists(simple, min_size=1, max_size=4).filter(_numbered_alike),
    }
)
child = st.fixed_dictionaries(
    {"kind": st.just("child"), "steps": st.lists(st.one_of(simple, fan_out), max_size=3)}
)
workflows = st.lists(st.one_of(simple, fan_out, child), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=workflows, events=st.integers(0, 3), seed=st.integers(0, 1_000))
def test_the_result_depends_on_the_workflow_only(
    steps: list[dict[str, Any]], events: int, seed: int
) -> None:
    # Names are unique: one early event may satisfy two waits of one name, in the SDK itself.
    waits = [{"kind": "event", "name": f"event-{n}"} for n in range(events)]
    steps = [item for pair in zip(steps, waits, strict=False) for item in pair] + steps[events:]

    async def scenario(hub: SqliteTaskHub) -> Any:
        i = await hub.start_new("interpret", None, json.dumps(json.dumps(steps)))
        for wait in reversed(waits):
            hub.operations.raise_event(i, wait["name"], json.dumps(wait["name"]))
        await asyncio.sleep(10_000)
        await hub.wait_idle()
        return await output(hub, i), hub.pending_work()

    sent = {s["name"] for s in steps if s["kind"] == "event"}
    waits = [w for w in waits if w["name"] in sent]
    faults = RandomFaults(
        seed, crash_before=0.1, crash_after=0.1, twice=0.1, duplicate=0.3, delay=0.3
    )
    for policy in (FaultPolicy(), faults):
        result, pending = run(app, scenario, faults=policy)
        assert result == ("Completed", expected(steps))
        assert pending == {"activities": 0, "timers": 0, "messages": 0}
