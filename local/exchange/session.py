"""python-binance in process: an object that takes the place of its ``requests`` session."""

from __future__ import annotations

from typing import Any, NoReturn
from urllib.parse import quote_plus, urlsplit

import msgspec

from local.exchange.api import BinanceApi
from local.exchange.faults import AnswerLost

_decode = msgspec.json.Decoder().decode


class InProcessResponse:
    """What python-binance and its users read from a response."""

    __slots__ = ("_text", "content", "headers", "request", "status_code", "url")

    def __init__(self, status: int, headers: dict[str, str], content: bytes, url: str) -> None:
        self.status_code = status
        self.headers = Headers(headers)
        self.content = content
        self.url = url
        self.request = None
        self._text: str | None = None

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = self.content.decode()
        return self._text

    @property
    def ok(self) -> bool:
        return self.status_code < 400

    def json(self) -> Any:
        """The decoded body; ``ValueError`` when it is not JSON, as ``requests`` has it."""
        return _decode(self.content)


class Headers(dict[str, str]):
    """Response headers; names in any case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())


class InProcessSession:
    """A session whose requests go straight to a :class:`~local.exchange.api.BinanceApi`.

    Parameters
    ----------
    api : BinanceApi
    headers : dict, optional
        Default headers; python-binance's own when it is given the session of a client.
    latency : float
        Seconds on the exchange's clock that a request takes, half of it each way.

    Examples
    --------
    >>> client = Client(key, secret, ping=False)
    >>> client.session = InProcessSession(api, client.session.headers)
    """

    trust_env = False

    def __init__(self, api: BinanceApi, headers: Any = None, *, latency: float = 0.0) -> None:
        self.api = api
        self.headers: dict[str, str] = dict(headers or {})
        self.latency = latency

    def get(self, url: str, **kwargs: Any) -> InProcessResponse:
        return self.request("GET", url, **kwargs)

    def post(self, url: str, **kwargs: Any) -> InProcessResponse:
        return self.request("POST", url, **kwargs)

    def put(self, url: str, **kwargs: Any) -> InProcessResponse:
        return self.request("PUT", url, **kwargs)

    def delete(self, url: str, **kwargs: Any) -> InProcessResponse:
        return self.request("DELETE", url, **kwargs)

    def close(self) -> None:
        """Nothing to close; sessions have it."""

    def mount(self, prefix: str, adapter: Any) -> None:
        """Adapters are about sockets; there are none."""

    def request(
        self,
        method: str,
        url: str,
        params: Any = None,
        data: Any = None,
        headers: dict[str, str] | None = None,
        timeout: Any = None,
        **kwargs: Any,
    ) -> InProcessResponse:
        """One request.

        Raises
        ------
        requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError
            As ``requests`` does when no answer arrives.
        """
        path, query = _target(url)
        if params:
            extra = params if isinstance(params, str) else _form(params)
            query = f"{query}&{extra}" if query else extra
        body = b""
        if data:
            body = (
                data
                if isinstance(data, bytes)
                else (data if isinstance(data, str) else _form(data)).encode()
            )
        sent = {**self.headers, **headers} if headers else self.headers
        if self.latency:
            self.api.clock.sleep(self.latency / 2)
        try:
            status, answered, content = self.api.handle(method, path, query, sent, body)
        except AnswerLost as lost:
            self._lose(lost, timeout)
        if self.latency:
            self.api.clock.sleep(self.latency / 2)
        return InProcessResponse(status, answered, content, url)

    def _lose(self, lost: AnswerLost, timeout: Any) -> NoReturn:
        from requests import exceptions

        if lost.how == "timeout":
            waited = timeout[-1] if isinstance(timeout, tuple) else timeout
            self.api.clock.sleep(float(waited or 10.0))
            raise exceptions.ReadTimeout("Read timed out.") from lost
        raise exceptions.ConnectionError("Connection aborted.") from lost


_targets: dict[str, tuple[str, str]] = {}


def _target(url: str) -> tuple[str, str]:
    """Path and query of an address; the few that occur are remembered."""
    found = _targets.get(url)
    if found is None:
        parts = urlsplit(url)
        found = (parts.path, parts.query)
        if len(_targets) < 512:
            _targets[url] = found
    return found


def _form(data: Any) -> str:
    """A form body as ``requests`` writes it."""
    pairs = data.items() if isinstance(data, dict) else data
    return "&".join(f"{name}={_quoted(str(value))}" for name, value in pairs)


_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-~")


def _quoted(value: str) -> str:
    return value if _PLAIN.issuperset(value) else quote_plus(value)
