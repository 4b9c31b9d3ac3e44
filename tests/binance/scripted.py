"""A transport below the real requests and python-binance that answers from a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from local.clock import VirtualClock
from shared.execution.binance import BinanceExchange, Credentials, simulated

START_MS = 1_746_316_800_000
KEY = "KEY-abcdefghij"
SECRET = "SECRET-recognisable-0123456789"
BASE = "http://exchange.test"


@dataclass
class Reply:
    """An HTTP answer; ``body`` may be text, bytes or anything JSON can say."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


def refusal(code: int, message: str = "", status: int = 400, **headers: str) -> Reply:
    """Binance's error answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply({"code": code, "msg": message or f"error {code}"}, status, named)


@dataclass
class Sent:
    """A request as it went out."""

    verb: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    raw: str


Step = Reply | Exception | Callable[[Sent], Reply]


class Script(BaseAdapter):
    """Answers each ``(verb, path)`` with its steps in order; the last one stays."""

    def __init__(self, clock: VirtualClock, skew_ms: int = 0) -> None:
        super().__init__()
        self.clock = clock
        self.skew_ms = skew_ms
        self.steps: dict[tuple[str, str], list[Step]] = {}
        self.sent: list[Sent] = []
        self.on("GET", "/fapi/v1/time", lambda _: Reply({"serverTime": self.server_ms()}))

    def server_ms(self) -> int:
        return self.clock.now_ms() + self.skew_ms

    def on(self, verb: str, path: str, *steps: Step) -> Script:
        self.steps[verb, path] = list(steps)
        return self

    def calls(self, verb: str, path: str) -> list[Sent]:
        return [s for s in self.sent if (s.verb, s.path) == (verb, path)]

    def send(self, request: Any, **_: Any) -> requests.Response:
        parts = urlsplit(request.url)
        body = request.body or ""
        raw = parts.query or (body.decode() if isinstance(body, bytes) else body)
        sent = Sent(request.method, parts.path, dict(parse_qsl(raw)), dict(request.headers), raw)
        self.sent.append(sent)
        steps = self.steps.get((sent.verb, sent.path))
        assert steps, f"nothing scripted for {sent.verb} {sent.path}"
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        if isinstance(step, Exception):
            if isinstance(step, requests.RequestException):
                step.request = request
            raise step
        reply = step if isinstance(step, Reply) else step(sent)
        response = requests.Response()
        response.status_code = reply.status
        response._content = reply.content()
        response.headers = CaseInsensitiveDict(reply.headers)
        response.url = request.url
        response.request = request
        return response

    def close(self) -> None:
        pass


class Bench:
    """The real adapter over a :class:`Script`."""

    def __init__(
        self, *, skew_ms: int = 0, clock: VirtualClock | None = None, **options: Any
    ) -> None:
        self.clock = VirtualClock(START_MS) if clock is None else clock
        # The exchange's own, which nobody here sets.
        self.script = Script(self.clock if clock is None else VirtualClock(START_MS), skew_ms)
        session = requests.Session()
        session.trust_env = False
        session.mount("http://", self.script)
        self.exchange = BinanceExchange(
            simulated(BASE),
            Credentials(environment="simulated", key=KEY, secret=SECRET),
            clock=self.clock,
            session=session,
            **options,
        )
