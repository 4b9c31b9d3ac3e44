"""SignalR as the serverless service offers it to browsers: negotiate, connect, receive.

The part of the protocol that a viewer needs: a token of the negotiate function is exchanged for a
connection id, the id opens a WebSocket, and messages go to everybody on the hub. JSON only; what
a viewer sends but its handshake and pings is ignored.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

from aiohttp import WSMsgType, web

#: Ends every record of the protocol.
END = "\x1e"
#: Invitations, and connection ids, that nobody used yet; the oldest are forgotten beyond that.
WAITING = 256
_INVOCATION = 1


class SignalR:
    """Hubs and their viewers; every method is called in the event loop that serves them."""

    def __init__(self) -> None:
        self._invited: dict[str, str] = {}
        self._negotiated: dict[str, str] = {}
        self._viewers: dict[web.WebSocketResponse, str] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def invite(self, hub: str) -> str:
        """What the input binding ``signalRConnectionInfo`` gives: address and token, as JSON.

        The address has no host: the viewer reaches this process under the one it came by.
        """
        token = secrets.token_urlsafe(24)
        _keep(self._invited, token, hub)
        return json.dumps({"url": f"/client/?hub={hub}", "accessToken": token})

    def send(self, hub: str, messages: list[dict[str, Any]]) -> None:
        """Hand the messages of an output binding to every viewer of the hub."""
        records = [
            json.dumps(
                {"type": _INVOCATION, "target": m["target"], "arguments": m.get("arguments", [])}
            )
            + END
            for m in messages
            if "target" in m
        ]
        for viewer, of in self._viewers.items():
            if of == hub and records:
                task = asyncio.ensure_future(_deliver(viewer, "".join(records)))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    def routes(self) -> list[web.RouteDef]:
        """Routes of the service, for the listener of the host."""
        return [web.post("/client/negotiate", self._negotiate), web.get("/client/", self._connect)]

    async def _negotiate(self, request: web.Request) -> web.StreamResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        hub = self._invited.pop(token, None) if scheme == "Bearer" else None
        if hub is None or hub != request.query.get("hub"):
            return web.Response(status=401)
        connection = secrets.token_urlsafe(24)
        _keep(self._negotiated, connection, hub)
        return web.json_response(
            {
                "negotiateVersion": 1,
                "connectionId": connection[:16],
                "connectionToken": connection,
                "availableTransports": [{"transport": "WebSockets", "transferFormats": ["Text"]}],
            }
        )

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        hub = self._negotiated.pop(request.query.get("id", ""), None)
        if hub is None or hub != request.query.get("hub"):
            return web.Response(status=401)
        viewer = web.WebSocketResponse(max_msg_size=4096)
        await viewer.prepare(request)
        try:
            asked = json.loads((await viewer.receive_str()).rstrip(END))
            if asked != {"protocol": "json", "version": 1}:
                await viewer.send_str(json.dumps({"error": "only json, version 1"}) + END)
                return viewer
            await viewer.send_str("{}" + END)
            self._viewers[viewer] = hub
            async for message in viewer:
                if message.type is not WSMsgType.TEXT:
                    break
        except (TypeError, ValueError):
            pass  # no handshake: what is no text, or no JSON, is no viewer of ours
        finally:
            self._viewers.pop(viewer, None)
            await viewer.close()
        return viewer

    async def close(self) -> None:
        """Send everybody away."""
        for viewer in list(self._viewers):
            await viewer.close()


def _keep(waiting: dict[str, str], key: str, hub: str) -> None:
    waiting[key] = hub
    while len(waiting) > WAITING:
        waiting.pop(next(iter(waiting)))


async def _deliver(viewer: web.WebSocketResponse, text: str) -> None:
    try:
        await viewer.send_str(text)
    except (ConnectionError, RuntimeError):
        return  # it has gone; its own task notices
