"""One subscription kept alive over websockets that break, fall silent, and end after a day."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

import aiohttp

from shared.errors import ExchangeError
from streamer.figures import Figures
from streamer.timing import Backoff, Timing

log = logging.getLogger("streamer.connection")

#: Seconds for an address, a connection and its handshake together; and for saying goodbye.
_OPEN_SECONDS = 20.0
_CLOSE_SECONDS = 2.0

Receive = Callable[[str], Awaitable[None]]
Address = Callable[[], Awaitable[str]]


def described(error: BaseException) -> str:
    """An error in words that hold no address: that of the account's stream is a secret."""
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"refused with HTTP {error.status}"
    if isinstance(error, (ExchangeError, TimeoutError)):
        return f"{type(error).__name__} {error}".strip()
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"
    return type(error).__name__


class _Line:
    """An open websocket and the task that reads it; the task's result is why it ended."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, opened: float) -> None:
        self.socket = socket
        self.opened = opened
        self.spoke = asyncio.Event()
        self.task: asyncio.Task[str]


class Connection:
    """Keeps one subscription open until it is cancelled.

    The subscription is in the address, so opening is subscribing. Before a websocket grows too
    old a second one is opened and heard; only then the first is closed. What both tell arrives
    twice, and the receiver is written for that.

    Parameters
    ----------
    name : str
        For logs and figures.
    address : callable
        Gives the address for each attempt.
    receive : callable
        Takes each message; while it waits, nothing more is read.
    http : aiohttp.ClientSession
    timing : Timing
    figures : Figures
    opened : callable
        Told after each websocket that was opened: what was said in between is lost.
    may_be_silent : bool
        No message is no sign of trouble; only unanswered pings are.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        receive: Receive,
        *,
        http: aiohttp.ClientSession,
        timing: Timing,
        figures: Figures,
        opened: Callable[[], None] = lambda: None,
        may_be_silent: bool = False,
    ) -> None:
        self.name = name
        self.may_be_silent = may_be_silent
        #: ``loop.time()`` of the last message, or of the start while there was none.
        self.last = asyncio.get_running_loop().time()
        self._ended = self.last
        self._address = address
        self._receive = receive
        self._http = http
        self._timing = timing
        self._figures = figures
        self._opened = opened
        self._lines: set[_Line] = set()
        self._backoff = Backoff(timing.first_wait, timing.longest_wait)

    @property
    def is_open(self) -> bool:
        """Whether a websocket is open now."""
        return any(not line.task.done() for line in self._lines)

    def quiet_for(self, now: float) -> float:
        """Seconds without a sign of life; without a connection where silence is none."""
        if not self.may_be_silent:
            return now - self.last
        return 0.0 if self.is_open else now - self._ended

    async def run(self) -> None:
        """Open, read, open again."""
        try:
            line = await self._open()
            while True:
                if await self._grows_old(line):
                    successor = await self._open()
                    await self._first_word(successor)
                    await self._close(line)
                    line = successor
                else:
                    await self._mourn(line)
                    line = await self._open()
        finally:
            await asyncio.gather(*(self._abandon(x) for x in list(self._lines)))

    async def restart(self) -> None:
        """Close what is open, so that it is opened again with a new address."""
        for line in list(self._lines):
            await line.socket.close()

    async def _open(self) -> _Line:
        while True:
            try:
                async with asyncio.timeout(_OPEN_SECONDS):
                    socket = await self._http.ws_connect(
                        await self._address(),
                        heartbeat=self._timing.heartbeat,
                        timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                    )
            except (aiohttp.ClientError, ExchangeError, TimeoutError, OSError) as error:
                wait = max(self._backoff.next(), _asked_to_wait(error))
                log.warning("%s: %s; again in %.1f s", self.name, described(error), wait)
                await asyncio.sleep(wait)
                continue
            line = _Line(socket, asyncio.get_running_loop().time())
            line.task = asyncio.create_task(self._read(line), name=f"read {self.name}")
            self._lines.add(line)
            self._figures.count("connects", self.name)
            log.info("%s: open", self.name)
            self._opened()
            return line

    async def _read(self, line: _Line) -> str:
        loop = asyncio.get_running_loop()
        silence = None if self.may_be_silent else self._timing.stall
        while True:
            try:
                message = await line.socket.receive(timeout=silence)
            except TimeoutError:
                self._figures.count("stalls", self.name)
                return f"silent for {silence:g} s"
            if message.type is aiohttp.WSMsgType.TEXT:
                self.last = loop.time()
                line.spoke.set()
                self._figures.count("messages", self.name)
                await self._receive(message.data)
            elif message.type is aiohttp.WSMsgType.ERROR:
                error = line.socket.exception()
                return described(error) if error else "an error without a name"
            elif message.type is not aiohttp.WSMsgType.BINARY:
                return f"closed with {line.socket.close_code}"

    async def _grows_old(self, line: _Line) -> bool:
        """Wait until the line ends (False) or is due for a successor (True)."""
        # Not all of them at the same moment, and never later than asked.
        life = self._timing.life * random.uniform(0.9, 1.0)
        await asyncio.wait({line.task}, timeout=life)
        return not line.task.done()

    async def _first_word(self, line: _Line) -> None:
        heard = asyncio.create_task(line.spoke.wait())
        await asyncio.wait(
            {heard, line.task},
            timeout=self._timing.overlap,
            return_when=asyncio.FIRST_COMPLETED,
        )
        heard.cancel()

    async def _mourn(self, line: _Line) -> None:
        """The line has ended by itself: say why, and wait before the next attempt."""
        reason = await line.task
        self._ended = asyncio.get_running_loop().time()
        lived = self._ended - line.opened
        if lived >= self._timing.stable:
            self._backoff.reset()
        await self._close(line)
        wait = self._backoff.next()
        self._figures.count("disconnects", self.name)
        log.warning("%s: %s after %.0f s; again in %.1f s", self.name, reason, lived, wait)
        await asyncio.sleep(wait)

    async def _close(self, line: _Line) -> None:
        """Close it and let its reader finish what it has in hand."""
        await line.socket.close()
        await line.task
        self._lines.discard(line)

    async def _abandon(self, line: _Line) -> None:
        """The same at the end of all, when nobody waits for long."""
        self._lines.discard(line)
        await line.socket.close()
        await asyncio.wait({line.task}, timeout=_CLOSE_SECONDS)
        line.task.cancel()
        await asyncio.gather(line.task, return_exceptions=True)


def _asked_to_wait(error: BaseException) -> float:
    if isinstance(error, ExchangeError):
        return error.retry_after
    if isinstance(error, aiohttp.WSServerHandshakeError) and error.status in (403, 418, 429):
        given = error.headers.get("Retry-After", "") if error.headers else ""
        return float(given) if given.isdigit() else 60.0
    return 0.0
