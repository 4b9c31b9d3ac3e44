"""A state store of which operations fail, and what every outage must leave behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from desk import Floor

from local.clock import VirtualClock
from local.exchange.faults import ApiRequest
from shared.errors import StoreUnavailable
from shared.execution import entry
from shared.storage.sqlite import SqliteStore
from shared.storage.store import Store

D = Decimal
FULL = D("0.004")
CANCEL_ALGO = ("DELETE", "/fapi/v1/algoOrder")
CANCEL_ALL_ALGOS = ("DELETE", "/fapi/v1/algoOpenOrders")


class Outage:
    """A state store of which operations fail: those for which ``fails`` says so."""

    OPERATIONS = frozenset({"get", "query", "create", "replace", "patch", "delete"})

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._inner: Store = SqliteStore(":memory:", clock=clock)
        self.fails: Callable[[], bool] = lambda: False
        #: Which of the operations, by their arguments.
        self.concerns: Callable[..., bool] = lambda *arguments: True
        #: Called once an operation is done, before it is answered.
        self.after: Callable[[str, tuple[Any, ...]], None] = lambda name, arguments: None

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name not in self.OPERATIONS:
            return value

        def operation(*arguments: Any, **named: Any) -> Any:
            if self.fails() and self.concerns(*arguments):
                raise StoreUnavailable("the store is down")
            result = value(*arguments, **named)
            self.after(name, arguments)
            return result

        return operation


def floor_with(open_floor: Any, **named: Any) -> tuple[Floor, Outage]:
    made: list[Outage] = []

    def store(clock: VirtualClock) -> Any:
        made.append(Outage(clock))
        return made[0]

    return open_floor(store=store, **named), made[0]


def down_from_fill(floor: Floor, outage: Outage, seconds: float) -> None:
    """Once the entry is executed nothing of the store works for some seconds."""

    def after(method: str, url: str) -> None:
        if (method, "order") == (method.upper(), url.split("?")[0].rsplit("/", 1)[-1]) and (
            floor.fills() and method.upper() == "POST"
        ):
            until = floor.clock.now_ms() + round(seconds * 1000)
            outage.fails = lambda: floor.clock.now_ms() < until
            floor.session.after = lambda method, url: None

    floor.session.after = after


def intents(floor: Floor) -> Counter[str]:
    return Counter(body["clientOrderId"] for body in floor.audit("intent"))


def assert_all_recorded(floor: Floor) -> None:
    """Each order of ours has one record and one intent, whenever they came."""
    told = intents(floor)
    records = {body["id"]: body for body in floor.documents("orders")}
    seen = [o.client_order_id for o in floor.orders()]
    seen += [a.client_algo_id for a in floor.account.algos.values()]
    assert seen
    for id_ in seen:
        assert told[id_] == 1, id_
        assert records[id_]["state"] in ("open", "filled", "cancelled")


def closes(request: ApiRequest) -> bool:
    return b"reduceOnly=true" in request.body


def assert_the_dead_stayed_dead(floor: Floor) -> None:
    """No order has an id of which our records say that it was never executed."""
    assert "order-contradiction" not in floor.alerts()
    dead = [
        body["id"]
        for body in floor.documents("orders")
        if body["leg"] == "x" and body["state"] in ("not_sent", "rejected")
    ]
    assert dead, "a close could not be sent, and that was written down"
    assert not {o.client_order_id for o in floor.orders()}.intersection(dead)


def concerning(container: str, first: object, *arguments: object) -> bool:
    return first == container


def approve(floor: Floor, signal: Any) -> None:
    from shared.execution import assess

    assert assess.assess(floor.desk, signal.symbol, signal.id).outcome == "approved"


def intents_of(floor: Floor, outage: Outage) -> Counter[str]:
    """The audit as it is, although the store is down for the application."""
    fails, outage.fails = outage.fails, lambda: False
    try:
        return intents(floor)
    finally:
        outage.fails = fails


def opened(floor: Floor, *symbols: str) -> None:
    for symbol in symbols:
        signal = floor.signal(symbol)
        approve(floor, signal)
        assert entry.open_position(floor.desk, symbol, signal.id).status == "protected"


def assert_nothing_open(floor: Floor) -> None:
    for symbol in floor.venue.symbols:
        assert not floor.held(symbol)
        assert not floor.algos(symbol)
