"""The exchange over HTTP/1.1 and websockets."""

from __future__ import annotations

import asyncio

from aiohttp import web

from local.exchange.api import BinanceApi
from local.exchange.faults import AnswerLost
from local.exchange.socket_api import PATH, SocketApi
from local.exchange.streams import StreamHub
from local.listening import Listening


class ExchangeServer:
    """Serves one :class:`~local.exchange.api.BinanceApi` on an address of its own.

    Parameters
    ----------
    api : BinanceApi
    host : str
    port : int
        0 takes a free one.
    """

    def __init__(self, api: BinanceApi, host: str = "127.0.0.1", port: int = 0) -> None:
        self.api = api
        self._host = host
        self._port = port
        self._hub = StreamHub(api)
        self._listening: Listening | None = None

    @property
    def url(self) -> str:
        """Base address, for example ``http://127.0.0.1:8090``."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 20)
        app.add_routes(self._hub.routes())
        app.router.add_get(PATH, SocketApi(self.api).serve)
        app.router.add_route("*", "/{path:.*}", self._handle)
        listening = Listening(app, self._host, self._port)
        await listening.start()
        self._listening, self._port = listening, listening.port
        await self._hub.start()

    async def stop(self) -> None:
        await self._hub.stop()
        if self._listening is not None:
            await self._listening.stop()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            status, headers, content = self.api.handle(
                request.method,
                request.path,
                request.rel_url.raw_query_string,
                request.headers,
                body,
                ip=request.remote or "",
            )
        except AnswerLost as lost:
            return await self._lose(request, lost)
        return web.Response(status=status, headers=headers, body=content)

    @staticmethod
    async def _lose(request: web.Request, lost: AnswerLost) -> web.StreamResponse:
        """End without an answer: silence until the caller gives up, or a reset."""
        transport = request.transport
        if lost.how == "timeout":
            while transport is not None and not transport.is_closing():
                await asyncio.sleep(0.05)
        if transport is not None:
            transport.abort()
        return web.Response()
