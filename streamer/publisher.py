"""Sends what waits in the outbox, one task per hub."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from shared.errors import BorsaError
from streamer.figures import Figures
from streamer.outbox import Outbox
from streamer.timing import Backoff, Timing

log = logging.getLogger("streamer.publisher")

#: Events of one key that are offered to the sink at a time.
_MOST = 500


class SinkUnavailable(BorsaError):
    """Nothing can be sent now; what was being sent may or may not have arrived."""


class Sink(Protocol):
    """Where events go: Event Hubs, or the event log of the embedded platform."""

    async def send(self, hub: str, key: str, bodies: Sequence[bytes]) -> int:
        """Send events of one key in order; returns how many of the first have arrived.

        Raises
        ------
        SinkUnavailable
            They may have arrived all the same, so the same ones are sent again.
        """
        ...

    async def close(self) -> None: ...


class Publisher:
    """Empties the outbox into the sink.

    Parameters
    ----------
    outbox : Outbox
    sink : Sink
    hubs : sequence of str
        What is written to; each has its own task, so that one that fails delays no other.
    timing : Timing
    figures : Figures
    """

    def __init__(
        self,
        outbox: Outbox,
        sink: Sink,
        hubs: Sequence[str],
        timing: Timing,
        figures: Figures,
    ) -> None:
        self._outbox = outbox
        self._sink = sink
        self._hubs = hubs
        self._timing = timing
        self._figures = figures
        #: ``loop.time()`` since when a hub takes nothing, by hub.
        self.failing: dict[str, float] = {}
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Send until :meth:`finish`, and then what is left."""
        async with asyncio.TaskGroup() as tasks:
            for hub in self._hubs:
                tasks.create_task(self._pump(hub), name=f"publish {hub}")

    def finish(self) -> None:
        """Nothing more is put: :meth:`run` returns when everything was sent."""
        self._ending.set()
        for hub in self._hubs:
            self._outbox.changed(hub).set()

    async def _pump(self, hub: str) -> None:
        changed = self._outbox.changed(hub)
        loop = asyncio.get_running_loop()
        quotes_at = 0.0
        while not self._ending.is_set():
            await changed.wait()
            changed.clear()
            await self._lasting(hub)
            if loop.time() >= quotes_at:
                quotes_at = loop.time() + self._timing.conflate
                await self._newest(hub)
                # What was put back, or came since, is looked at when quotes are due again.
                loop.call_at(quotes_at, changed.set)
        await self._lasting(hub)
        await self._newest(hub)

    async def _lasting(self, hub: str) -> None:
        """Send all lasting events there are; waits as long as it takes."""
        backoff = Backoff(self._timing.first_wait, self._timing.longest_wait)
        while pending := self._outbox.lasting(hub, _MOST):
            for lane, events in pending:
                try:
                    count = await self._sink.send(hub, lane[1], [e.body for e in events])
                except SinkUnavailable as error:
                    await self._failed(hub, error, backoff)
                    break
                self._outbox.sent(lane, count)
                self._arrived(hub, count)
                backoff.reset()

    async def _newest(self, hub: str) -> None:
        """Send the newest quotes once; what fails waits for the next time."""
        for (_, key), events in self._outbox.take_newest(hub).items():
            try:
                count = await self._sink.send(hub, key, [e.body for e in events])
            except SinkUnavailable as error:
                self._note(hub, error)
                self._outbox.put_back(events)
                continue
            self._arrived(hub, count)
            self._outbox.put_back(events[count:])

    def _arrived(self, hub: str, count: int) -> None:
        self._figures.count("sent", hub, count)
        if self.failing.pop(hub, None) is not None:
            log.info("%s takes events again", hub)

    def _note(self, hub: str, error: SinkUnavailable) -> None:
        self._figures.count("send_failures", hub)
        self.failing.setdefault(hub, asyncio.get_running_loop().time())
        log.warning("%s: %s; %d events wait", hub, error, self._outbox.waiting)

    async def _failed(self, hub: str, error: SinkUnavailable, backoff: Backoff) -> None:
        self._note(hub, error)
        wait = backoff.next()
        if self._ending.is_set():
            # There is a deadline now; what is left is worth more attempts.
            await asyncio.sleep(min(wait, self._timing.first_wait))
            return
        try:
            async with asyncio.timeout(wait):
                await self._ending.wait()
        except TimeoutError:
            pass
