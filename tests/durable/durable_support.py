"""Virtual-time harness for hub tests: small apps, one loop, one hub."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any

import azure.durable_functions as df
from durable_sdk import SdkFunctions

from local.clock import VirtualClock, VirtualLoop
from local.durable import SqliteTaskHub

START = 1_746_316_800_000  # 2025-05-04T00:00:00Z


#: An app object can be read only once.
functions_of = functools.cache(SdkFunctions)


def new_app() -> df.DFApp:
    return df.DFApp()


def run(
    app: df.DFApp,
    scenario: Callable[[SqliteTaskHub], Awaitable[Any]],
    path: str = ":memory:",
    start_ms: int = START,
    **options: Any,
) -> Any:
    """Run a scenario against a fresh hub on a virtual loop; the hub is stopped afterwards."""
    clock = VirtualClock(start_ms)
    loop = VirtualLoop(clock)

    async def main() -> Any:
        hub = SqliteTaskHub(path, clock=clock, **options)
        await hub.start(functions_of(app))
        try:
            return await scenario(hub)
        finally:
            await hub.stop()

    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


async def output(hub: SqliteTaskHub, instance_id: str) -> Any:
    """Status and parsed output of an instance."""
    item = await hub.status(instance_id)
    assert item is not None
    return item.status, None if item.output is None else json.loads(item.output)
