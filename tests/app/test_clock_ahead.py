"""Our machine's clock is ahead of the exchange's: requests are signed right all the same, so
trading goes on, and nothing that compares the two times may believe too much."""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import POSITIONS, Floor
from test_guardian_rounds import FULL, later

from local.exchange.faults import ApiResponse
from shared.bootstrap import Services
from shared.execution import assess, entry, latecomers
from shared.execution.guardian import guard
from shared.portfolio import positions

D = Decimal
FALL = {"BTCUSDT": [(2, 0), (6, -0.03)]}


class Ahead:
    """A clock that goes right and tells the wrong time."""

    def __init__(self, clock, ms: int) -> None:
        self._clock, self._ms = clock, ms

    def now_ms(self) -> int:
        return self._clock.now_ms() + self._ms

    def steady_ms(self) -> int:
        return self._clock.steady_ms()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)

    def set_by(self, ms: int) -> None:
        """Somebody sets it: by so many milliseconds."""
        self._ms += ms


def wrong(floor: Floor, ms: int) -> None:
    clock = Ahead(floor.clock, ms)
    floor.services = Services(
        floor.settings, clock=clock, store=floor.store, exchange_session=floor.session
    )


def enter(floor: Floor) -> str:
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    return entry.open_position(floor.desk, "BTCUSDT", signal.id).status


@pytest.mark.parametrize("ms", [2_000, 8_000, 60_000])
def test_a_trade_is_booked(open_floor, ms):
    floor = open_floor(FALL, durable=False)
    wrong(floor, ms)
    assert enter(floor) == "protected"
    later(floor, 390)
    assert floor.held() == 0
    guard(floor.desk)
    [trade] = floor.trades()
    assert trade["exitReason"] == "stop"
    assert floor.leaked() == ({}, [])


def test_a_position_that_is_shown_late_is_not_taken_for_one_that_is_gone(open_floor):
    floor = open_floor(durable=False)
    wrong(floor, 8_000)
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    nothing = ApiResponse(200, {"content-type": "application/json"}, b"[]")
    floor.break_next(POSITIONS, nothing, times=100, seconds=2.0)
    assert entry.open_position(floor.desk, "BTCUSDT", signal.id).status == "protected"
    assert [s.quantity for s in floor.stops()] == [FULL]


def test_a_late_fill_is_known_for_ours(open_floor):
    """The record of the trade is closed, and a position from its entry's order is there."""
    floor = open_floor(durable=False)
    floor.expected = {4, 8}
    wrong(floor, 8_000)
    assert enter(floor) == "protected"
    record, _ = positions.load(floor.store, "main", "BTCUSDT")
    positions.change(floor.store, record, state="closed")
    [held] = floor.desk.exchange.positions()
    assert latecomers.close(floor.desk, held)
    assert floor.held() == 0


def test_an_entry_of_a_clock_that_was_corrected_is_looked_after(open_floor):
    """Its instance died after the fill; what it wrote lies an hour ahead of everybody's time."""
    floor = open_floor(durable=False)
    floor.expected = {4}
    right = floor.services
    wrong(floor, 3_600_000)
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"

    def dies(method: str, url: str) -> None:
        if method == "POST" and url.endswith("/fapi/v1/order"):
            raise RuntimeError("the process ends")

    floor.session.after = dies
    with pytest.raises(RuntimeError):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    floor.session.after = lambda method, url: None
    floor.services = right
    later(floor)
    assert floor.held()
    guard(floor.desk)
    assert [s.quantity for s in floor.stops()] == [floor.held()]
