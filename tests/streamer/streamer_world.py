"""A simulated exchange, a line to it that can be disturbed, and the streamer on the other end.

Exchange time moves only when a scenario says so; the streamer lives in real time, with short
durations. A scenario waits for what shall have happened, never for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from local.clock import VirtualClock
from local.eventlog import EventLog
from local.exchange import streams as exchange_streams
from local.exchange.api import BinanceApi
from local.exchange.faults import ScriptedFaults
from local.exchange.limits import RateLimits
from local.exchange.server import ExchangeServer
from local.exchange.session import InProcessSession
from local.listening import Listening
from local.streamer import EventLogSink, known_key
from shared.execution.binance import BinanceExchange, Credentials, simulated
from shared.market.candle import Candle
from shared.market.events import decode, encode
from shared.market.timeframe import MINUTE_MS, duration_ms, last_closed
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue
from streamer.app import Streamer
from streamer.events import MARKET
from streamer.publisher import Sink
from streamer.settings import Settings, load
from streamer.timing import Timing

#: 2025-05-05 00:10:30 UTC: in the middle of a bar of any length.
START = 1_746_403_200_000 + 10 * MINUTE_MS + 30_000
KEY, SECRET = "test-key", "test-secret"
BTC, ETH = "BTCUSDT", "ETHUSDT"
#: Longer than any machine needs; only a scenario that fails waits so long.
PATIENCE = 60.0

#: Everything that is waited for comes soon, and nothing that is not meant happens by itself.
FAST = {
    "stall": 600.0,
    "grace": 0.3,
    "first_wait": 0.01,
    "longest_wait": 0.1,
    "audit": 0.02,
    "conflate": 0.05,
    "overlap": 10.0,
}


def settings(url: str = "http://127.0.0.1:1", **more: str) -> Settings:
    """The streamer's settings for a simulated exchange."""
    return load(
        {
            "BINANCE_ENVIRONMENT": "simulated",
            "BINANCE_BASE_URL": url,
            "BINANCE_API_KEY": KEY,
            "SYMBOLS": f"{BTC},{ETH}",
            "TIMEFRAMES": "1m,5m",
            "STREAMER_CATCH_UP_MINUTES": "0",
            **more,
        },
        sends=False,
    )


class Exchange:
    """The simulated exchange on an address of its own; can be stopped and started there again."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.venue = Venue(SyntheticMarket(7, [BTC, ETH]), start_ms=START)
        self.faults = ScriptedFaults()
        self.api = BinanceApi(
            self.venue,
            self.clock,
            {KEY: SECRET},
            faults=self.faults,
            # Scenarios reconnect more often in a moment than the venue lets anybody.
            limits=RateLimits(weight=10**9, connections=10**9),
        )
        self.adapter = BinanceExchange(
            simulated("http://exchange.test"),
            Credentials(environment="simulated", key=KEY, secret=SECRET),
            clock=self.clock,
            session=InProcessSession(self.api),
        )
        self.server = ExchangeServer(self.api)
        self.url = ""

    async def start(self) -> None:
        await self.server.start()
        self.url = self.server.url

    async def restart(self) -> None:
        """The same exchange again, on the same port."""
        self.server = ExchangeServer(self.api, port=int(self.url.rsplit(":", 1)[1]))
        await self.server.start()

    def closed(self, symbol: str, timeframe: str, first: int) -> list[Candle]:
        """Closed candles from an open time on, as the application's own adapter reads them."""
        last = last_closed(self.clock.now_ms(), timeframe)
        count = (last - first) // duration_ms(timeframe) + 1
        return self.adapter.candles(symbol, timeframe, start=first, limit=max(1, count))


@dataclass
class Line:
    """A proxy between streamer and exchange.

    ``change`` makes of each websocket message those that go on.
    """

    upstream: str
    change: Callable[[str], Sequence[str]] = lambda text: [text]
    url: str = ""
    opened: list[str] = field(default_factory=list)
    _sockets: dict[web.WebSocketResponse, web.Request] = field(default_factory=dict)
    _frozen: set[web.WebSocketResponse] = field(default_factory=set)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Line]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        listening = Listening(app, "127.0.0.1", 0)
        await listening.start()
        self.url = f"http://127.0.0.1:{listening.port}"
        self._http = aiohttp.ClientSession()
        try:
            yield self
        finally:
            await listening.stop()
            await self._http.close()

    def freeze(self) -> None:
        """What is open stays open and says nothing any more; what is opened later is as usual."""
        self._frozen.update(self._sockets)

    async def cut(self) -> None:
        """Every websocket breaks without a goodbye."""
        for request in list(self._sockets.values()):
            if request.transport is not None:
                request.transport.abort()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._pass_socket(request)
        async with self._http.request(
            request.method,
            self.upstream + request.rel_url.raw_path_qs,
            headers={k: v for k, v in request.headers.items() if k.startswith("X-")},
            data=await request.read(),
        ) as answer:
            wait = {k: v for k, v in answer.headers.items() if k == "Retry-After"}
            return web.Response(status=answer.status, headers=wait, body=await answer.read())

    async def _pass_socket(self, request: web.Request) -> web.StreamResponse:
        down = web.WebSocketResponse()
        await down.prepare(request)
        self.opened.append(request.path)
        self._sockets[down] = request
        try:
            async with self._http.ws_connect(self.upstream + request.rel_url.raw_path_qs) as up:
                reading = asyncio.create_task(_drained(down, up))
                try:
                    async for message in up:
                        for text in self.change(message.data):
                            if down not in self._frozen:
                                await down.send_str(text)
                except (ConnectionError, aiohttp.ClientError):
                    pass
                finally:
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
            await down.close(code=up.close_code or 1001)
        except (ConnectionError, aiohttp.ClientError):
            pass
        finally:
            self._sockets.pop(down, None)
        return down


