"""The streamer in one piece: connections, feeds, outbox, publisher, health."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp

from shared.clock import iso
from streamer.account import AccountFeed
from streamer.connection import Connection
from streamer.events import EXECUTIONS, MARKET, QUOTES
from streamer.feed import MarketFeed, catch_up_ms, plan_of
from streamer.figures import Figures
from streamer.health import UNHEALTHY, Health, every_minute
from streamer.messages import names
from streamer.outbox import Outbox
from streamer.publisher import Publisher, Sink
from streamer.rest import ApiKey, Rest
from streamer.settings import Settings
from streamer.timing import Timing

log = logging.getLogger("streamer")

#: Streams in one connection at most: the venue allows 1,024, an address of this length is safe.
_STREAMS_EACH = 150


class Streamer:
    """Bridges the venue's websockets into a sink until it is told to stop.

    Parameters
    ----------
    settings : Settings
    sink : Sink
    api_key : callable, optional
        Gives the API key; needed for ``userData``.
    timing : Timing, optional
        Durations; those of the settings by default.
    health_port : int, optional
        Where to serve ``/healthz``; that of the settings by default, ``None`` for nowhere.
    health_host : str
        Address to serve it on; the container's probe comes from outside.
    """

    def __init__(
        self,
        settings: Settings,
        sink: Sink,
        *,
        api_key: ApiKey | None = None,
        timing: Timing | None = None,
        health_port: int | None = -1,
        health_host: str = "0.0.0.0",
    ) -> None:
        self.settings = settings
        self.timing = timing or Timing.of(settings)
        self.figures = Figures()
        self.outbox = Outbox(settings.queue_events, self.figures)
        self.feed: MarketFeed | None = None
        self.connections: list[Connection] = []
        self.health: Health | None = None
        self._sink = sink
        self._api_key = api_key
        self._health_host = health_host
        self._health_port = settings.health_port if health_port == -1 else health_port
        self._publisher = Publisher(self.outbox, sink, self._hubs(), self.timing, self.figures)
        self._started = 0.0

    async def run(self, stop: asyncio.Event) -> bool:
        """Stream until ``stop`` is set, then send what waits.

        Returns
        -------
        bool
            Whether everything that must not be lost was sent.
        """
        self._started = asyncio.get_running_loop().time()
        await self._serve_health()
        publishing = asyncio.create_task(self._publisher.run(), name="publisher")
        try:
            async with aiohttp.ClientSession(trust_env=False) as http:
                taking_in = asyncio.create_task(self._take_in(http), name="intake")
                stopping = asyncio.create_task(stop.wait(), name="stop")
                await asyncio.wait(
                    {taking_in, publishing, stopping}, return_when=asyncio.FIRST_COMPLETED
                )
                log.info("stopping" if stop.is_set() else "a part has ended; stopping")
                await _cancelled(stopping)
                failed = await _cancelled(taking_in)
            self._publisher.finish()
            await asyncio.wait({publishing}, timeout=self.settings.flush_seconds)
        finally:
            broken = await _cancelled(publishing)
            await self._sink.close()
            if self.health is not None:
                await self.health.stop()
        for error in (failed, broken):
            if error is not None:
                raise error
        left = self.outbox.waiting
        level = logging.ERROR if left else logging.INFO
        log.log(level, "stopped; %d events were not sent", left, extra={"figures": self.state()})
        return left == 0

    def state(self) -> dict[str, Any]:
        """What ``/healthz`` answers and the log tells once a minute."""
        now = asyncio.get_running_loop().time()
        streams = {
            c.name: {"open": c.is_open, "age": round(now - c.last, 1)} for c in self.connections
        }
        silent = [c.name for c in self.connections if c.quiet_for(now) > UNHEALTHY]
        return {
            "healthy": not silent,
            "environment": self.settings.binance_environment,
            "uptime": round(now - self._started, 1),
            "streams": streams,
            "candles": self._candles(),
            "waiting": self.outbox.waiting,
            "failing": {
                hub: round(now - since, 1) for hub, since in self._publisher.failing.items()
            },
            "counts": self.figures.flat(),
        }

    def metrics(self) -> str:
        """What ``/metrics`` answers."""
        now = asyncio.get_running_loop().time()
        lines = [
            "# HELP borsa_streamer_message_age_seconds age of the last message of a connection",
            "# TYPE borsa_streamer_message_age_seconds gauge",
            *(
                f'borsa_streamer_message_age_seconds{{connection="{c.name}"}} {now - c.last:.3f}'
                for c in self.connections
            ),
            "# HELP borsa_streamer_waiting_events events that must not be lost and were not sent",
            "# TYPE borsa_streamer_waiting_events gauge",
            f"borsa_streamer_waiting_events {self.outbox.waiting}",
        ]
        return "\n".join(lines) + "\n" + self.figures.prometheus()

    def _candles(self) -> dict[str, Any]:
        """Open time of the last candle published, by symbol and time frame."""
        if self.feed is None:
            return {}
        return {
            f"{s.symbol} {s.timeframe}": iso(s.next - s.step)
            for s in self.feed.sequences.values()
            if s.next is not None
        }

    def _hubs(self) -> list[str]:
        streams = set(self.settings.streams)
        hubs = [MARKET] if "klines" in streams else []
        hubs += [QUOTES] if streams & {"markPrice", "bookTicker", "depth"} else []
        return hubs + ([EXECUTIONS] if "userData" in streams else [])

    async def _take_in(self, http: aiohttp.ClientSession) -> None:
        settings = self.settings
        rest = Rest(http, settings.rest_url, self._api_key)
        plan = plan_of(settings.symbols, settings.timeframes if self._has("klines") else ())
        self.feed = feed = MarketFeed(
            plan,
            rest,
            self.outbox,
            self.timing,
            self.figures,
            catch_up_ms=catch_up_ms(settings.catch_up_minutes),
        )
        async with asyncio.TaskGroup() as tasks:
            for host, streams in self._subscriptions():
                connection = self._connection(host, streams, feed, http)
                self.connections.append(connection)
                tasks.create_task(connection.run(), name=connection.name)
            if feed.sequences:
                tasks.create_task(feed.run(), name="repair")
            if self._has("userData"):
                account = AccountFeed(
                    rest,
                    settings.sockets_url,
                    self.outbox,
                    http=http,
                    timing=self.timing,
                    figures=self.figures,
                )
                self.connections.append(account.connection)
                tasks.create_task(account.run(), name="account")
            tasks.create_task(every_minute(self._tell), name="figures")

    def _subscriptions(self) -> list[tuple[str, list[str]]]:
        """(host, stream names) of every market connection."""
        settings = self.settings
        market = [f"kline_{t}" for t in settings.timeframes] if self._has("klines") else []
        market += ["markPrice@1s"] if self._has("markPrice") else []
        public = ["bookTicker"] if self._has("bookTicker") else []
        public += [f"depth{settings.depth_levels}@500ms"] if self._has("depth") else []
        found = []
        for host, details in (("market", market), ("public", public)):
            streams = names(settings.symbols, tuple(details))
            for start in range(0, len(streams), _STREAMS_EACH):
                found.append((host, streams[start : start + _STREAMS_EACH]))
        return found

    def _connection(
        self, host: str, streams: list[str], feed: MarketFeed, http: aiohttp.ClientSession
    ) -> Connection:
        number = sum(c.name.startswith(host) for c in self.connections) + 1
        name = f"{host}-{number}"
        # A stream that is asked for on the wrong host is acknowledged and stays silent for ever.
        url = f"{self.settings.sockets_url}/{host}/stream?streams={'/'.join(streams)}"

        async def address() -> str:
            return url

        async def receive(text: str) -> None:
            await feed.receive(name, text)

        return Connection(
            name,
            address,
            receive,
            http=http,
            timing=self.timing,
            figures=self.figures,
            opened=feed.opened,
        )

    def _has(self, stream: str) -> bool:
        return stream in self.settings.streams

    def _tell(self) -> None:
        log.info("figures", extra={"figures": self.state()})

    async def _serve_health(self) -> None:
        if self._health_port is not None:
            self.health = Health(self.state, self.metrics, self._health_port)
            await self.health.start(self._health_host)


async def _cancelled(task: asyncio.Task[Any]) -> BaseException | None:
    """End a task; the error it had ended with by itself, if any."""
    task.cancel()
    await asyncio.wait({task})
    return None if task.cancelled() else task.exception()
