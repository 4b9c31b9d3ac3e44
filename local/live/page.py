"""The address of the dashboard: its port leads to the page that the application itself serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from local.contracts import Handler, Request, Response
from local.host.server import HttpListener
from shared.errors import InvalidInput

#: Where the application serves its dashboard.
PATH = "/api/ui"


class PageServer:
    """The application on a second port of this machine, with the dashboard as its front page.

    The same requests with the same keys as on the port of the functions: nothing is open here that
    is not open there.

    Parameters
    ----------
    handler : Handler
        Answers requests, as the function host does.
    port : int
        Another one is taken where it is not free.
    routes : sequence, optional
        As of :class:`HttpListener`: where the page gets its live updates.
    """

    def __init__(self, handler: Handler, port: int, routes: Sequence[Any] = ()) -> None:
        self._handler = handler
        self._routes = routes
        self._port = port
        self._listener: HttpListener | None = None
        self.url = ""

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        InvalidInput
            When no port is free.
        """
        for port in (self._port, 0):
            listener = HttpListener(self._answer, port, routes=self._routes)
            try:
                await listener.start()
            except OSError:
                continue
            self._listener = listener
            self.url = f"http://127.0.0.1:{listener.port}/"
            return
        raise InvalidInput("no free port on this machine")

    async def stop(self) -> None:
        if self._listener is not None:
            await self._listener.stop()

    async def _answer(self, request: Request) -> Response:
        if urlsplit(request.target).path == "/":
            # A browser carries what stands behind the # of an address along.
            return Response(302, [("Location", PATH), ("Content-Length", "0")])
        return await self._handler(request)


def link(url: str, key: str) -> str:
    """The address that opens the dashboard: the key behind the # is never sent to anybody."""
    return f"{url}#key={key}"
