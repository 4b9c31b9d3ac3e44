"""What the container's probes and a person with a browser ask: /healthz and /metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

log = logging.getLogger("streamer.health")

#: Seconds without a message after which a new process may do better than this one.
UNHEALTHY = 300.0


class Health:
    """Serves the state of the streamer; it holds no secret and no position.

    Parameters
    ----------
    state : callable
        The state as JSON values; ``healthy`` decides the status.
    metrics : callable
        Text in Prometheus' format.
    port : int
        0 takes a free one.
    """

    def __init__(
        self, state: Callable[[], dict[str, Any]], metrics: Callable[[], str], port: int
    ) -> None:
        self._state = state
        self._metrics = metrics
        self.port = port
        self._runner: web.AppRunner | None = None

    async def start(self, host: str) -> None:
        """Begin to listen."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/metrics", self._answer_metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        state = self._state()
        return web.Response(
            status=200 if state["healthy"] else 503,
            body=msgspec.json.encode(state),
            content_type="application/json",
        )

    async def _answer_metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=self._metrics(), content_type="text/plain")


async def every_minute(tell: Callable[[], None], seconds: float = 60.0) -> None:
    """Call something once a minute until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        tell()
