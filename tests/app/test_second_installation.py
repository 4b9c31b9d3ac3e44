"""Two installations on one account, by mistake or for a moment while one replaces the other: their
orders look alike, and neither has the other's records."""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import Floor
from test_guardian_rounds import later

from shared.execution import flatten, orphans
from shared.execution.ids import client_id
from shared.execution.reconcile import reconcile
from shared.simulation.orders import NewAlgoOrder

D = Decimal


def theirs(floor: Floor) -> str:
    """The other one's position with its stop."""
    floor.expected = {1, 2, 3, 4, 7, 8}
    floor.trade_by_hand("ETHUSDT", "BUY", "0.1")
    id_ = client_id("other", "decision", "s")
    floor.venue.place_algo_order(
        floor.account,
        NewAlgoOrder(
            client_algo_id=id_,
            symbol="ETHUSDT",
            side="SELL",
            type="STOP_MARKET",
            trigger_price=D(2400),
            quantity=D("0.1"),
            reduce_only=True,
        ),
    )
    return id_


def test_a_stop_of_the_other_one_is_no_orphan(open_floor):
    """Its position is opened between the look at the positions and the one at the orders."""
    floor = open_floor(durable=False)
    before = {p.symbol for p in floor.desk.exchange.positions()}
    theirs(floor)
    later(floor)
    algos = floor.desk.exchange.open_algo_orders()
    assert orphans.cancel(floor.desk, algos, before, ()) == 0
    reconcile(floor.desk)
    assert len(floor.stops("ETHUSDT")) == 1


@pytest.mark.parametrize("held", [True, False])
def test_nor_does_it_go_with_what_is_left_of_a_trade(open_floor, held):
    floor = open_floor(durable=False)
    theirs(floor)
    later(floor)
    if not held:
        floor.trade_by_hand("ETHUSDT", "SELL", "0.1")
    assert flatten.cancel_leftovers(floor.desk, "ETHUSDT", "mine") == (0 if held else 1)
    assert len(floor.stops("ETHUSDT")) == (1 if held else 0)
