"""A trade ends while the exchange tells of no order by its id, or lists no conditional ones."""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import GET_ORDER, OPEN_ALGOS, UNAVAILABLE

D = Decimal


@pytest.mark.parametrize("what", [GET_ORDER, OPEN_ALGOS], ids=["single", "conditional"])
@pytest.mark.parametrize(("move", "why"), [(-0.03, "stop"), (0.05, "take profit")])
def test_its_result_is_booked_all_the_same(open_floor, what, move, why):
    """What is known of the entry is final, and what is left of the bracket is known by its ids:
    only the fills are needed, and they are told."""
    floor = open_floor({"BTCUSDT": [(2, 0), (4, move), (60, move)]})
    floor.trade()
    floor.run(60)
    fault = floor.break_next(what, UNAVAILABLE, times=10**6)
    floor.minutes(8)
    assert not floor.held()
    (trade,) = floor.trades()
    assert trade["exitReason"] == why
    assert floor.services.ledger.read().day_realized_pnl == D(trade["netPnl"]) != 0
    assert floor.leaked() == ({}, [])
    assert not floor.algos()
    fault.times = 0
    floor.minutes(2)
    assert len(floor.trades()) == 1