async def _drained(down: web.WebSocketResponse, up: aiohttp.ClientWebSocketResponse) -> None:
    """Read what the streamer sends (pings, goodbyes) until it has gone; then we go as well."""
    async for _ in down:
        pass
    await up.close()


class Floor:
    """One scenario: exchange, line, streamer, and the event log it writes to."""

    def __init__(self, exchange: Exchange, line: Line, streamer: Streamer, log: EventLog) -> None:
        self.exchange = exchange
        self.line = line
        self.streamer = streamer
        self.log = log
        self.first = {
            place: last_closed(START, place[1])
            for place in ((s, t) for s in (BTC, ETH) for t in ("1m", "5m"))
        }
        self.stop = asyncio.Event()
        self.running: asyncio.Task[bool] | None = None

    def start(self) -> None:
        self.running = asyncio.create_task(self.streamer.run(self.stop))

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something has happened, or the streamer ended."""
        async with asyncio.timeout(PATIENCE):
            while not happened():
                assert self.running is None or not self.running.done(), self.running
                await asyncio.sleep(0.005)

    def advance(self, minutes: float = 1.0) -> None:
        """Exchange time passes at once."""
        self.exchange.clock.advance_to(self.exchange.clock.now_ms() + int(minutes * MINUTE_MS))

    async def listening(self) -> None:
        """Wait until every market connection has said something: what closes now is told."""
        await self.until(
            lambda: all(
                c.may_be_silent or self.count("messages", c.name) > 0
                for c in self.streamer.connections
            )
        )

    async def minutes(self, count: int) -> None:
        """Minute after minute, each seen by the streamer before the next."""
        for _ in range(count):
            self.advance()
            await self.caught_up()

    def bodies(self, hub: str = MARKET) -> list[bytes]:
        """Events of a hub, partition after partition."""
        count = self.log.declare(hub)
        return [e.body for p in range(count) for e in self.log.read_from(hub, p, 0, 100_000)]

    def published(self) -> dict[tuple[str, str], list[bytes]]:
        """Candle events in the order of their log, by symbol and time frame."""
        found: dict[tuple[str, str], list[bytes]] = {place: [] for place in self.first}
        for body in self.bodies():
            candle = decode(body)
            found[candle.symbol, candle.timeframe].append(body)
        return found

    def expected(self) -> dict[tuple[str, str], list[bytes]]:
        """What ``poll_candles`` would have published for every closed candle."""
        return {
            (symbol, timeframe): [encode(c) for c in self.exchange.closed(symbol, timeframe, first)]
            for (symbol, timeframe), first in self.first.items()
        }

    async def caught_up(self) -> None:
        """Wait until the newest closed candle of each symbol and time frame is published."""

        def arrived() -> bool:
            feed = self.streamer.feed
            now = self.exchange.clock.now_ms()
            return (
                feed is not None
                and all(
                    s.next is not None and s.next > last_closed(now, s.timeframe)
                    for s in feed.sequences.values()
                )
                and self.streamer.outbox.waiting == 0
            )

        await self.until(arrived)

    def count(self, name: str, label: str = "") -> int:
        return self.streamer.figures.get(name, label)


@asynccontextmanager
async def floor(
    *,
    timing: dict[str, float] | None = None,
    sink: Callable[[Sink], Sink] = lambda sink: sink,
    start: bool = True,
    **more: str,
) -> AsyncIterator[Floor]:
    """A scenario's floor; everything on it ends with it.

    Parameters
    ----------
    timing : dict
        Durations other than :data:`FAST`.
    sink : callable
        Wraps the event log's sink.
    start : bool
        Whether the streamer is started and has published its first candles.
    **more
        Settings.
    """
    pulse, exchange_streams.PULSE = exchange_streams.PULSE, 0.005
    exchange = Exchange()
    await exchange.start()
    log = EventLog(":memory:", clock=exchange.clock, partitions=2)
    try:
        async with Line(exchange.url).serving() as line:
            streamer = Streamer(
                settings(line.url, **more),
                sink(EventLogSink(log)),
                api_key=known_key(KEY),
                timing=Timing(**{**FAST, **(timing or {})}),
                health_port=0,
                health_host="127.0.0.1",
            )
            scene = Floor(exchange, line, streamer, log)
            try:
                if start:
                    scene.start()
                    await scene.caught_up()
                    await scene.listening()
                yield scene
            finally:
                scene.stop.set()
                if scene.running is not None:
                    await asyncio.wait_for(scene.running, PATIENCE)
    finally:
        exchange_streams.PULSE = pulse
        await exchange.server.stop()
        log.close()


def play(scenario: Callable[[], Any]) -> None:
    """Run a scenario."""
    asyncio.run(scenario())
