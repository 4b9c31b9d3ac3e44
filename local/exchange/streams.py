"""Websocket hosts /public, /market and /private, raw and combined."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from local.exchange.api import BinanceApi
from local.exchange.events import user_events
from local.exchange.feeds import Feed
from local.exchange.limits import Throttled
from local.exchange.market_streams import feed_of
from shared.errors import StoreUnavailable
from shared.simulation.core import VenueEvent

#: Life of a connection, milliseconds of exchange time.
CONNECTION_LIFE_MS = 24 * 3_600_000
#: Real seconds between looks at the market.
PULSE = 0.1
PING_SECONDS = 180.0
_MAX_STREAMS = 1024
#: Messages that a connection may send in a second.
_MAX_MESSAGES = 10

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class _Connection:
    """One open websocket."""

    def __init__(self, socket: web.WebSocketResponse, combined: bool, opened: int) -> None:
        self.socket = socket
        self.combined = combined
        self.opened = opened
        self.streams: dict[str, Feed] = {}
        self.account: str | None = None
        self.listen_key = ""
        self.wanted: frozenset[str] = frozenset()
        self.expired = False
        self.received: list[int] = []
        self.outbox: asyncio.Queue[bytes] = asyncio.Queue()

    def is_flooded(self, now: int) -> bool:
        """Count a message; whether there are more in this second than the venue reads."""
        self.received = [t for t in self.received if now - t < 1000]
        self.received.append(now)
        return len(self.received) > _MAX_MESSAGES

    def push(self, stream: str, payload: Any) -> None:
        if self.combined:
            payload = {"stream": stream, "data": payload}
        self.outbox.put_nowait(_encode(payload))

    async def drain(self) -> None:
        while not self.socket.closed:
            text = await self.outbox.get()
            await self.socket.send_str(text.decode())


class StreamHub:
    """All connections of one exchange."""

    def __init__(self, api: BinanceApi) -> None:
        self._api = api
        self._connections: set[_Connection] = set()
        self._pulse: asyncio.Task[None] | None = None
        api.venue.on_event(self._on_event)

    def routes(self) -> list[web.RouteDef]:
        out = []
        for prefix, host in (
            ("/public", "public"),
            ("/market", "market"),
            ("/private", "private"),
            ("", "public"),
        ):
            handler = self._handler(host)
            for path in (f"{prefix}/ws", f"{prefix}/ws/{{names:.*}}", f"{prefix}/stream"):
                out.append(web.get(path, handler))
        return out

    async def start(self) -> None:
        self._pulse = asyncio.create_task(self._beat())

    async def stop(self) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
            await asyncio.gather(self._pulse, return_exceptions=True)
        for connection in list(self._connections):
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)

    def _handler(self, host: str) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, host)

        return handle

    async def _serve(self, request: web.Request, host: str) -> web.StreamResponse:
        try:
            self._api.limits.connect(request.remote or "", self._api.venue.now)
        except Throttled as refusal:
            headers = {"Retry-After": str(refusal.retry_after)}
            return web.Response(status=refusal.status, headers=headers)
        socket = web.WebSocketResponse(heartbeat=PING_SECONDS)
        await socket.prepare(request)
        combined = request.path.endswith("/stream")
        connection = _Connection(socket, combined, self._api.venue.now)
        if host == "private":
            self._attach(connection, request)
        else:
            names = request.query.get("streams") or request.match_info.get("names", "")
            self._subscribe(connection, [n for n in names.split("/") if n], host)
        self._connections.add(connection)
        writer = asyncio.create_task(connection.drain())
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    if connection.is_flooded(self._api.venue.now):
                        await socket.close(code=WSCloseCode.POLICY_VIOLATION)
                        break
                    self._command(connection, message.data, host)
        finally:
            self._connections.discard(connection)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    def _attach(self, connection: _Connection, request: web.Request) -> None:
        key = request.query.get("listenKey") or request.match_info.get("names", "")
        if key:
            self._listen(connection, key)
        events = request.query.get("events", "")
        connection.wanted = frozenset(e for e in events.split("/") if e)

    def _listen(self, connection: _Connection, key: str) -> None:
        connection.listen_key = key
        connection.account = self._api.listen_keys.account_of(key, self._api.venue.now)
        connection.expired = False

    def _subscribe(self, connection: _Connection, names: list[str], host: str) -> None:
        if host == "private":
            # A user stream is subscribed by its listen key.
            for key in names:
                self._listen(connection, key)
            return
        for name in names:
            if name not in connection.streams and len(connection.streams) < _MAX_STREAMS:
                connection.streams[name] = feed_of(self._api.venue, name, host)

    def _command(self, connection: _Connection, text: str, host: str) -> None:
        try:
            command = msgspec.json.decode(text)
            method, number = command["method"], command.get("id")
            names = [str(name) for name in command.get("params") or []]
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            error = {"code": 2, "msg": "Invalid request: unable to parse"}
            connection.outbox.put_nowait(_encode({"error": error, "id": None}))
            return
        result: Any = None
        if method == "SUBSCRIBE":
            self._subscribe(connection, names, host)
        elif method == "UNSUBSCRIBE":
            for name in names:
                connection.streams.pop(name, None)
                if name == connection.listen_key:
                    connection.account, connection.listen_key = None, ""
        elif method == "LIST_SUBSCRIPTIONS":
            result = [*connection.streams, *filter(None, [connection.listen_key])]
        else:
            error = {"code": 2, "msg": f"Invalid request: unknown variant `{method}`"}
            connection.outbox.put_nowait(_encode({"error": error, "id": number}))
            return
        connection.outbox.put_nowait(_encode({"result": result, "id": number}))

    def _on_event(self, event: VenueEvent) -> None:
        receivers = [c for c in self._connections if c.account == event.account and not c.expired]
        if not receivers:
            return
        for payload in user_events(self._api.venue.core, event):
            for connection in receivers:
                if not connection.wanted or payload["e"] in connection.wanted:
                    connection.push(connection.listen_key, payload)

    async def _beat(self) -> None:
        """Let time pass while nobody asks, and send what the market has to say."""
        while True:
            # A state that cannot be saved now is saved with the next change.
            with suppress(StoreUnavailable):
                self._api.advance()
            for connection in list(self._connections):
                try:
                    await self._attend(connection)
                except Exception:  # noqa: BLE001 - logged, and the connection ends
                    # One stream's defect must not stop time for all others.
                    _log.exception("a stream of %s failed", ", ".join(connection.streams))
                    self._connections.discard(connection)
                    await connection.socket.close(code=WSCloseCode.INTERNAL_ERROR)
            await asyncio.sleep(PULSE)

    async def _attend(self, connection: _Connection) -> None:
        now = self._api.venue.now
        if now - connection.opened >= CONNECTION_LIFE_MS:
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)
            return
        if connection.account is not None and not connection.expired:
            alive = self._api.listen_keys.account_of(connection.listen_key, now)
            if alive is None:
                connection.expired = True
                expiry = {"e": "listenKeyExpired", "E": now, "listenKey": connection.listen_key}
                connection.push(connection.listen_key, expiry)
        for name, stream in connection.streams.items():
            for payload in stream.due():
                connection.push(name, payload)
