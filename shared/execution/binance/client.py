"""python-binance's synchronous ``Client``, tamed, and one of them per thread."""

from __future__ import annotations

import functools
import hmac
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import quote

from shared.execution.binance.environment import Credentials, Environment, require_match
from shared.execution.binance.server_clock import ServerClock, SignedTimestamp

#: Parameters that python-binance treats in ways of its own.
_OTHER_WAYS = frozenset(
    {"requests_params", "signature", "batchOrders", "orderidlist", "origclientorderidlist"}
)


class Answer:
    """An HTTP answer as it arrived, whatever its status."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.status = status
        self.body = body
        self.headers = headers


class Session(Protocol):
    """What python-binance uses of ``requests.Session``."""

    headers: Any

    def get(self, url: str, **kwargs: Any) -> Any: ...
    def post(self, url: str, **kwargs: Any) -> Any: ...
    def put(self, url: str, **kwargs: Any) -> Any: ...
    def delete(self, url: str, **kwargs: Any) -> Any: ...


class _WithoutQuery(logging.Filter):
    """Keeps signed query strings out of urllib3's debug log."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                a.split("?", 1)[0] if isinstance(a, str) else a for a in record.args
            )
        return True


_WITHOUT_QUERY = _WithoutQuery()


def _http_session() -> Any:
    import requests
    from requests.adapters import HTTPAdapter

    # addFilter ignores a filter that is already there.
    logging.getLogger("urllib3.connectionpool").addFilter(_WITHOUT_QUERY)
    session = requests.Session()
    # Proxies and .netrc of the environment would see, or replace, the key header.
    session.trust_env = False
    for prefix in ("https://", "http://"):
        session.mount(prefix, HTTPAdapter(pool_maxsize=2, max_retries=0))
    return session


@functools.cache
def _client_class() -> type[Any]:
    """The subclass, made on first use because importing python-binance costs half a second."""
    from binance.client import Client

    class FuturesClient(Client):  # type: ignore[misc]
        """USD-M REST only: our hosts, our clock, our session, raw answers."""

        def __init__(
            self,
            environment: Environment,
            credentials: Credentials,
            server: ServerClock,
            session: Session | None,
            recv_window_ms: int,
            timeout: tuple[float, float],
        ) -> None:
            self._session = session
            self._signing_ms = server.signing_ms
            self._signed_timestamp = SignedTimestamp(server)
            # The library tells Ed25519 from RSA by length: CRLF or padding would mislead it.
            lines = credentials.private_key.strip().splitlines()
            pem = "\n".join(line.strip() for line in lines)
            super().__init__(
                credentials.key.strip(),
                credentials.secret.strip() or None,
                # A redirect would carry the key header and a signed order somewhere else.
                requests_params={"timeout": timeout, "allow_redirects": False},
                private_key=pem or None,
                ping=False,
            )
            self.FUTURES_URL = environment.base_url + "/fapi"
            self.FUTURES_DATA_URL = environment.base_url + "/futures/data"
            self.API_URL = environment.base_url + "/api"
            self.REQUEST_RECVWINDOW = recv_window_ms
            self._secret = (self.API_SECRET or "").encode()
            self._sent_as = self._requests_params or {}

        def _init_session(self) -> Any:
            session = _http_session() if self._session is None else self._session
            session.headers.update(self._get_headers())
            return session

        @property
        def timestamp_offset(self) -> SignedTimestamp:
            return self._signed_timestamp

        @timestamp_offset.setter
        def timestamp_offset(self, _value: float) -> None:
            """The library sets 0 in its constructor; the clock decides here."""

        def _get_request_kwargs(
            self, method: str, signed: bool, force_params: bool = False, **kwargs: Any
        ) -> dict[str, Any]:
            # The library sorts and joins the parameters once to sign and once more to send, and
            # builds the key's HMAC state each time: half of what a request costs here. The same
            # result, each step once; whatever we do not send ourselves goes the library's way.
            data = kwargs.get("data")
            if (
                type(data) is not dict
                or len(kwargs) > 1
                or force_params
                or self.PRIVATE_KEY
                or not self._secret
                or not _OTHER_WAYS.isdisjoint(data)
            ):
                theirs: dict[str, Any] = super()._get_request_kwargs(
                    method, signed, force_params, **kwargs
                )
                return theirs
            if signed:
                data["timestamp"] = self._signing_ms()
                if self.REQUEST_RECVWINDOW:
                    data["recvWindow"] = self.REQUEST_RECVWINDOW
            elif not data:
                return {"timeout": self.REQUEST_TIMEOUT, **self._sent_as, "data": data}
            pairs = [(k, str(v)) for k, v in data.items() if v is not None]
            pairs.sort()
            query = "&".join([f"{k}={quote(v)}" if k == "symbol" else f"{k}={v}" for k, v in pairs])
            sent = {"timeout": self.REQUEST_TIMEOUT, **self._sent_as}
            if signed:
                signature = hmac.digest(self._secret, query.encode(), "sha256").hex()
                pairs.append(("signature", signature))
                query = f"{query}&signature={signature}"
            if method == "get":
                sent["params"] = query
            else:
                sent["data"] = pairs
            return sent

        @staticmethod
        def _handle_response(response: Any) -> Answer:
            # The library guesses encodings, and raises AttributeError on a JSON error body that
            # is no object. The gateway judges answers itself.
            return Answer(response.status_code, response.content, response.headers)

        def __repr__(self) -> str:
            return f"<FuturesClient {self.FUTURES_URL}>"

    return FuturesClient


