"""Where faults strike: the exchange's answers, the store, the task hub, the event log."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from local.durable.faults import ActivityFault, Delivery, FaultPolicy
from local.eventlog import Delivery as EventDelivery
from local.eventlog import StoredEvent
from local.exchange.faults import AnswerLost, ApiRequest, ApiResponse, error_answer
from local.simulate import prices
from local.simulate.behind import Behind, span_ms
from local.simulate.refusals import Refusals
from local.simulate.schedule import Menu, Schedule
from local.simulate.succession import MONEY
from shared.clock import Clock


class Killed(SystemExit):
    """The process dies here. Nothing may catch it: it ends the event loop as it ends a process."""


class Hooks:
    """What a boundary does to the process it lies in.

    Parameters
    ----------
    schedule : Schedule
    rates : mapping of str to Menu
    clock : Clock
    blocked : callable
        Told milliseconds for which the fault made progress impossible, whoever had tried.
    rival : callable
        Lets another instance do something, now, between two effects of this one.
    disturbed : callable
        Told until when (UTC milliseconds) a fault has its effect.
    failed : callable
        Told whenever the store fails.
    stepped : callable, optional
        Does something to the clock of the machine that this process runs on.
    replaced : callable, optional
        Lets another process take over while an activity of this one is in flight.
    """

    def __init__(
        self,
        schedule: Schedule,
        rates: Mapping[str, Menu],
        clock: Clock,
        blocked: Callable[[int], None],
        rival: Callable[[str, Random], None],
        disturbed: Callable[[int], None],
        failed: Callable[[], None],
        stepped: Callable[[str, Random], None] = lambda kind, draw: None,
        replaced: Callable[[Random], None] = lambda draw: None,
    ) -> None:
        self.schedule = schedule
        self.rates = rates
        self.clock = clock
        self.blocked = blocked
        self.disturbed = disturbed
        self.failed = failed
        self._rival = rival
        self._stepped, self._replaced = stepped, replaced
        self.dead = False
        #: Whether another process has taken over: this one ends what it is at, and then dies.
        self.zombie = False
        #: The activity that runs, if it is one whose run may outlive its process.
        self.activity = ""
        #: Whether it is one symbol's, and which as soon as a request of it has named that.
        self.alone, self.symbol = False, ""

    def draw(self, boundary: str, menu: str) -> tuple[str, Random] | None:
        if self.zombie:
            return None
        struck = self.schedule.draw(boundary, self.rates.get(menu, ()))
        if struck is not None:
            self.disturbed(self.clock.now_ms())
        return struck

    def enter(self, boundary: str) -> bool:
        """Before an effect; returns whether the process is to die right after it."""
        if self.dead:
            raise Killed(boundary)
        struck = self.draw(f"{boundary}.rival", "rival")
        if struck is not None:
            self.schedule.pause()
            try:
                self._rival(*struck)
            finally:
                self.schedule.resume()
        if self.activity:
            struck = self.draw(f"{boundary}.zombie", "zombie")
            if struck is not None:
                self._replaced(struck[1])
                return False
        struck = self.draw(f"{boundary}.kill", "kill")
        if struck is None:
            return False
        if struck[0] == "kill-before":
            self.die(boundary)
        return True

    def set_clock(self) -> None:
        """Before a request: the machine's clock may be set, or may have stood still."""
        struck = self.draw("clock", "clock")
        if struck is not None:
            self._stepped(*struck)

    def ended(self, invocation: object) -> None:
        """A function has run to its end: whatever asks next is another."""
        self.alone = False

    def die(self, boundary: str) -> None:
        self.dead = True
        raise Killed(boundary)

    def slow(self, draw: Random, longest_ms: int) -> None:
        wait = draw.randint(100, longest_ms)
        self.blocked(wait)
        self.clock.sleep(wait / 1000)


_UNKNOWN = "Unknown error, please check your request or try again later."
_ANSWERS: dict[str, Callable[[], ApiResponse]] = {
    "503": lambda: error_answer(503, -1000, _UNKNOWN),
    "1007": lambda: error_answer(
        408, -1007, "Timeout waiting for response from backend server. Send status unknown."
    ),
    "unavailable": lambda: error_answer(503, 0, "Service Unavailable."),
    "5022": lambda: error_answer(
        400, -5022, "Due to the order could not be executed as maker, the Post Only order..."
    ),
    "1008": lambda: error_answer(503, -1008, "Server is currently overloaded."),
}
_SYMBOL = re.compile(r"(?:^|&)symbol=(\w+)")
_LOOKUPS = {"/fapi/v1/order", "/fapi/v1/algoOrder", "/fapi/v1/openAlgoOrders"}

#: How long the venue's look-ups may lag behind its matching engine, milliseconds.
LAG_MS = 2_500

#: Read time-out of the application's requests, milliseconds.
TIMEOUT_MS = 2_000


