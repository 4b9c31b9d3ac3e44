"""Every request and its answer as evidence, without keys and signatures."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from shared.clock import Clock, iso

#: Of long answers (exchangeInfo) the beginning is enough.
_MOST_CHARACTERS = 1_500
#: Headers that say something about limits.
_LIMIT_HEADERS = ("retry-after", "x-mbx-used-weight-1m", "x-mbx-order-count-10s")
_MORE_HEADERS = ("x-mbx-order-count-1m",)
_SECRET = frozenset({"signature", "listenKey"})


class RecordingSession:
    """A session of python-binance that remembers what went over it.

    Parameters
    ----------
    inner : object
        What sends: a ``requests.Session`` or something that reads like one.
    clock : Clock
    """

    trust_env = False

    def __init__(self, inner: Any, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self.headers = inner.headers
        self.requests: list[dict[str, Any]] = []
        #: Answers that had to do with limits: 429, 418, 403.
        self.limited: list[dict[str, Any]] = []

    def get(self, url: str, **kwargs: Any) -> Any:
        return self._send("GET", url, kwargs)

    def post(self, url: str, **kwargs: Any) -> Any:
        return self._send("POST", url, kwargs)

    def put(self, url: str, **kwargs: Any) -> Any:
        return self._send("PUT", url, kwargs)

    def delete(self, url: str, **kwargs: Any) -> Any:
        return self._send("DELETE", url, kwargs)

    def close(self) -> None:
        self._inner.close()

    def mount(self, prefix: str, adapter: Any) -> None:
        self._inner.mount(prefix, adapter)

    def _send(self, method: str, url: str, kwargs: dict[str, Any]) -> Any:
        began = self._clock.now_ms()
        row: dict[str, Any] = {
            "at": iso(began),
            "request": f"{method} {urlsplit(url).path}",
            "parameters": _parameters(url, kwargs),
        }
        self.requests.append(row)
        try:
            response = getattr(self._inner, method.lower())(url, **kwargs)
        except OSError as error:
            # The text of such an error holds the signed address.
            row["lost"] = type(error).__name__
            raise
        row["ms"] = self._clock.now_ms() - began
        row["status"] = response.status_code
        row["headers"] = {
            name: value
            for name in (*_LIMIT_HEADERS, *_MORE_HEADERS)
            if (value := response.headers.get(name)) is not None
        }
        row["answer"] = _answer(response.content, url)
        if response.status_code in (403, 418, 429):
            self.limited.append(row)
        return response


def _parameters(url: str, kwargs: dict[str, Any]) -> dict[str, str]:
    sent: dict[str, str] = dict(parse_qsl(urlsplit(url).query))
    for part in (kwargs.get("params"), kwargs.get("data")):
        if not part:
            continue
        if isinstance(part, bytes):
            part = part.decode()
        pairs = parse_qsl(part) if isinstance(part, str) else part
        sent |= {str(k): str(v) for k, v in (pairs.items() if isinstance(pairs, dict) else pairs)}
    return {k: v for k, v in sent.items() if k not in _SECRET}


def _answer(content: bytes, url: str) -> Any:
    if url.endswith("/listenKey"):
        return "not kept: it holds a listen key"
    text = content.decode("utf-8", "replace")
    if len(text) > _MOST_CHARACTERS:
        return f"{text[:_MOST_CHARACTERS]} … ({len(text)} characters)"
    try:
        return json.loads(text)
    except ValueError:
        return text
