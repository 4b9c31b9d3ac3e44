"""Runs scheduled activities, at least once each and no more than so many at a time."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from local.durable.core import Core
from local.durable.faults import ActivityFault, FaultPolicy
from local.durable.history import Event, Kind, compact, event, normalised
from local.durable.replay import HTTP_ACTIVITY
from local.durable.store import Work
from shared.errors import StoreUnavailable

HttpCall = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
_log = logging.getLogger(__name__)
_STORE_RETRY_S = 1.0


class Activities:
    """The activity side of the hub.

    Parameters
    ----------
    core : Core
    faults : FaultPolicy
    posted : callable
        Told an instance id and a due time when a completion message was stored for it.
    idle : callable
        Told after every execution, so that the hub can see whether anything is left to run.
    broken : callable
        Told an error of the hub itself, never one of user code.
    http : callable, optional
        Performs ``call_http`` requests; by default over aiohttp.
    """

    def __init__(
        self,
        core: Core,
        faults: FaultPolicy,
        posted: Callable[[str, int], None],
        idle: Callable[[], None],
        broken: Callable[[BaseException], None],
        http: HttpCall | None = None,
    ) -> None:
        self._core = core
        self._faults = faults
        self._posted = posted
        self._idle = idle
        self._broken = broken
        self._http = http or call_http
        self._queue: deque[Work] = deque()
        self._attempts: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> int:
        """Executions running or waiting for a free place."""
        return len(self._queue) + len(self._tasks)

    def submit(self, work: list[Work]) -> None:
        self._queue.extend(work)
        self._dispatch()

    async def stop(self) -> None:
        """Abandon what runs; it is run again after the next start."""
        self._queue.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _dispatch(self) -> None:
        while self._queue and len(self._tasks) < self._core.settings.max_activities:
            task = asyncio.get_running_loop().create_task(self._perform(self._queue.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            error = task.exception()
            if error is not None:
                self._broken(error)
            self._dispatch()
        self._idle()

    async def _perform(self, work: Work) -> None:
        run = self._function(work.name)
        if run is None:
            _log.warning(
                "Activity '%s' of %s is not there; it stays pending", work.name, work.instance_id
            )
            return
        attempt = self._attempts.get(work.seq, 0) + 1
        self._attempts[work.seq] = attempt
        fault = self._faults.activity(work.name, attempt)
        if fault is ActivityFault.CRASH_BEFORE:
            self._queue.append(work)
            return
        outcome = await self._outcome(run, work)
        if fault is ActivityFault.TWICE:
            outcome = await self._outcome(run, work)
        if fault is ActivityFault.CRASH_AFTER:
            self._queue.append(work)
            return
        while not self._report(work, outcome):
            await asyncio.sleep(_STORE_RETRY_S)
        self._attempts.pop(work.seq, None)

    def _function(self, name: str) -> Callable[[str], Awaitable[str]] | None:
        return self._call_http if name == HTTP_ACTIVITY else self._core.functions.activity(name)

    async def _call_http(self, input_: str) -> str:
        return compact(await self._http(json.loads(input_)))

    async def _outcome(self, run: Callable[[str], Awaitable[str]], work: Work) -> Event:
        try:
            text = await run("null" if work.input is None else work.input)
        except Exception as error:  # noqa: BLE001 - user code; the orchestrator is told
            return failed(work, error, self._core.clock.now_ms())
        return event(
            Kind.TASK_COMPLETED,
            self._core.clock.now_ms(),
            TaskScheduledId=work.event_id,
            Result=normalised(text),
        )

    def _report(self, work: Work, outcome: Event) -> bool:
        delivery = self._faults.delivery(work.name)
        due = 0 if delivery.delay_ms <= 0 else self._core.clock.now_ms() + delivery.delay_ms
        store = self._core.store
        try:
            with store.transaction():
                store.finish_work(work)
                for _ in range(delivery.copies):
                    store.post(work.instance_id, outcome, execution_id=work.execution_id, due=due)
        except StoreUnavailable as error:
            _log.error("Result of activity '%s' is not stored yet: %s", work.name, error)
            return False
        self._posted(work.instance_id, due)
        return True


def failed(work: Work, error: Exception, now_ms: int) -> Event:
    """The failure event of an activity, with details shaped as the extension's."""
    text = f"{type(error).__name__}: {error}"
    stack = "".join(traceback.format_tb(error.__traceback__)[-1:])
    details = {
        "$type": "System.Exception, System.Private.CoreLib",
        "ClassName": "System.Exception",
        "Message": f" {text}",
        "Data": None,
        "InnerException": {
            "$type": "Microsoft.Azure.WebJobs.Script.Workers.Rpc.RpcException, "
            "Microsoft.Azure.WebJobs.Script",
            "IsUserException": False,
            "RemoteStackTrace": stack,
            "RemoteMessage": text,
            "RemoteTypeName": None,
            "Message": f"Result: Failure\nException: {text}\nStack: {stack}",
            "Data": {"$type": "System.Collections.ListDictionaryInternal, System.Private.CoreLib"},
            "InnerException": None,
            "HelpLink": None,
            "Source": "System.Private.CoreLib",
            "HResult": -2146233088,
            "StackTrace": None,
        },
        "HelpURL": None,
        "StackTraceString": None,
        "RemoteStackTraceString": None,
        "RemoteStackIndex": 0,
        "ExceptionMethod": None,
        "HResult": -2146233088,
        "Source": None,
        "WatsonBuckets": None,
    }
    return event(
        Kind.TASK_FAILED,
        now_ms,
        TaskScheduledId=work.event_id,
        Reason=f"Activity function '{work.name}' failed:  {text}",
        Details=compact(details),
        FailureDetails=None,
    )


async def call_http(request: dict[str, Any]) -> dict[str, Any]:
    """One request of ``context.call_http``; a 202 is returned, not polled."""
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.request(
            request["method"],
            request["uri"],
            data=request.get("content"),
            headers=request.get("headers"),
        ) as response,
    ):
        return {
            "statusCode": response.status,
            "headers": dict(response.headers),
            "content": await response.text(),
        }