class ExchangeFaults:
    """Between application and exchange; consulted around every request.

    ``closing`` is told the symbol of every reduce-only order that is sent, ``adding`` that of
    every other, when it leaves; ``unseen`` of which symbol no view shows anything, until when;
    ``served`` for which symbol alone a request is on its way, whatever other waits meanwhile.
    """

    def __init__(
        self,
        closing: Callable[[str], None],
        adding: Callable[[str], None],
        unseen: Callable[[str, int], None] = lambda symbol, until: None,
        served: Callable[[str], None] = lambda symbol: None,
    ) -> None:
        self.hooks: Hooks | None = None
        self.closing = closing
        self.adding = adding
        self.unseen = unseen
        self.served = served
        self._behind = Behind()
        #: What is refused until a person has put it right, where that is attacked.
        self.refusals: Refusals | None = None
        self._after: dict[int, tuple[str, bool]] = {}
        self._hidden = (0, 0)
        self._no_stops_until = 0
        self._down_until = 0
        #: What the application was shown of the market.
        self.prices = prices.Prices()
        #: What the last request was about.
        self.symbol = ""

    def before(self, request: ApiRequest) -> ApiResponse | None:
        if _adds(request):
            self.adding(_symbol_of(request))
        hooks = self.hooks
        if hooks is None:
            return None
        if hooks.dead:
            raise Killed(request.path)
        hooks.set_clock()
        name = request.path.rsplit("/", 1)[-1]
        self.symbol = _symbol_of(request) or self.symbol
        hooks.symbol = _symbol_of(request) or hooks.symbol
        if hooks.alone and hooks.symbol:
            self.served(hooks.symbol)
        if _adds(request) is False:
            self.closing(self.symbol)
        writes = request.method != "GET"
        if hooks.clock.now_ms() < self._down_until:
            return _ANSWERS["unavailable"]()
        refused = self._refused(hooks, request)
        if refused is not None:
            return refused
        dies = hooks.enter(f"{request.method}-{name}") if writes else False
        struck = hooks.draw("doubt", "doubt") if _adds(request) else None
        if struck is not None:
            return self._doubt(hooks, request, *struck)
        if request.method == "POST" and name == "algoOrder" and self._stops_are_down(hooks):
            return _ANSWERS["unavailable"]()
        if b"timeInForce=GTX" in request.body + request.query.encode():
            struck = hooks.draw("post-only", "post-only")
            if struck is not None and not dies:
                return _ANSWERS[struck[0]]()
        lookup = not writes and request.path in _LOOKUPS
        menu = "write" if writes else "lookup" if lookup else "read"
        struck = hooks.draw(f"{request.method}-{name}", menu)
        fault = "" if struck is None else struck[0]
        if struck is not None:
            fault = self._strike(hooks, *struck)
        if dies or fault:
            self._after[id(request)] = (fault, dies)
        if fault.endswith("-lost"):
            if dies:
                hooks.die(name)
            return self._lose(hooks, fault, request)
        if fault in _ANSWERS:
            return _ANSWERS[fault]()
        if fault == "down":
            self._after.pop(id(request), None)
            return _ANSWERS["unavailable"]()
        if fault == "429":
            hooks.blocked(1_000)
            answer = error_answer(429, -1003, "Too many requests.")
            return ApiResponse(429, {**answer.headers, "retry-after": "1"}, answer.body)
        return None

    def _doubt(
        self, hooks: Hooks, request: ApiRequest, fault: str, draw: Random
    ) -> ApiResponse | None:
        """The answer to an entry is lost, and no view shows anything of it for a while."""
        until = hooks.clock.now_ms() + span_ms(draw)
        self._behind.hold(self.symbol, until)
        self.unseen(self.symbol, until)
        hooks.disturbed(until)
        if fault.endswith("-lost"):
            return self._lose(hooks, fault, request)
        self._after[id(request)] = (fault, False)
        return None

    def _refused(self, hooks: Hooks, request: ApiRequest) -> ApiResponse | None:
        if self.refusals is None:
            return None
        now, adds = hooks.clock.now_ms(), _adds(request)
        struck = hooks.draw("halt", "halt") if adds else None
        if struck is not None:
            self.refusals.strike(*struck, now)
            hooks.disturbed(self.refusals.until)
        return self.refusals.answer(request, now, adds=adds)

    def _stops_are_down(self, hooks: Hooks) -> bool:
        """No excuse: a position that gets no stop can still be closed."""
        now = hooks.clock.now_ms()
        struck = hooks.draw("stops", "stops")
        if struck is not None:
            self._no_stops_until = now + struck[1].randint(2_000, 20_000)
            hooks.disturbed(self._no_stops_until)
        return now < self._no_stops_until

    def _strike(self, hooks: Hooks, fault: str, draw: Random) -> str:
        if fault == "slow":
            hooks.slow(draw, 4_500)
            return ""
        if fault == "down":
            wait = draw.randint(2_000, 15_000)
            hooks.blocked(wait)
            self._down_until = hooks.clock.now_ms() + wait
        if fault == "hidden":
            now = hooks.clock.now_ms()
            wait = draw.randint(300, LAG_MS)
            hooks.blocked(wait)
            self._hidden = (now + wait, now - LAG_MS)
            return ""
        return fault

    def _lose(self, hooks: Hooks, fault: str, request: ApiRequest) -> ApiResponse:
        self._after.pop(id(request), None)
        kind = fault.split("-")[0]
        if kind in _ANSWERS:
            return _ANSWERS[kind]()
        if kind == "timeout":
            hooks.blocked(TIMEOUT_MS)
            raise AnswerLost("timeout")
        raise AnswerLost("reset")

    def after(self, request: ApiRequest, response: ApiResponse) -> ApiResponse:
        # Whoever asks: the views are the exchange's.
        response = self._behind.serve(request, response)
        hooks = self.hooks
        if hooks is None:
            return response
        fault, dies = self._after.pop(id(request), ("", False))
        if dies:
            hooks.die(request.path)
        if fault.endswith("-done"):
            return self._lose(hooks, fault, request)
        if request.path in prices.PATHS and response.status == 200 and "prices" in hooks.rates:
            return self._priced(hooks, request, response)
        until, since = self._hidden
        if until and request.method == "GET" and request.path in _LOOKUPS:
            if hooks.clock.now_ms() >= until:
                self._hidden = (0, 0)
            elif response.status == 200:
                return _without_newest(response, since)
        return response

    def _priced(self, hooks: Hooks, request: ApiRequest, response: ApiResponse) -> ApiResponse:
        now = hooks.clock.now_ms()
        struck = hooks.draw("prices", "prices")
        if struck is not None:
            self.prices.hold(now + struck[1].randint(60_000, 180_000))
        return self.prices.serve(request.path, _symbol_of(request), now, response)


