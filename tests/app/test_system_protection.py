"""The venue throttles everything that may open something (-1008); what reduces goes through."""

from __future__ import annotations

from decimal import Decimal

from desk import Floor
from test_guardian_rounds import FULL, cancel, later, opened

from local.exchange.faults import overload
from shared.execution import assess, emergency, entry
from shared.execution.guardian import guard

D = Decimal


def protected(open_floor) -> Floor:
    """An open, protected position on a venue that is now under protection."""
    floor = open_floor(durable=False)
    opened(floor)
    later(floor)
    floor.faults.add(overload())
    return floor


def test_nothing_is_opened_and_nothing_is_left_behind(open_floor):
    floor = open_floor(durable=False)
    floor.faults.add(overload())
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    entry.open_position(floor.desk, "BTCUSDT", signal.id)
    later(floor, 120)
    guard(floor.desk)
    assert floor.orders() == []
    assert floor.held() == 0
    assert floor.leaked() == ({}, [])


def test_a_missing_stop_is_replaced(open_floor):
    floor = protected(open_floor)
    cancel(floor, "STOP_MARKET")
    assert guard(floor.desk).repaired == 1
    assert [s.quantity for s in floor.stops()] == [FULL]


def test_an_emergency_stop_closes_everything(open_floor):
    floor = protected(open_floor)
    emergency.latch(floor.desk, "manual", {}, "test")
    assert emergency.flatten_account(floor.desk, "test").flat
    emergency.settle_all(floor.desk)
    assert floor.held() == 0
    assert floor.algos() == []
