"""Runs function hosts for tests: apps written to a folder, a virtual clock, recordings."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from local.clock import VirtualClock, loop_for
from local.contracts import Request, Response
from local.eventlog import EventLog
from local.host import FunctionHost, HostKeys, Invocation

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "reference" / "host"
START_MS = 1_795_427_926_000  # 2026-11-23T09:58:46Z, when the timers were recorded

HEADER = """
import azure.functions as func
import azure.durable_functions as df
app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
"""


def recording(name: str) -> Any:
    return json.loads((RECORDINGS / name).read_text(encoding="utf-8"))


def write_app(folder: Path, code: str, host_json: Any = None, *, header: str = HEADER) -> Path:
    """An app folder; ``host_json`` may be raw text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "function_app.py").write_text(header + textwrap.dedent(code), encoding="utf-8")
    text = host_json if isinstance(host_json, str) else json.dumps(host_json or {"version": "2.0"})
    (folder / "host.json").write_text(text, encoding="utf-8")
    return folder


class Rig:
    """A host under a virtual clock, with everything it did written down."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: VirtualClock | None = None,
        settings: Mapping[str, str] | None = None,
        state: str | Path = ":memory:",
        hub: Any = None,
        log: EventLog | None = None,
        keys: HostKeys | None = None,
    ) -> None:
        self.clock = clock or VirtualClock(START_MS)
        self.log = log or EventLog(":memory:", clock=self.clock)
        self.signalr: list[tuple[str, list[dict[str, Any]]]] = []
        self.invocations: list[Invocation] = []
        self.host = FunctionHost(
            folder,
            clock=self.clock,
            settings=settings or {},
            state_path=state,
            hub=hub,
            event_log=self.log,
            keys=keys,
            signalr=lambda name, messages: self.signalr.append((name, messages)),
        )
        self.host.on_invocation.append(self.invocations.append)

    def of(self, name: str) -> list[Invocation]:
        return [invocation for invocation in self.invocations if invocation.function == name]

    async def get(self, target: str, **headers: str) -> Response:
        return await self.request("GET", target, headers)

    async def request(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Response:
        sent = [("Host", "127.0.0.1:7099"), ("Accept-Encoding", "identity")]
        sent += list((headers or {}).items())
        if body or method in ("POST", "PUT"):
            sent.append(("Content-Length", str(len(body))))
        return await self.host.handle(Request(method, target, sent, body))


def drive(rig: Rig, scenario: Callable[[Rig], Awaitable[Any]]) -> Any:
    """Start the host, run the scenario in virtual time, stop the host."""

    async def main() -> Any:
        await rig.host.start()
        try:
            return await scenario(rig)
        finally:
            await rig.host.stop()

    try:
        return run(rig.clock, main)
    finally:
        rig.log.close()


def run(clock: VirtualClock, main: Callable[[], Awaitable[Any]]) -> Any:
    """One coroutine on a virtual loop, which is closed afterwards."""
    loop = loop_for(clock)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()
        asyncio.set_event_loop(None)