def _symbol_of(request: ApiRequest) -> str:
    """The symbol a request is about, empty if it names none."""
    about = _SYMBOL.search(request.query) or _SYMBOL.search(request.body.decode())
    return "" if about is None else about[1]


def _adds(request: ApiRequest) -> bool | None:
    """Whether a new plain order may add exposure; ``None`` for every other request."""
    if request.method != "POST" or not request.path.endswith("/order"):
        return None
    return b"reduceOnly=true" not in request.body + request.query.encode()


def _without_newest(response: ApiResponse, since: int) -> ApiResponse:
    """What a replica that lags shows: nothing created after ``since``."""
    body = json.loads(response.body)

    def young(row: Any) -> bool:
        return int(row.get("createTime") or row.get("time") or 0) > since

    if isinstance(body, list):
        kept = [row for row in body if not young(row)]
        return ApiResponse(200, response.headers, json.dumps(kept).encode())
    if young(body):
        return error_answer(400, -2013, "Order does not exist.")
    return response


#: Activities of one symbol's workflow: deployed those of another run beside them.
OF_ONE_SYMBOL = frozenset(
    {
        "assess",
        "settle_approval",
        "open_position",
        "protect_position",
        "record_trade",
        "watch_stop",
    }
)

_ACTIVITY = {
    "crash-before": ActivityFault.CRASH_BEFORE,
    "crash-after": ActivityFault.CRASH_AFTER,
    "twice": ActivityFault.TWICE,
}


class HubFaults(FaultPolicy):
    """Activities that run again, results that come late or twice."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def activity(self, name: str, attempt: int) -> ActivityFault:
        self._hooks.activity = name if name in MONEY else ""
        struck = self._hooks.draw(f"run-{name}", "activity") if attempt < 4 else None
        fault = ActivityFault.NONE if struck is None else _ACTIVITY[struck[0]]
        runs = fault is not ActivityFault.CRASH_BEFORE
        self._hooks.alone, self._hooks.symbol = runs and name in OF_ONE_SYMBOL, ""
        return fault

    def delivery(self, name: str) -> Delivery:
        self._hooks.activity = ""
        if self._hooks.zombie:
            self._hooks.die(name)
        struck = self._hooks.draw(f"report-{name}", "report")
        if struck is None:
            return Delivery()
        fault, draw = struck
        delay = draw.choice((500, 3_000, 12_000, 40_000)) if "late" in fault else 0
        self._hooks.disturbed(self._hooks.clock.now_ms() + delay)
        return Delivery(2 if "double" in fault else 1, delay)


class EventFaults:
    """Batches delivered twice, late or in another order."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def plan(
        self, hub: str, group: str, partition: int, events: Sequence[StoredEvent]
    ) -> Sequence[EventDelivery]:
        struck = self._hooks.draw(f"deliver-{hub}", "events")
        if struck is None:
            return (EventDelivery(events),)
        fault, draw = struck
        if fault == "late":
            return (EventDelivery(events, draw.uniform(0.5, 30.0)),)
        batch = list(events)
        draw.shuffle(batch)
        if fault == "shuffle":
            return (EventDelivery(batch),)
        return (EventDelivery(events), EventDelivery(batch, draw.uniform(0.0, 20.0)))
