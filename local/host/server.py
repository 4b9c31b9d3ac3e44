"""Puts the function host (and the durable RPC address) on real sockets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from local.contracts import Handler, Request, Response
from local.host import durable_client
from local.host.host import FunctionHost
from local.host.http import MAX_BODY_BYTES
from local.listening import Listening

_FRAMING = ("content-length", "transfer-encoding", "connection", "date")


class HttpListener:
    """Serves a handler on a TCP port with aiohttp.

    Parameters
    ----------
    handler : Handler
    port : int
        0 picks a free one; read :attr:`port` after :meth:`start`.
    address : str
    routes : sequence, optional
        aiohttp routes that come before the handler, for what is no request and response.
    """

    def __init__(
        self,
        handler: Handler,
        port: int,
        address: str = "127.0.0.1",
        routes: Sequence[Any] = (),
    ) -> None:
        self._handler, self.port, self._address = handler, port, address
        self._routes = routes
        self._listening: Listening | None = None

    async def start(self) -> None:
        """Open the port.

        Raises
        ------
        OSError
            If the port is taken.
        """
        from aiohttp import web

        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes(self._routes)
        app.router.add_route("*", "/{path:.*}", self._serve)
        listening = Listening(app, self._address, self.port)
        await listening.start()
        self._listening, self.port = listening, listening.port

    async def stop(self) -> None:
        if self._listening is not None:
            await self._listening.stop()
            self._listening = None

    async def _serve(self, incoming: Any) -> Any:
        request = Request(
            method=incoming.method,
            target=incoming.raw_path,
            headers=[(k.decode("latin-1"), v.decode("latin-1")) for k, v in incoming.raw_headers],
            body=await incoming.read(),
            client_ip=incoming.remote or "",
        )
        return await _send(incoming, await self._handler(request))


async def _send(incoming: Any, response: Response) -> Any:
    from aiohttp import web

    framing = {name.lower(): value for name, value in response.headers}
    outgoing = web.StreamResponse(status=response.status)
    for name, value in response.headers:
        if name.lower() not in _FRAMING:
            outgoing.headers.add(name, value)
    chunked = framing.get("transfer-encoding") == "chunked"
    if chunked:
        outgoing.enable_chunked_encoding()
    elif "content-length" in framing:
        outgoing.content_length = int(framing["content-length"])
    await outgoing.prepare(incoming)
    if response.body and incoming.method != "HEAD":
        await outgoing.write(response.body)
    await outgoing.write_eof()
    return outgoing


class HostServer:
    """A function host on its two ports: HTTP, and the durable client's RPC address.

    Parameters
    ----------
    host : FunctionHost
        Started and stopped with the server.
    port, rpc_port : int
        0 picks a free one. Without ``rpc_port`` the durable client stays in process.
    """

    def __init__(
        self,
        host: FunctionHost,
        *,
        port: int = 7071,
        rpc: Handler | None = None,
        rpc_port: int | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self.host = host
        self.http = HttpListener(host.handle, port, address)
        self.rpc = (
            HttpListener(rpc, rpc_port, address)
            if rpc is not None and rpc_port is not None
            else None
        )

    async def start(self) -> None:
        """Start the host, then open the port: Azure answers only once functions are loaded."""
        if self.rpc is not None:
            await self.rpc.start()
            self.host.inputs.rpc_base_url = f"http://127.0.0.1:{self.rpc.port}/durabletask/"
        await self.host.start()
        await self.http.start()
        self.host.base_url = f"http://127.0.0.1:{self.http.port}"

    async def stop(self) -> None:
        """Close the ports first, then let the host finish."""
        await self.http.stop()
        await self.host.stop()
        if self.rpc is not None:
            await durable_client.close_http_session()
            await self.rpc.stop()
