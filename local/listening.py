"""A web application on a port, closed so that nothing it accepted is left open."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

#: Turns of the loop from a connection's acceptance until the server knows of it: a task makes its
#: transport, and what the transport schedules tells the server. One to spare.
_TURNS = 3
#: Seconds that a request, or a client that does not read, may keep a server from its end.
_PATIENCE = 5.0


class Listening:
    """Serves an aiohttp application.

    ``AppRunner.cleanup`` alone loses a connection that was accepted in the last turn of the loop:
    asyncio makes its transport for a server that is closed by then, fails, and nobody ever closes
    the socket. A client that does not read what was written to it is waited for two minutes.

    Parameters
    ----------
    app : aiohttp.web.Application
    address : str
    port : int
        0 picks a free one; read :attr:`port` after :meth:`start`.
    """

    def __init__(self, app: web.Application, address: str, port: int) -> None:
        from aiohttp import web

        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_PATIENCE)
        self._address, self.port = address, port
        self._socket: socket.socket | None = None

    async def start(self) -> None:
        """Open the port.

        Raises
        ------
        OSError
            If the port is taken.
        """
        from aiohttp import web

        await self._runner.setup()
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        try:
            self._socket = socket.create_server((self._address, self.port), family=family)
            self.port = self._socket.getsockname()[1]
            await web.SockSite(self._runner, self._socket).start()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close the port and every connection, also the ones just being accepted."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        server = self._runner.server
        connections = [] if server is None else server.connections
        transports = [c.transport for c in connections if c.transport is not None]
        await self._runner.cleanup()
        for transport in transports:
            transport.abort()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            # The sockets of what was aborted are closed in the turn after.
            await asyncio.sleep(0)
