"""A post-only order whose answer is lost and that no view of the exchange shows.

It may rest there, and fill when nobody looks: it is ended before it is held for nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from desk import LOST, ORDER, Floor
from test_chased_entry import DIP, FLAT, begun, chasing, enter
from test_doubtful_entries import Behind
from test_unknown_outcomes import is_leg

from shared.execution import emergency
from shared.execution.absence import LOST_MS
from shared.execution.guardian import guard
from shared.simulation.settlement import settle

D = Decimal
WEIGHTS = {
    "/fapi/v3/positionRisk": 5,
    "/fapi/v1/userTrades": 5,
    "/fapi/v1/order": 1,
    "/fapi/v1/openOrders": 1,
}


class Asked:
    """What the application has asked for, with what that weighs."""

    def __init__(self, floor: Floor) -> None:
        self.floor, self.sent = floor, list[tuple[int, int]]()
        floor.session.before = self.before

    def before(self, method: str, url: str) -> None:
        path = url.split("?")[0].removeprefix("http://exchange.invalid")
        self.sent.append((self.floor.clock.now_ms(), WEIGHTS.get(path, 0)))

    def most(self, span: int = 60_000) -> int:
        """The largest weight of any such span, milliseconds."""
        return max(
            sum(weight for at, weight in self.sent if began <= at < began + span)
            for began, _ in self.sent
        )


def fill_all(floor: Floor, after: float) -> None:
    """The order that rests is filled so many seconds from now, whatever the price does."""
    when = floor.clock.now_ms() + round(after * 1000)
    before = floor.session.before

    def fill(method: str, url: str) -> None:
        before(method, url)
        resting = list(floor.account.working_orders("BTCUSDT"))
        if resting and floor.clock.now_ms() >= when:
            [order] = resting
            floor.api.advance()
            settle(floor.venue.core, floor.account, order, order.price, order.quantity, maker=True)

    floor.session.before = fill


def test_looking_for_it_leaves_the_weight_to_others(open_floor: Any) -> None:
    floor = chasing(open_floor, FLAT)
    floor.expected = {8}  # and is left open
    signal = begun(floor)
    floor.break_next(ORDER, LOST, executed=True, where=is_leg("e"))
    Behind(floor, 120)
    asked = Asked(floor)
    began = floor.clock.now_ms()
    assert enter(floor, signal).status == "unknown"
    assert floor.clock.now_ms() - began > 60_000
    assert asked.most() < 600


@pytest.mark.parametrize("seconds", [15.74, 20.92, 31.3, 47.7, 58.9])
def test_what_it_has_filled_has_its_stop_as_soon_as_it_shows(
    open_floor: Any, seconds: float
) -> None:
    floor = chasing(open_floor, FLAT)
    floor.expected = {4}  # nobody can see the position, so nobody can protect it
    signal = begun(floor)
    floor.break_next(ORDER, LOST, executed=True, where=is_leg("e"))
    behind = Behind(floor, seconds)
    fill_all(floor, 2)
    assert enter(floor, signal).status == "protected"
    [stop] = floor.stops()
    assert behind.until is not None
    # As soon as when everything was looked at each time.
    assert stop.create_time - behind.until <= 960
    assert stop.quantity == floor.held()


def test_it_is_ended_before_it_is_held_for_nothing(open_floor: Any) -> None:
    """Hidden for longer than any view is behind, with the price at its limit afterwards."""
    floor = chasing(open_floor, [(3, 0.0), *((at + 3, move) for at, move in DIP)])
    signal = begun(floor)
    floor.break_next(ORDER, LOST, executed=True, where=is_leg("e"))
    Behind(floor, 170)
    floor.desk.exchange.account()  # what it goes on showing
    assert enter(floor, signal).status == "unknown"
    while floor.clock.now_ms() - floor.entries()[0].time < LOST_MS + 60_000:
        floor.clock.sleep(10)
        floor.api.advance()
        guard(floor.desk)
    assert floor.leaked() == ({}, [])
    floor.clock.sleep(240)
    floor.api.advance()
    assert [o.status for o in floor.entries()] == ["CANCELED"]
    assert floor.fills() == []


def test_one_that_cannot_be_ended_is_held_for_nothing_by_nobody(open_floor: Any) -> None:
    floor = chasing(open_floor, FLAT)
    signal = begun(floor)
    floor.break_next(ORDER, LOST, executed=True, where=is_leg("e"))
    Behind(floor, 170)
    floor.desk.exchange.account()  # what it goes on showing
    refused = floor.break_next(("DELETE", "/fapi/v1/order"), LOST, times=10_000)
    assert enter(floor, signal).status == "unknown"
    for _ in range(3):
        floor.clock.sleep(60)
        floor.api.advance()
        guard(floor.desk)
    assert floor.leaked()[1] == [signal]
    floor.faults.rules.remove(refused)
    for _ in range(2):
        floor.clock.sleep(60)
        floor.api.advance()
        guard(floor.desk)
    assert [o.status for o in floor.entries()] == ["CANCELED"]
    assert floor.leaked() == ({}, [])


def test_what_shows_after_it_was_given_up_is_closed_within_seconds(open_floor: Any) -> None:
    """It had filled before it could be ended; the next round of the guardian is far."""
    floor = open_floor(settings={"ENTRY_STYLE": "post_only", "STOP_WATCH": "always"})
    floor.expected = {4}  # nobody can see the position, so nobody can protect it
    floor.run(20)
    floor.break_next(ORDER, LOST, executed=True, where=is_leg("e"))
    behind = Behind(floor, LOST_MS / 1000 + 75)
    fill_all(floor, 2)
    floor.trade()
    floor.run(LOST_MS / 1000 + 70)
    assert behind.until is not None
    assert floor.held()
    assert floor.leaked() == ({}, [])
    floor.run((behind.until - floor.clock.now_ms()) / 1000 + 6)
    assert floor.held() == 0
    floor.minutes(2)
    assert len(floor.trades()) == 1
    assert "late-fill" in floor.alerts()


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "not answered"])
def test_an_emergency_stop_is_not_over_before_it_is_ended(open_floor: Any, answered: bool) -> None:
    """Its permit is old enough to have come to nothing, and the account looks flat."""
    floor = chasing(open_floor, FLAT)
    floor.expected = {8}  # its record is left to the guardian
    signal = begun(floor)
    floor.break_next(ORDER, LOST, executed=True, where=is_leg("e"))
    Behind(floor, 300)
    floor.desk.exchange.account()  # what it goes on showing
    refused = floor.break_next(("DELETE", "/fapi/v1/order"), LOST, times=10_000)
    assert enter(floor, signal).status == "unknown"
    emergency.latch(floor.desk, "manual", {}, "test")
    floor.watch.latched_at = floor.clock.now_ms()
    if answered:
        floor.faults.rules.remove(refused)
    result = emergency.flatten_account(floor.desk, "test")
    assert result.flat == answered
    assert [o.status for o in floor.entries()] == ["CANCELED" if answered else "NEW"]
    floor.faults.rules.clear()
    assert emergency.flatten_account(floor.desk, "test", 1).flat
    assert [o.status for o in floor.entries()] == ["CANCELED"]
