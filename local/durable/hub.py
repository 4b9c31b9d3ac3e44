"""The Durable task hub on SQLite: episodes, activities, timers, and their recovery after a kill."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

from local.contracts import DurableFunctions, Request, Response
from local.durable.activities import Activities, HttpCall
from local.durable.bindings import Links
from local.durable.core import Core, Effects
from local.durable.entities import run_batch
from local.durable.faults import FaultPolicy
from local.durable.history import Event, Kind, event
from local.durable.management import Management
from local.durable.operations import Operations
from local.durable.orchestrations import Orchestrations
from local.durable.sdk import remember_timestamps
from local.durable.settings import HubSettings
from local.durable.store import HubStore, Instance, Timer
from shared.clock import Clock
from shared.errors import ConfigurationError, StoreUnavailable

_log = logging.getLogger(__name__)
_STORE_RETRY_S = 1.0


class _NoFunctions:
    """Before the host is there, nothing can be run, only stored."""

    def orchestrator(self, name: str) -> None:
        return None

    entity = activity = orchestrator


class SqliteTaskHub:
    """A task hub in one SQLite file that drives the SDK through its replay protocol.

    Parameters
    ----------
    path : str
        Database file, or ``":memory:"``.
    clock : Clock
        The clock by which the running event loop lives (see `local.clock`).
    name : str, optional
        Hub name; else ``hubName`` of ``settings``.
    settings : mapping, optional
        The ``extensions.durableTask`` section of host.json.
    seed : int
        Ids follow from it, from the hub's name and from the order of starts.
    faults : FaultPolicy, optional
        Misbehaviour for tests; none by default.
    webhook_key : str
        The extension's system key, put into management URLs.
    rpc_base_url : str, optional
        Where the host serves ``/durabletask/``; below the host's own address by default.
    http : callable, optional
        Performs ``context.call_http`` requests.
    """

    def __init__(
        self,
        path: str,
        *,
        clock: Clock,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        faults: FaultPolicy | None = None,
        webhook_key: str = "",
        rpc_base_url: str | None = None,
        http: HttpCall | None = None,
    ) -> None:
        self.clock = clock
        self._core = Core(
            HubStore(path), clock, HubSettings.read(name, settings), seed, _NoFunctions()
        )
        self.links = Links(self._core.settings.hub_name, webhook_key, rpc_base_url)
        self._orchestrations = Orchestrations(self._core)
        self.operations = Operations(self._core, self._wake, self._orchestrations.forget)
        self._management = Management(self._core, self.operations, self.links)
        self._activities = Activities(
            self._core,
            faults or FaultPolicy(),
            self._posted,
            self._check_idle,
            self._break,
            http,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: deque[str] = deque()
        self._queued: set[str] = set()
        self._pumping = False
        self._due: list[tuple[int, int, Timer | str]] = []
        self._due_order = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._idle_waiters: list[asyncio.Future[None]] = []
        self._error: BaseException | None = None

    # ------------------------------------------------------------------ life

    @property
    def name(self) -> str:
        """The hub's name."""
        return self._core.settings.hub_name

    async def start(self, functions: DurableFunctions) -> None:
        """Begin to run, first of all what an earlier process left unfinished.

        Raises
        ------
        ConfigurationError
            It is running already.
        """
        if self._loop is not None:
            raise ConfigurationError(["The task hub is started twice."])
        remember_timestamps()
        self._core.functions = functions
        self._loop = asyncio.get_running_loop()
        store = self._core.store
        now = self.clock.now_ms()
        for timer in store.all_timers():
            self._push(timer.fire_ms, timer)
        for instance_id, due in store.waiting():
            if due > now:
                self._push(due, instance_id)
            else:
                self._wake(instance_id)
        self._activities.submit(store.all_work())
        self._arm()
        self._kick()

    async def stop(self) -> None:
        """Stop and close the database; unfinished activities run again after the next start."""
        self._loop = None
        if self._alarm is not None:
            self._alarm.cancel()
        await self._activities.stop()
        self._core.store.close()
        self._check_idle()

    # ------------------------------------------------------------------ served by the host

    async def webhook(self, request: Request) -> Response:
        """Management API below ``/runtime/webhooks/durabletask`` (keys already checked)."""
        return await self._management.serve(request, rpc=False)

    async def rpc(self, request: Request) -> Response:
        """The local RPC address the Python durable client calls."""
        return await self._management.serve(request, rpc=True)

    def client_binding(self, base_url: str) -> str:
        """JSON text of the ``durableClient`` binding handed to functions."""
        return self.links.client_binding(base_url)

    # ------------------------------------------------------------------ for hosts and tests

    async def start_new(
        self, name: str, instance_id: str | None = None, input_json: str | None = None
    ) -> str:
        """Start an orchestration as an HTTP client would; ``input_json`` is the JSON body.

        Raises `AlreadyExists` where an instance of that id is not finished.
        """
        return self.operations.start(name, instance_id, input_json)

    async def status(self, instance_id: str) -> Instance | None:
        """The instance's row, None if there is none."""
        return self._core.store.instance(instance_id)

    async def history(self, instance_id: str) -> list[Event]:
        """All history events of the current execution."""
        return self._core.store.history(instance_id)[0]

    async def wait_idle(self) -> None:
        """Until nothing can run now; timers and delayed messages of the future do not count.

        Raises whatever error of the hub itself stopped an instance since.
        """
        while self._busy():
            waiter = asyncio.get_running_loop().create_future()
            self._idle_waiters.append(waiter)
            await waiter
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def pending_work(self) -> dict[str, int]:
        """How much is stored and not done: activities, timers, messages."""
        store = self._core.store
        return {
            "activities": len(store.all_work()),
            "timers": len(store.all_timers()),
            "messages": len(store.waiting()),
        }

    # ------------------------------------------------------------------ running

    def _busy(self) -> bool:
        if self._loop is None:
            return False
        return bool(self._ready) or self._pumping or self._activities.busy > 0

    def _check_idle(self) -> None:
        if not self._busy():
            waiters, self._idle_waiters = self._idle_waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _break(self, error: BaseException) -> None:
        _log.error("The task hub failed", exc_info=error)
        self._error = error

    def _wake(self, instance_id: str) -> None:
        if instance_id not in self._queued:
            self._queued.add(instance_id)
            self._ready.append(instance_id)
        self._kick()

    def _kick(self) -> None:
        if self._loop is not None and self._ready and not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if self._loop is None or not self._ready:
            return
        instance_id = self._ready.popleft()
        self._queued.discard(instance_id)
        try:
            self._act(self._run(instance_id))
        except StoreUnavailable as error:
            _log.error("Instance %s waits for the database: %s", instance_id, error)
            self._loop.call_later(_STORE_RETRY_S, self._wake, instance_id)
        except Exception as error:  # noqa: BLE001 - kept for wait_idle, and logged
            self._break(error)
        self._kick()
        self._check_idle()

    def _run(self, instance_id: str) -> Effects:
        instance = self._core.store.instance(instance_id)
        if instance is None:
            messages = self._core.store.messages(instance_id, self.clock.now_ms())
            with self._core.store.transaction():
                self._core.store.take(messages)
            return Effects()
        if instance.is_entity:
            return run_batch(self._core, instance)
        return self._orchestrations.episode(instance)

    def _act(self, effects: Effects) -> None:
        for instance_id in effects.ready:
            self._wake(instance_id)
        for timer in effects.timers:
            self._push(timer.fire_ms, timer)
        if effects.timers:
            self._arm()
        self._activities.submit(effects.work)

    def _posted(self, instance_id: str, due: int) -> None:
        if due > self.clock.now_ms():
            self._push(due, instance_id)
            self._arm()
        else:
            self._wake(instance_id)

    # ------------------------------------------------------------------ time

    def _push(self, due: int, item: Timer | str) -> None:
        self._due_order += 1
        heapq.heappush(self._due, (due, self._due_order, item))

    def _arm(self) -> None:
        if self._loop is None or not self._due:
            return
        wait = max(0, self._due[0][0] - self.clock.now_ms()) / 1000
        when = self._loop.time() + wait
        if self._alarm is not None and not self._alarm.cancelled():
            if self._alarm.when() <= when:
                return
            self._alarm.cancel()
        self._alarm = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._loop is None:
            return
        now = self.clock.now_ms()
        due: list[Timer] = []
        while self._due and self._due[0][0] <= now:
            item = heapq.heappop(self._due)[2]
            if isinstance(item, Timer):
                due.append(item)
            else:
                self._wake(item)
        try:
            self._fire(due, now)
        except StoreUnavailable as error:
            _log.error("Timers wait for the database: %s", error)
            for timer in due:
                self._push(now + int(_STORE_RETRY_S * 1000), timer)
        if self._due:
            # A clock that shows whole milliseconds may lag the loop by a fraction of one.
            wait = max(1, self._due[0][0] - now) / 1000
            self._alarm = self._loop.call_later(wait, self._ring)

    def _fire(self, timers: list[Timer], now: int) -> None:
        if not timers:
            return
        store = self._core.store
        woken: list[str] = []
        with store.transaction():
            for timer in timers:
                if store.take_timer(timer):
                    fired = event(
                        Kind.TIMER_FIRED, now, TimerId=timer.event_id, FireAt=timer.fire_at
                    )
                    store.post(timer.instance_id, fired, execution_id=timer.execution_id)
                    woken.append(timer.instance_id)
        for instance_id in woken:
            self._wake(instance_id)
