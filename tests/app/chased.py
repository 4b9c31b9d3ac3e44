"""An entry that rests post-only, what happens to it meanwhile, and what its end must show."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from desk import Floor

from shared.execution import assess, emergency, entry
from shared.execution.entry import EntryResult
from shared.execution.guardian import guard
from shared.execution.reconcile import reconcile
from shared.simulation.orders import Order
from shared.simulation.settlement import settle

D = Decimal
CANCEL = ("DELETE", "/fapi/v1/order")
FLAT = [(60, 0.0)]
#: A dip that reaches a resting purchase within seconds, and back.
DIP = [(1, -0.004), (2, 0.0), (60, 0.0)]
#: Away from a resting purchase, but within the 0.2 % that the plan allows.
AWAY = [(1, 0.003), (60, 0.003)]
#: Beyond it.
GONE = [(1, 0.05), (60, 0.05)]


def chasing(open_floor: Callable[..., Floor], knots: Any, **settings: str) -> Floor:
    floor = open_floor(
        {"BTCUSDT": knots}, settings={"ENTRY_STYLE": "post_only", **settings}, durable=False
    )
    # The exchange moves the price of such a bar in its second third.
    floor.clock.sleep(20)
    floor.api.advance()
    return floor


def begun(floor: Floor, side: str = "BUY") -> str:
    """A decision, not executed yet."""
    signal = floor.signal("BTCUSDT", side)
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    return signal.id


def enter(floor: Floor, signal: str) -> EntryResult:
    return entry.open_position(floor.desk, "BTCUSDT", signal)


def planned(floor: Floor, signal: str) -> Decimal:
    decision = assess.load(floor.desk, "BTCUSDT", signal)
    assert decision is not None
    assert decision[1].plan is not None
    return decision[1].plan.quantity


def within_plan(floor: Floor, signal: str) -> Decimal:
    """What the entry's orders executed; together never more than was planned, never two open."""
    done = sum((o.executed for o in floor.entries()), D(0))
    assert done <= planned(floor, signal)
    assert not [o for o in floor.entries() if o.is_open]
    return done


def guarded(floor: Floor, quantity: Decimal) -> None:
    assert floor.held() == quantity
    assert sum(s.quantity for s in floor.stops()) >= quantity


def in_order(floor: Floor, rounds: int = 2) -> None:
    """After some rounds nothing is held for the entry but the position itself."""
    for _ in range(rounds):
        floor.clock.sleep(60)
        floor.api.advance()
        guard(floor.desk)
    reconcile(floor.desk)
    assert floor.services.kill_switch.outstanding_permits() == {}
    assert len(floor.services.ledger.read().entries) == bool(floor.held())
    assert len(floor.stops()) == bool(floor.held())


class Meanwhile:
    """Something happens to the account while an entry rests, at a request of the chase."""

    def __init__(self, floor: Floor, at: int, act: Callable[[Order], None]) -> None:
        self.looks = 0
        self.done = False

        def before(method: str, url: str) -> None:
            resting = list(floor.account.working_orders("BTCUSDT"))
            if method == "GET" and "/fapi/v1/order" in url and resting and not self.done:
                self.looks += 1
                if self.looks == at:
                    self.done = True
                    floor.api.advance()
                    act(resting[0])

        floor.session.before = before


def fill(floor: Floor, quantity: str) -> Callable[[Order], None]:
    """Part of a resting order executes."""

    def act(order: Order) -> None:
        core, account = floor.venue.core, floor.account
        settle(core, account, order, order.price, D(quantity), maker=True)

    return act


class Dead(Exception):
    """The process of the chase ends here."""


def stop_now(floor: Floor, *, closing: bool = True) -> None:
    evidence = {"operator": "t", "reason": "t", "at": floor.clock.now_ms()}
    emergency.latch(floor.desk, "manual", evidence, "emergency-1", closing=closing)


def die_at_look(floor: Floor, signal: str, at: int, part: str = "") -> None:
    """The chase's process ends at a look at its resting order; ``part`` had filled before."""
    looks = [0]

    def before(method: str, url: str) -> None:
        resting = list(floor.account.working_orders("BTCUSDT"))
        if method == "GET" and "/fapi/v1/order" in url and resting:
            looks[0] += 1
            if looks[0] == 2 and part:
                floor.api.advance()
                fill(floor, part)(resting[0])
            if looks[0] == at:
                raise Dead

    floor.session.before = before
    with pytest.raises(Dead):
        enter(floor, signal)
    floor.session.before = lambda method, url: None
