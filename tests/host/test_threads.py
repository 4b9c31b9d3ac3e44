"""What closes a position finds a thread, however many others wait for a store that hangs."""

from __future__ import annotations

import asyncio
import json
import threading
from contextvars import ContextVar
from pathlib import Path

import pytest

from functions.threads import THREADS, in_thread

ROOT = Path(__file__).parents[2]
trace = ContextVar("trace", default="")


def test_a_stop_does_not_wait_behind_requests_that_hang() -> None:
    """``asyncio.to_thread`` would: five at once are all it has on a machine with one core."""
    host = json.loads((ROOT / "host.json").read_text())["extensions"]["durableTask"]
    waiting = 2 * host["maxConcurrentActivityFunctions"]
    assert waiting < THREADS
    hanging = threading.Event()

    async def stop() -> str:
        others = [asyncio.create_task(in_thread(hanging.wait, 10)) for _ in range(waiting)]
        await asyncio.sleep(0)  # all of them are asked for
        try:
            return await asyncio.wait_for(in_thread(lambda: "flat"), 5)
        finally:
            hanging.set()
            await asyncio.gather(*others)

    assert asyncio.run(stop()) == "flat"


def test_what_is_raised_and_the_context_go_through() -> None:
    def refuses(*, why: str) -> None:
        raise ValueError(f"{why} {trace.get()}")

    async def work() -> None:
        trace.set("of this request")
        with pytest.raises(ValueError, match="nothing of this request"):
            await in_thread(refuses, why="nothing")

    asyncio.run(work())
