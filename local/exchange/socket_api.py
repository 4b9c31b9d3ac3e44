"""Requests over a websocket (``/ws-fapi/v1``): the same endpoints, asked by name.

A request is ``{"id", "method", "params"}``. Signed ones carry ``apiKey``, ``timestamp`` and a
signature over all other parameters sorted by name, unless the connection has logged on with an
Ed25519 key.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from local.exchange.api import BinanceApi
from local.exchange.auth import Credential, HmacCredential, check_time
from local.exchange.endpoints import TABLE, Security
from local.exchange.faults import AnswerLost
from local.exchange.limits import Throttled
from local.exchange.streams import CONNECTION_LIFE_MS
from shared.simulation.refusal import VenueRefusal

PATH = "/ws-fapi/v1"
#: Weight of opening a connection.
HANDSHAKE = 5
PING_SECONDS = 180.0
#: Real seconds between looks at a silent connection's age.
_LOOK_SECONDS = 0.5

#: REST endpoint behind each method.
METHODS: dict[str, tuple[str, str]] = {
    "order.place": ("POST", "/fapi/v1/order"),
    "order.modify": ("PUT", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
    "account.status": ("GET", "/fapi/v2/account"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
    "account.balance": ("GET", "/fapi/v2/balance"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "account.position": ("GET", "/fapi/v2/positionRisk"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
    "depth": ("GET", "/fapi/v1/depth"),
    "ticker.price": ("GET", "/fapi/v2/ticker/price"),
    "ticker.book": ("GET", "/fapi/v1/ticker/bookTicker"),
    "userDataStream.start": ("POST", "/fapi/v1/listenKey"),
    "userDataStream.ping": ("PUT", "/fapi/v1/listenKey"),
    "userDataStream.stop": ("DELETE", "/fapi/v1/listenKey"),
}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _Session:
    """One connection: who has logged on, and since when."""

    def __init__(self, ip: str, opened: int) -> None:
        self.ip = ip
        self.opened = opened
        self.key = ""
        self.since: int | None = None


class SocketApi:
    """Answers websocket requests of one exchange."""

    def __init__(self, api: BinanceApi) -> None:
        self._api = api

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection, until either side ends it."""
        ip = request.remote or ""
        try:
            self._api.limits.connect(ip, self._api.venue.now)
            self._api.limits.spend(ip, HANDSHAKE, self._api.venue.now)
        except Throttled as refusal:
            headers = {"Retry-After": str(refusal.retry_after)}
            return web.Response(status=refusal.status, headers=headers)
        socket = web.WebSocketResponse(heartbeat=PING_SECONDS)
        await socket.prepare(request)
        session = _Session(ip, self._api.venue.now)
        while not socket.closed:
            if self._api.time() - session.opened >= CONNECTION_LIFE_MS:
                await socket.close(code=WSCloseCode.GOING_AWAY)
                break
            try:
                message = await socket.receive(timeout=_LOOK_SECONDS)
            except TimeoutError:
                continue
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                answer = self.answer(session, message.data)
            except AnswerLost as lost:
                if lost.how == "timeout":
                    continue
                await socket.close(code=WSCloseCode.ABNORMAL_CLOSURE)
                break
            await socket.send_str(_encode(answer).decode())
        return socket

    def open_session(self, ip: str = "127.0.0.1") -> _Session:
        """A connection without a socket."""
        return _Session(ip, self._api.venue.now)

    def answer(self, session: _Session, text: str) -> dict[str, Any]:
        """The answer to one request."""
        try:
            asked = _decode(text)
            method, number = asked["method"], asked.get("id")
            given = asked.get("params") or {}
            parameters = {name: _text(value) for name, value in given.items()}
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            error = {"code": -1135, "msg": "Invalid JSON Request"}
            return {"id": None, "status": 400, "error": error}
        told = parameters.pop("returnRateLimits", "true") != "false"
        headers: dict[str, str] = {}
        try:
            if method.startswith("session."):
                status, body = 200, self._session(session, method, parameters, given)
            else:
                status, headers, body = self._ask(session, method, parameters, given)
        except VenueRefusal as refusal:
            status, body = refusal.status, {"code": refusal.code, "msg": refusal.message}
        out: dict[str, Any] = {"id": number, "status": status}
        out["result" if status == 200 else "error"] = body
        if told:
            out["rateLimits"] = self._rate_limits(session, headers)
        return out

    def _ask(
        self, session: _Session, method: str, parameters: dict[str, str], given: dict[str, Any]
    ) -> tuple[int, dict[str, str], Any]:
        target = METHODS.get(method)
        if target is None:
            raise VenueRefusal(-1000, f"Unknown method {method}.")
        key, credential = parameters.pop("apiKey", ""), None
        if TABLE[target].security is not Security.NONE:
            credential = self._api.keys.identify(key or session.key)
            if TABLE[target].security is Security.SIGNED and (key or not session.key):
                _verify(credential, given)
        parameters.pop("signature", None)
        query = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())
        headers = {"X-MBX-APIKEY": key or session.key}
        status, answered, content = self._api.handle(
            *target, query, headers, ip=session.ip, verified=credential is not None
        )
        body: Any = msgspec.Raw(content)
        if wait := answered.get("retry-after"):
            now = self._api.venue.now
            told = {"serverTime": now, "retryAfter": now + int(wait) * 1000}
            body = {**_decode(content), "data": told}
        return status, answered, body

    def _session(
        self, session: _Session, method: str, parameters: dict[str, str], given: dict[str, Any]
    ) -> dict[str, Any]:
        now = self._api.venue.now
        if method == "session.logon":
            credential = self._api.keys.identify(parameters.get("apiKey"))
            if isinstance(credential, HmacCredential):
                raise VenueRefusal(-4056, "HMAC_SHA256 API key is not supported.")
            _verify(credential, given)
            check_time(now, parameters.get("timestamp"), parameters.get("recvWindow"))
            session.key, session.since = parameters["apiKey"], now
        elif method == "session.logout":
            session.key, session.since = "", None
        elif method != "session.status":
            raise VenueRefusal(-1000, f"Unknown method {method}.")
        return {
            "apiKey": session.key or None,
            "authorizedSince": session.since,
            "connectedSince": session.opened,
            "returnRateLimits": True,
            "serverTime": now,
        }

    def _rate_limits(self, session: _Session, headers: dict[str, str]) -> list[dict[str, Any]]:
        """What the headers of an answer over HTTP tell."""
        limits = self._api.limits
        used = limits.used(session.ip, self._api.venue.now)
        rows = [("REQUEST_WEIGHT", "MINUTE", 1, limits.weight, used)]
        for header, interval, number, limit in (
            ("x-mbx-order-count-1m", "MINUTE", 1, limits.orders_1m),
            ("x-mbx-order-count-10s", "SECOND", 10, limits.orders_10s),
        ):
            if header in headers:
                rows.insert(0, ("ORDERS", interval, number, limit, int(headers[header])))
        names = ("rateLimitType", "interval", "intervalNum", "limit", "count")
        return [dict(zip(names, row, strict=True)) for row in rows]


def _verify(credential: Credential, given: dict[str, Any]) -> None:
    """The signature over all other parameters, sorted by name.

    Raises
    ------
    VenueRefusal
        -1102 there is none, -1022 it does not match.
    """
    signature = given.get("signature")
    if not signature:
        raise VenueRefusal(
            -1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed."
        )
    payload = "&".join(
        f"{name}={_text(value)}" for name, value in sorted(given.items()) if name != "signature"
    )
    if not credential.verifies(payload.encode(), str(signature)):
        raise VenueRefusal(-1022, "Signature for this request is not valid.")


def _text(value: Any) -> str:
    """A JSON value as it stands in the signed text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)