def _construct(make: Callable[[], Any]) -> Any:
    """Call ``make`` in a thread of its own.

    python-binance creates an event loop for the websocket API that we do not use; in a passing
    thread it neither replaces the caller's loop nor stays open.
    """
    import asyncio

    result: list[Any] = []
    failure: list[BaseException] = []

    def build() -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            result.append(make())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failure.append(error)
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    thread = threading.Thread(target=build, name="binance-client")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


class ClientPool:
    """One client per thread: the library keeps the last response in the client.

    Parameters
    ----------
    environment : Environment
    credentials : Credentials or callable
        A callable is asked again after :meth:`renew`, so rotated keys are picked up.
    server : ServerClock
    session : Session, optional
        Used by every client instead of an HTTP session of its own; must then be safe to share.
    recv_window_ms : int
    timeout : tuple of float
        Connect and read timeout in seconds.

    Raises
    ------
    ConfigurationError
        When the keys are missing or belong to another environment.
    """

    def __init__(
        self,
        environment: Environment,
        credentials: Credentials | Callable[[], Credentials],
        server: ServerClock,
        *,
        session: Session | None,
        recv_window_ms: int,
        timeout: tuple[float, float],
    ) -> None:
        if isinstance(credentials, Credentials):
            require_match(environment, credentials)
        self._environment = environment
        self._credentials = credentials
        self._server = server
        self._session = session
        self._recv_window_ms = recv_window_ms
        self._timeout = timeout
        self._local = threading.local()
        self._lock = threading.Lock()
        self._generation = 0
        self._own_sessions: list[Any] = []

    def get(self) -> Any:
        """This thread's client."""
        if getattr(self._local, "generation", None) == self._generation:
            return self._local.client
        with self._lock:
            generation = self._generation
        given = self._credentials
        credentials = given if isinstance(given, Credentials) else given()
        require_match(self._environment, credentials)
        client = _construct(
            lambda: _client_class()(
                self._environment,
                credentials,
                self._server,
                self._session,
                self._recv_window_ms,
                self._timeout,
            )
        )
        if self._session is None:
            with self._lock:
                self._own_sessions.append(client.session)
        self._local.client = client
        self._local.generation = generation
        return client

    def renew(self) -> None:
        """Make every thread ask for the keys again at its next request."""
        self.close()

    def close(self) -> None:
        """Close the connections; the pool stays usable."""
        with self._lock:
            self._generation += 1
            sessions, self._own_sessions = self._own_sessions, []
        for session in sessions:
            session.close()
