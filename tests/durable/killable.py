"""A process that runs workflows on a file hub until it is killed or all are done.

Arguments: database, log of side effects, ``start`` or ``resume``. The first execution of the
activity ``block`` never returns, so that the kill meets an activity in flight.
"""

from __future__ import annotations

import asyncio
import datetime
import sys
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

import azure.durable_functions as df  # noqa: E402
from durable_sdk import SdkFunctions  # noqa: E402

from local.clock import ScaledClock, ScaledLoop  # noqa: E402
from local.durable import SqliteTaskHub  # noqa: E402

app = df.DFApp()
LOG = Path(sys.argv[2])
RESUMED = sys.argv[3] == "resume"
IDS = ["blocked", "timed", "waiting"]


def effect(text: str) -> None:
    with LOG.open("a") as log:
        log.write(text + "\n")


@app.activity_trigger(input_name="value")
def record(value: str) -> str:
    effect(value)
    return value


@app.activity_trigger(input_name="value")
async def block(value: str) -> str:
    effect(value)
    if not RESUMED:
        await asyncio.sleep(3600)
    return value


@app.orchestration_trigger(context_name="context")
def blocked(context: df.DurableOrchestrationContext) -> Any:
    first = yield context.call_activity("record", "blocked-1")
    second = yield context.call_activity("block", "blocked-2")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def timed(context: df.DurableOrchestrationContext) -> Any:
    first = yield context.call_activity("record", "timed-1")
    due = context.current_utc_datetime + datetime.timedelta(seconds=1)
    yield context.create_timer(due)
    second = yield context.call_activity("record", "timed-2")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def waiting(context: df.DurableOrchestrationContext) -> Any:
    first = yield context.call_activity("record", "waiting-1")
    event = yield context.wait_for_external_event("go")
    return [first, event]


async def main() -> None:
    clock = asyncio.get_running_loop().clock  # type: ignore[attr-defined]
    hub = SqliteTaskHub(sys.argv[1], clock=clock, name="killed")
    await hub.start(SdkFunctions(app))
    if not RESUMED:
        for name in IDS:
            await hub.start_new(name, name)
    else:
        hub.operations.raise_event("waiting", "go", '"on"')
    while True:
        rows = [await hub.status(name) for name in IDS]
        if all(row is not None and not row.running for row in rows):
            break
        await asyncio.sleep(0.02)
    for row in rows:
        assert row is not None
        effect(f"{row.instance_id} {row.status} {row.output}")
    await hub.stop()


loop = ScaledLoop(ScaledClock(int(time.time() * 1000)))
loop.run_until_complete(main())
loop.close()
