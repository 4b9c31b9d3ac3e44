"""The streamer on the embedded platform: the same code, with an event log as its Event Hubs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

from local.eventlog import EventLog
from streamer.app import Streamer
from streamer.rest import ApiKey
from streamer.settings import Settings

#: Seconds that a stop waits beyond the streamer's own time to send what is left.
_MARGIN = 10


class EventLogSink:
    """Appends events to an event log, in order per key.

    Parameters
    ----------
    log : EventLog
    told : callable, optional
        Called with hub and body of each event.
    """

    def __init__(self, log: EventLog, told: Callable[[str, bytes], None] | None = None) -> None:
        self._log = log
        self._told = told

    async def send(self, hub: str, key: str, bodies: Sequence[bytes]) -> int:
        for body in bodies:
            self._log.append(hub, body, partition_key=key)
            if self._told is not None:
                self._told(hub, body)
        return len(bodies)

    async def close(self) -> None:
        """The log belongs to whoever made it."""


def known_key(key: str) -> ApiKey:
    """The key of a simulated exchange, which opens nothing."""

    async def get() -> str:
        return key

    return get


class StreamerThread:
    """A streamer beside a running application, in a thread and in real time.

    Parameters
    ----------
    settings : Settings
    log : EventLog
        Of the application; its triggers are woken from this thread.
    key : str
        API key of the simulated exchange.
    """

    def __init__(self, settings: Settings, log: EventLog, key: str) -> None:
        self._settings = settings
        self._log = log
        self._key = key
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="streamer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send what is left and end; raises what the streamer ended with, if it failed."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(self._settings.flush_seconds + _MARGIN)
        if self._error is not None:
            raise self._error

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - raised again in stop()
            self._error = error

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        streamer = Streamer(
            self._settings,
            EventLogSink(self._log),
            api_key=known_key(self._key),
            health_port=None,
        )
        await streamer.run(self._stop)
