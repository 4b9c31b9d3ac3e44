"""Where later work attacks the exchange: a hook before and after every request.

``before`` may answer in the exchange's place, so that nothing is executed; ``after`` may replace
an answer although the request was executed. Either may raise :class:`AnswerLost`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from local.exchange.parameters import parse_pairs
from shared.errors import BorsaError
from shared.simulation.orders import AlgoOrder
from shared.simulation.venue import Venue


@dataclass(frozen=True)
class ApiRequest:
    """One request as the exchange received it. ``time`` is exchange time in milliseconds."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    time: int
    ip: str = "127.0.0.1"


@dataclass(frozen=True)
class ApiResponse:
    """Status, headers and JSON body."""

    status: int
    headers: dict[str, str]
    body: bytes


class AnswerLost(BorsaError):
    """The connection ends without an answer: a time-out or a reset."""

    def __init__(self, how: Literal["timeout", "reset"] = "timeout") -> None:
        self.how = how
        super().__init__(f"answer lost ({how})")


class Faults(Protocol):
    """Consulted around every request."""

    def before(self, request: ApiRequest) -> ApiResponse | None:
        """An answer given instead of executing, or ``None`` to go on."""
        ...

    def after(self, request: ApiRequest, response: ApiResponse) -> ApiResponse:
        """The answer that is sent, after executing."""
        ...


def error_answer(status: int, code: int, message: str) -> ApiResponse:
    """An error as Binance words it."""
    body = f'{{"code":{code},"msg":"{message}"}}'.encode()
    return ApiResponse(status, {"content-type": "application/json"}, body)


@dataclass
class Fault:
    """One rule: which requests, how often, and what happens to them.

    Parameters
    ----------
    matches : callable
        Chooses requests.
    answer : ApiResponse or AnswerLost
        Sent, or raised, instead of the true answer.
    executed : bool
        Whether the request is executed first.
    times : int
        For how many requests; afterwards the rule is spent.
    until : int, optional
        Exchange time in milliseconds after which the rule is spent.
    """

    matches: Callable[[ApiRequest], bool]
    answer: ApiResponse | AnswerLost
    executed: bool = False
    times: int = 1
    until: int | None = None

    def strikes(self, request: ApiRequest) -> bool:
        if self.times <= 0 or (self.until is not None and request.time > self.until):
            return False
        if not self.matches(request):
            return False
        self.times -= 1
        return True

    def give(self) -> ApiResponse:
        if isinstance(self.answer, AnswerLost):
            raise AnswerLost(self.answer.how)
        return self.answer


@dataclass
class ScriptedFaults:
    """Faults from a list of rules; the first that matches strikes."""

    rules: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        self.rules.append(fault)

    def before(self, request: ApiRequest) -> ApiResponse | None:
        for rule in self.rules:
            if not rule.executed and rule.strikes(request):
                return rule.give()
        return None

    def after(self, request: ApiRequest, response: ApiResponse) -> ApiResponse:
        for rule in self.rules:
            if rule.executed and rule.strikes(request):
                return rule.give()
        return response


def on(method: str, path: str) -> Callable[[ApiRequest], bool]:
    """Chooses requests by method and path."""
    return lambda request: request.method == method and request.path == path


_GUARDED = frozenset(
    {
        ("POST", "/fapi/v1/order"),
        ("PUT", "/fapi/v1/order"),
        ("POST", "/fapi/v1/order/test"),
        ("POST", "/fapi/v1/algoOrder"),
        ("POST", "/fapi/v1/batchOrders"),
        ("PUT", "/fapi/v1/batchOrders"),
    }
)


def adds_exposure(request: ApiRequest) -> bool:
    """Chooses what the venue's system-level protection throttles: orders that may open something.

    Reduce-only and closing orders, the closing side of hedge mode, and cancels are exempt.
    """
    if (request.method, request.path) not in _GUARDED:
        return False
    sent = parse_pairs(request.query) | parse_pairs(request.body.decode("utf-8", "replace"))
    if "true" in (sent.get("reduceOnly"), sent.get("closePosition")):
        return False
    side = (sent.get("positionSide"), sent.get("side"))
    return side not in (("LONG", "SELL"), ("SHORT", "BUY"))


def overload(times: int = 1_000_000, until: int | None = None) -> Fault:
    """The venue protects itself: -1008 for everything that :func:`adds_exposure`."""
    text = "Request throttled by system-level protection. Reduce-only/close-position orders are "
    answer = error_answer(503, -1008, f"{text}exempt. Please try again.")
    return Fault(adds_exposure, answer, times=times, until=until)


def stuck_triggering(
    venue: Venue, chooses: Callable[[AlgoOrder], bool] = lambda algo: True
) -> Callable[[], None]:
    """Conditional orders that trigger and produce no order: TRIGGERING for ever, -2011 on cancel.

    Parameters
    ----------
    venue : Venue
    chooses : callable
        Which conditional orders are struck; all by default.

    Returns
    -------
    callable
        Ends the fault; orders already stuck stay so.
    """

    def forward(algo: AlgoOrder) -> bool:
        return not chooses(algo)

    before = venue.core.forward_trigger
    venue.core.forward_trigger = forward

    def end() -> None:
        venue.core.forward_trigger = before

    return end
