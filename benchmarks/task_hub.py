"""What an orchestration costs in the embedded task hub, beside the recorded real host."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure, Size
from local.clock import VirtualClock, loop_for
from local.contracts import Request
from local.durable.hub import SqliteTaskHub
from local.eventlog import EventLog
from local.host.host import FunctionHost

APP = Path(__file__).resolve().parent / "apps" / "hub"
START_MS = 1_767_571_200_000
RUNS: dict[Size, int] = {"full": 300, "quick": 50, "tiny": 3}

#: Milliseconds on the real host 4.1037 with the Azure Storage provider, recorded 2026-11-23.
RECORDED = {"hello": 3.6, "nothing": 68.7, "chain": 179.0, "fan_out": 155.9}
_PEER = "real host, Azure Storage provider, recorded"


async def _orchestrations(hub: SqliteTaskHub, name: str, runs: int) -> float:
    taken = []
    for number in range(runs + 3):
        began = time.perf_counter()
        instance = await hub.start_new(name, f"{name}-{number}")
        await hub.wait_idle()
        taken.append((time.perf_counter() - began) * 1000)
        status = await hub.status(instance)
        if status is None or status.status != "Completed":
            raise RuntimeError(f"{instance} is {status}")
    return statistics.median(taken[3:])


async def _requests(host: FunctionHost, runs: int) -> float:
    request = Request("GET", "/api/hello", [("Host", "localhost")])
    taken = []
    for _ in range(runs + 3):
        began = time.perf_counter()
        response = await host.handle(request)
        taken.append((time.perf_counter() - began) * 1000)
        if response.status != 200:
            raise RuntimeError(f"hello answered {response.status}")
    return statistics.median(taken[3:])


def run(runs: int) -> dict[str, float]:
    """Median milliseconds of a request, an empty orchestration, a chain and a fan-out."""
    clock = VirtualClock(START_MS)
    measured: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="borsa-hub-") as folder:
        # In a file: a hop's cost includes its commits.
        log = EventLog(":memory:", clock=clock)
        hub = SqliteTaskHub(str(Path(folder) / "hub.db"), clock=clock, name="benchmark")
        host = FunctionHost(
            APP, clock=clock, settings={}, state_path=":memory:", hub=hub, event_log=log
        )

        async def main() -> None:
            await host.start()
            if host.host_errors or host.errors:
                raise RuntimeError(f"{host.host_errors} {host.errors}")
            measured["hello"] = await _requests(host, runs)
            for name in ("nothing", "chain", "fan_out"):
                measured[name] = await _orchestrations(hub, name, runs)
            await host.stop()

        loop: Any = loop_for(clock)
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(main())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
            log.close()
    return measured


def measure(size: Size) -> list[Figure]:
    """Medians; the history is in a SQLite file."""
    measured = run(RUNS[size])
    texts = {
        "hello": "trivial HTTP function (without the socket)",
        "nothing": "orchestration without activities",
        "chain": "orchestration of three chained activities",
        "fan_out": "orchestration with a fan-out of five",
    }
    return [
        Figure(name=texts[name], value=value, unit="ms", peer=_PEER, peer_value=RECORDED[name])
        for name, value in measured.items()
    ]
