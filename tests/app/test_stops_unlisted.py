"""A stop that vanishes while the exchange does not list conditional orders."""

from __future__ import annotations

import pytest
from desk import GET_ALGO, NOT_FOUND, OPEN_ALGOS, UNAVAILABLE
from watched import ALWAYS, QUIET, end

from shared.execution.guardian import guard


@pytest.mark.parametrize("status", ["EXPIRED", "CANCELED", "REJECTED"])
def test_it_is_back_within_seconds(open_floor, status):
    """Its own id tells that it is over; the floor judges the five seconds."""
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    floor.trade()
    floor.run(50)
    (before,) = floor.stops()
    floor.break_next(OPEN_ALGOS, UNAVAILABLE, times=10**6)
    end(floor, status)
    assert not floor.stops()
    floor.run(5)
    (stop,) = floor.stops()
    assert (stop.trigger_price, stop.quantity) == (before.trigger_price, before.quantity)
    floor.run(60)
    assert len(floor.stops()) == 1
    assert floor.held()


def test_the_guardian_sees_it_by_itself(open_floor):
    floor = open_floor({"BTCUSDT": QUIET, "ETHUSDT": QUIET})
    floor.expected = {4}  # nobody looks for a minute
    for symbol in ("BTCUSDT", "ETHUSDT"):
        floor.trade(symbol)
    floor.run(30)
    sound = floor.stops("ETHUSDT")
    floor.break_next(OPEN_ALGOS, UNAVAILABLE, times=10**6)
    end(floor, "EXPIRED")
    guard(floor.desk)
    assert len(floor.stops()) == 1
    assert floor.stops("ETHUSDT") == sound


def test_a_stop_that_nobody_finds_is_not_taken_for_gone(open_floor):
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    floor.trade()
    floor.run(30)
    before = floor.stops()
    floor.break_next(OPEN_ALGOS, UNAVAILABLE, times=10**6)
    floor.break_next(GET_ALGO, NOT_FOUND, times=10**6)
    floor.run(60)
    assert floor.stops() == before
    assert floor.held()
