"""Timer triggers: wait for the schedule, fire, remember."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from local.host.app import FunctionSpec
from local.host.config import resolve
from local.host.schedule import Schedule, interval_ms, iso_offset, parse
from local.host.state import HostState, TimerStatus
from local.host.worker import Invocation, Worker
from shared.clock import Clock, utc

log = logging.getLogger("Host.Triggers.Timer")


class TimerListener:
    """One timer function. It never overlaps itself: occurrences during a run are skipped.

    Raises
    ------
    ValueError
        If the schedule cannot be read or names a missing setting.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        *,
        settings: Mapping[str, str],
        clock: Clock,
        state: HostState,
        worker: Worker,
        client_args: Callable[[FunctionSpec], Mapping[str, str]],
    ) -> None:
        from azure.functions import timer

        self.spec = spec
        self._request = timer.TimerRequest
        self._clock, self._state, self._worker = clock, state, worker
        self._client_args = client_args
        self._expression = resolve(spec.trigger.raw["schedule"], settings)
        self.schedule: Schedule = parse(self._expression)
        use_monitor = spec.trigger.raw.get("useMonitor", True)
        self._monitored = use_monitor and interval_ms(self.schedule, clock.now_ms()) >= 60_000
        self._status: TimerStatus | None = None
        self._task: asyncio.Task[None] | None = None
        self._firing = self._stopping = False

    async def run(self) -> None:
        """Fire until :meth:`stop`."""
        self._task = asyncio.current_task()
        now = self._clock.now_ms()
        past_due = self._monitored and self._restore(now)
        if past_due or self.spec.trigger.raw.get("runOnStartup"):
            due = await self._fire(now, past_due=past_due)
        else:
            due = self.schedule.next(now)
        while not self._stopping:
            await self._reach(due)
            due = await self._fire(due, past_due=False)

    async def _reach(self, due: int) -> None:
        """Wait until the clock shows ``due``."""
        loop = asyncio.get_running_loop()
        while self._clock.now_ms() < due:
            wake: asyncio.Future[None] = loop.create_future()
            # Two microseconds on top: the loop may be a hair early, and then it takes another turn.
            handle = loop.call_at(due / 1000 + 2e-6, _wake, wake)
            try:
                await wake
            except BaseException:
                handle.cancel()
                raise

    def stop(self) -> None:
        """End the waiting; a run in progress is finished and remembered first."""
        self._stopping = True
        if self._task is not None and not self._firing:
            self._task.cancel()

    async def invoke(self, text: str | None = None, *, past_due: bool = False) -> Invocation:
        """Call the function now, outside its schedule (``text`` as the admin API passes it)."""
        return await self._invoke(past_due=past_due, text=text)

    def _restore(self, now: int) -> bool:
        """Read the stored status; true if an occurrence was missed while the host was down."""
        status = self._state.timer(self.spec.name)
        if status is not None and status.schedule != self._expression:
            after = status.updated_ms if status.updated_ms is not None else now
            status = replace(status, schedule=self._expression, next_ms=self.schedule.next(after))
        if status is None:
            status = TimerStatus(self._expression, None, self.schedule.next(now), None)
        self._status = status
        self._state.save_timer(self.spec.name, status)
        if status.next_ms < now:
            log.warning("Function '%s' is past due on startup. Executing now.", self.spec.name)
            return True
        return False

    async def _fire(self, due: int, *, past_due: bool) -> int:
        """One run; when the next is due."""
        self._firing = True
        await self._invoke(past_due=past_due)
        self._firing = False
        # `due` as a floor: a clock read a hair early must not give the same occurrence twice.
        upcoming = self.schedule.next(max(due, self._clock.now_ms()))
        if self._monitored:
            self._status = TimerStatus(self._expression, due, upcoming, due)
            self._state.save_timer(self.spec.name, self._status)
        return upcoming

    async def _invoke(self, *, past_due: bool, text: str | None = None) -> Invocation:
        status = self._status
        schedule = {"AdjustForDST": self.schedule.adjust_for_dst}
        rendered = (
            None
            if status is None
            else {
                "Last": iso_offset(status.last_ms),
                "Next": iso_offset(status.next_ms),
                "LastUpdated": iso_offset(status.updated_ms),
            }
        )
        # The same object the SDK's converter makes of the JSON below, without the detour.
        request = self._request(past_due=past_due, schedule_status=rendered, schedule=schedule)
        fired_ms = self._clock.now_ms()
        name = self.spec.trigger.name

        def inputs() -> Mapping[str, Any]:
            info = {"Schedule": schedule, "ScheduleStatus": rendered, "IsPastDue": past_due}
            return {name: {"json": json.dumps(info)}}

        def metadata() -> Mapping[str, Any]:
            fired = utc(fired_ms).strftime("%m/%d/%Y %H:%M:%S")
            fields = {"TimerTrigger": {"string": fired}}
            return fields if text is None else {name: {"string": text}, **fields}

        return await self._worker.run(
            self.spec,
            {name: request, **self._client_args(self.spec)},
            inputs=inputs,
            trigger_metadata=metadata,
        )


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
