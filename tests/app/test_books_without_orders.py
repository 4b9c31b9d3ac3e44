"""A trade ends while the exchange tells of no order by its id."""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import GET_ORDER, UNAVAILABLE

D = Decimal


@pytest.mark.parametrize(("move", "why"), [(-0.03, "stop"), (0.05, "take profit")])
def test_its_result_is_booked_all_the_same(open_floor, move, why):
    """What is known of the entry is final: only its fills are needed, and they are told."""
    floor = open_floor({"BTCUSDT": [(2, 0), (4, move), (60, move)]})
    floor.trade()
    floor.run(60)
    fault = floor.break_next(GET_ORDER, UNAVAILABLE, times=10**6)
    floor.minutes(8)
    assert not floor.held()
    (trade,) = floor.trades()
    assert trade["exitReason"] == why
    assert floor.services.ledger.read().day_realized_pnl == D(trade["netPnl"]) != 0
    assert floor.leaked() == ({}, [])
    fault.times = 0
    floor.minutes(2)
    assert len(floor.trades()) == 1
