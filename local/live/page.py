"""The small web page: one static file and the latest snapshot as JSON."""

from __future__ import annotations

from pathlib import Path

import msgspec
from aiohttp import web

from local.live.snapshot import Snapshots

_PAGE = Path(__file__).with_name("page.html")

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


class PageServer:
    """Serves the page on this machine only."""

    def __init__(self, snapshots: Snapshots, port: int) -> None:
        self._snapshots = snapshots
        self._port = port
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Listen; a taken port is replaced by a free one."""
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_get("/state", self._state)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        for port in (self._port, 0):
            site = web.TCPSite(self._runner, "127.0.0.1", port)
            try:
                await site.start()
            except OSError:
                continue
            break
        address = self._runner.addresses[0]
        self.url = f"http://{address[0]}:{address[1]}/"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=_PAGE.read_bytes(), content_type="text/html", headers=_HEADERS)

    async def _state(self, request: web.Request) -> web.StreamResponse:
        body = msgspec.json.encode(self._snapshots.latest)
        return web.Response(body=body, content_type="application/json", headers=_HEADERS)
