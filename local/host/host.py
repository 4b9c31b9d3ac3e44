"""The function host: one app, its triggers, its HTTP face."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from local.clock import ScaledClock, VirtualClock
from local.contracts import Request, Response, TaskHub
from local.eventlog import EventLog, StoredEvent
from local.host import admin
from local.host.app import FunctionSpec
from local.host.config import HostConfig, HostConfigError
from local.host.config import load as load_config
from local.host.eventhubs import EventHubListener
from local.host.http import (
    MAX_BODY_BYTES,
    HttpPipeline,
    compile_routes,
    completed,
    empty,
    home_page,
)
from local.host.index import FunctionIndex
from local.host.inputs import InputBindings, nobody
from local.host.keys import HostKeys, presented, short_key
from local.host.outputs import OutputDispatcher, SignalRSink
from local.host.state import HostState
from local.host.timers import TimerListener
from local.host.worker import Invocation, Worker

log = logging.getLogger("Host")

WEBHOOKS = "/runtime/webhooks/durabletask"
DRAIN_S = 30.0
"""Seconds a stopping host gives to running invocations before it cancels them."""


def _discard(hub: str, messages: list[dict[str, Any]]) -> None:
    """SignalR without listeners."""


class FunctionHost:
    """Runs a Python v2 function app.

    Parameters
    ----------
    app_folder : Path
        Folder with ``function_app.py`` and ``host.json``.
    clock : VirtualClock or ScaledClock
        The clock of the running event loop (:func:`local.clock.loop_for`).
    settings : mapping
        Application settings; also put into the environment while the host runs, which is
        how functions read them on Azure.
    state_path : str or Path
        SQLite file for timer statuses and keys, or ``":memory:"``.
    hub : TaskHub, optional
        Without one, functions that need Durable Functions are in error.
    event_log : EventLog
    keys : HostKeys, optional
        Otherwise made once and kept in the state file.
    signalr : callable, optional
        Takes hub name and messages of SignalR outputs.
    invite : callable
        Makes the ``signalRConnectionInfo`` of a hub, JSON text.
    base_url : str
        Origin put into management URLs.

    Notes
    -----
    The host itself always starts. An app that cannot be imported or indexed leaves it running
    with no functions, a broken ``host.json`` leaves it answering 503, a function with a bad
    binding is off while the others run: what Azure does, and said loudly in the log.
    """

    def __init__(
        self,
        app_folder: str | Path,
        *,
        clock: VirtualClock | ScaledClock,
        settings: Mapping[str, str],
        state_path: str | Path,
        hub: TaskHub | None,
        event_log: EventLog,
        keys: HostKeys | None = None,
        signalr: SignalRSink | None = None,
        invite: Callable[[str], str] = nobody,
        base_url: str = "http://127.0.0.1:7071",
    ) -> None:
        self.app_folder = Path(app_folder).resolve()
        self.clock = clock
        self.settings = dict(settings)
        self.config = HostConfig()
        self.state: Literal["Default", "Running", "Error", "Stopped"] = "Default"
        self.host_errors: list[str] = []
        self.base_url = base_url
        self.on_invocation: list[Callable[[Invocation], None]] = []
        self.event_log = event_log
        self._hub = hub
        self._store = HostState(state_path)
        self.keys = keys or self._stored_keys()
        self.index = FunctionIndex(self.settings)
        self.inputs = InputBindings(hub, self.keys, self.settings, lambda: self.base_url, invite)
        self._outputs = OutputDispatcher(event_log, signalr or _discard, self.settings)
        self._worker: Worker | None = None
        self._pipeline: HttpPipeline | None = None
        self._timers: dict[str, TimerListener] = {}
        self._event_hubs: dict[str, EventHubListener] = {}
        self._listeners: list[asyncio.Task[Any]] = []
        self._background: set[asyncio.Task[Any]] = set()
        self._environment: dict[str, str | None] = {}
        self._hub_started = False
        self._started_ms = clock.now_ms()

    # -- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load the app, start its listeners and the task hub."""
        self._started_ms = self.clock.now_ms()
        try:
            self.config = load_config(self.app_folder, self.settings)
        except HostConfigError as error:
            self.state = "Error"
            self.host_errors.append(str(error))
            log.error("A host error has occurred: %s", error)
            return
        self._export_settings()
        worker = self._worker = Worker(
            clock=self.clock,
            timeout=self.config.function_timeout,
            dispatch=self._outputs,
            threads=int(self.settings.get("PYTHON_THREADPOOL_THREAD_COUNT", "32")),
        )
        worker.on_invocation = self.on_invocation
        self.index.load(self.app_folder, has_hub=self._hub is not None)
        self._pipeline = HttpPipeline(
            compile_routes(self.index.enabled("httpTrigger"), self.errors),
            config=self.config,
            keys=self.keys,
            worker=worker,
            extra_args=self.inputs.of,
        )
        self._add_listeners(worker)
        for name, problems in self.errors.items():
            log.error("The '%s' function is in error: %s", name, "; ".join(problems))
        self.state = "Running"
        if self._hub is not None:
            await self._hub.start(self)
            self._hub_started = True
        for timer in self._timers.values():
            self._listen(timer.run(), f"timer {timer.spec.name}")
        for listener in self._event_hubs.values():
            for pump in listener.pumps():
                self._listen(pump, f"event hub {listener.spec.name}")

    async def stop(self) -> None:
        """Let running invocations finish (within :data:`DRAIN_S`), then end everything."""
        for listener in self._event_hubs.values():
            listener.stop()
        for timer in self._timers.values():
            timer.stop()
        tasks = [*self._listeners, *self._background]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=DRAIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._listeners.clear()
        if self._hub is not None and self._hub_started:
            await self._hub.stop()
        self.inputs.close()
        if self._worker is not None:
            self._worker.close()
        self._store.close()
        self._restore_environment()
        self.state = "Stopped"

    # -- HTTP ------------------------------------------------------------------------------

    async def handle(self, request: Request) -> Response:
        """Answer an HTTP request as Azure would."""
        response = await self._answer(request)
        return completed(response, request.method, self.config.custom_headers)

    async def _answer(self, request: Request) -> Response:
        path = urlsplit(request.target).path
        first = path.lower().split("/")[1] if "/" in path else ""
        if first == "admin":
            return await admin.handle(self, request)
        if self._pipeline is None or self.state != "Running":
            body = b"Function host is not running."
            return Response(503, [("Content-Type", "text/plain; charset=utf-8")], body)
        if len(request.body) > MAX_BODY_BYTES:
            return empty(413)
        if path.lower().startswith(WEBHOOKS):
            return await self._webhook(request)
        found = self._pipeline.find(request)
        if found is not None:
            return await self._pipeline.call(*found, request)
        if path == "/" and request.method.upper() in ("GET", "HEAD"):
            return home_page(len(self.functions))
        return empty(404)

    async def _webhook(self, request: Request) -> Response:
        if self._hub is None:
            return empty(404)
        level = self.keys.level(presented(request))
        if level is None:
            return empty(401, ("WWW-Authenticate", "Bearer"))
        if level == "function":
            return empty(403)
        return await self._hub.webhook(request)

    # -- invoking by hand --------------------------------------------------------------------

    async def invoke(self, name: str, value: Any = None) -> Invocation:
        """Call a function now, outside its trigger.

        Parameters
        ----------
        name : str
        value
            By trigger: a :class:`Request` (HTTP), ``None`` (timer), bodies of events as
            ``bytes`` (Event Hubs), JSON text (activity).

        Raises
        ------
        KeyError
            If there is no such function, or it is off.
        """
        spec = self.index.find(name)
        if spec is None or self._worker is None or self._pipeline is None:
            raise KeyError(name)
        if spec.kind == "httpTrigger":
            request = value if value is not None else Request("GET", f"/{spec.name}")
            return await self._pipeline.invoke(spec, request, {})
        if spec.kind == "timerTrigger":
            return await self._timers[spec.name].invoke(value)
        if spec.kind == "eventHubTrigger":
            events = self._synthetic(value)
            return (await self._event_hubs[spec.name].invoke(events))[-1]
        if spec.kind == "activityTrigger":
            return await self._run_activity(spec, value)
        raise KeyError(f"{name} is started through the durable client")

    def invoke_in_background(self, spec: FunctionSpec, text: str) -> None:
        """The admin API's invocation: nobody waits for the result."""
        value: Any = text
        if spec.kind == "httpTrigger":
            headers = [("Host", urlsplit(self.base_url).netloc)]
            value = Request("POST", f"/admin/functions/{spec.name}", headers, text.encode())
        elif spec.kind == "eventHubTrigger":
            value = [text.encode()]

        async def run() -> None:
            try:
                await self.invoke(spec.name, value)
            except Exception as error:  # noqa: BLE001 - reported, there is no caller to tell
                log.error("Admin invocation of '%s' failed: %s", spec.name, error)

        task = asyncio.get_running_loop().create_task(run())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # -- DurableFunctions --------------------------------------------------------------------

    def orchestrator(self, name: str) -> Callable[[str], str] | None:
        """The SDK's handle of an orchestrator function, by its case-insensitive name."""
        spec = self.index.durable("orchestrationTrigger", name)
        return None if spec is None else spec.call

    def entity(self, name: str) -> Callable[[str], str] | None:
        """The SDK's handle of an entity function, by its case-insensitive name."""
        spec = self.index.durable("entityTrigger", name)
        return None if spec is None else spec.call

    def activity(self, name: str) -> Callable[[str], Awaitable[str]] | None:
        """Runs an activity by its case-insensitive name; raises what the activity raises."""
        spec = self.index.durable("activityTrigger", name)
        if spec is None:
            return None

        async def run(text: str) -> str:
            invocation = await self._run_activity(spec, text)
            if invocation.error is not None:
                raise invocation.error
            return str(invocation.return_value.value)

        return run

    async def _run_activity(self, spec: FunctionSpec, text: str) -> Invocation:
        from azure.functions.meta import Datum

        assert self._worker is not None
        name = spec.trigger.name
        args = {name: self._worker.decode(spec.trigger, Datum(text, "string"), {})}
        args.update(self.inputs.of(spec))
        return await self._worker.run(
            spec,
            args,
            inputs=lambda: {name: {"string": text}},
            trigger_metadata=lambda: {name: {"string": text}, "data": {"json": json.dumps(text)}},
        )

    # -- what tools ask ----------------------------------------------------------------------

    @property
    def functions(self) -> dict[str, FunctionSpec]:
        """All indexed functions by name."""
        return self.index.functions

    @property
    def errors(self) -> dict[str, list[str]]:
        """What is wrong with functions that are off for it, by name."""
        return self.index.errors

    def metadata(self) -> list[dict[str, Any]]:
        """All indexed functions as the Python worker announces them."""
        return [spec.metadata() for spec in self.functions.values()]

    @property
    def running(self) -> int:
        """Invocations in progress."""
        return 0 if self._worker is None else self._worker.running

    @property
    def uptime_ms(self) -> int:
        return self.clock.now_ms() - self._started_ms

    def save_keys(self) -> None:
        """Keep the keys for the next start."""
        self._store.put("keys", asdict(self.keys))

    # -- inside ------------------------------------------------------------------------------

    def _add_listeners(self, worker: Worker) -> None:
        for spec in self.index.enabled("timerTrigger"):
            try:
                self._timers[spec.name] = TimerListener(
                    spec,
                    settings=self.settings,
                    clock=self.clock,
                    state=self._store,
                    worker=worker,
                    client_args=self.inputs.of,
                )
            except ValueError as error:
                self.errors[spec.name] = [str(error)]
        for spec in self.index.enabled("eventHubTrigger"):
            try:
                self._event_hubs[spec.name] = EventHubListener(
                    spec,
                    settings=self.settings,
                    config=self.config,
                    log_store=self.event_log,
                    worker=worker,
                    client_args=self.inputs.of,
                )
            except ValueError as error:
                self.errors[spec.name] = [str(error)]

    def _listen(self, work: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(_report)
        self._listeners.append(task)

    def _synthetic(self, bodies: Sequence[bytes]) -> list[StoredEvent]:
        now = self.clock.now_ms()
        return [StoredEvent(0, i, 0, now, None, body) for i, body in enumerate(bodies)]

    def _stored_keys(self) -> HostKeys:
        stored = self._store.get("keys")
        if stored is not None:
            return HostKeys(**stored)
        keys = HostKeys()
        self._store.put("keys", asdict(keys))
        return keys

    def host_key(self, name: str) -> str:
        """A function key for all functions by its name, made and kept at the first use."""
        if name not in self.keys.host:
            self.keys.host[name] = short_key()
            self._store.put("keys", asdict(self.keys))
        return self.keys.host[name]

    def _export_settings(self) -> None:
        self._environment = {name: os.environ.get(name) for name in self.settings}
        os.environ.update(self.settings)

    def _restore_environment(self) -> None:
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._environment = {}


def _report(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("The listener '%s' ended", task.get_name(), exc_info=task.exception())
