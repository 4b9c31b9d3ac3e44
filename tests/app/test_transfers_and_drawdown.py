"""Money paid in or out while the drawdown is measured: neither hides it nor makes it up."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from desk import Floor
from test_triggers import clear, lose, trigger

from shared.market.timeframe import DAY_MS

D = Decimal


def transfer(floor: Floor, amount: str) -> None:
    floor.venue.transfer(floor.account, D(amount))


def after_sweep(floor: Floor) -> None:
    """Just after a round that explains balances: the next one is almost five minutes away."""
    floor.run(300 - floor.clock.now_ms() / 1000 % 300 + 20)


def test_a_deposit_on_the_way_down_keeps_no_drawdown_from_latching(open_floor):
    """Once the switch was cleared, a peak above the ledger's is taken for one of before that."""
    floor = open_floor()
    floor.minutes(12)
    lose(floor, "600")
    floor.minutes(2)
    assert trigger(floor) == "max_drawdown"
    assert clear(floor) == 200
    floor.minutes(16)
    after_sweep(floor)
    assert floor.services.ledger.read().balance is not None
    lose(floor, "300")
    transfer(floor, "1000")
    floor.minutes(1)
    lose(floor, "520")  # 10.2 % of what the ledger knows, 15.2 % of what there was
    floor.run(70)
    assert trigger(floor) == "max_drawdown"
    assert "evidence-refused" not in floor.alerts()


def test_a_withdrawal_beside_a_small_unexplained_difference_is_no_drawdown(open_floor):
    floor = open_floor()
    floor.expected = {8}
    floor.minutes(12)
    assert floor.services.ledger.read().balance is not None
    # In no line of the history, and too little to stop for.
    floor.account.cross_wallet -= D("0.50")
    transfer(floor, "-1000")
    floor.minutes(40)
    assert trigger(floor) is None
    assert floor.services.ledger.read().equity_peak == 4000


def test_a_deposit_beside_a_small_unexplained_difference_hides_no_drawdown(open_floor):
    floor = open_floor()
    floor.expected = {8}
    floor.minutes(12)
    lose(floor, "450")
    floor.account.cross_wallet -= D("0.50")
    transfer(floor, "1000")
    floor.minutes(25)
    assert floor.services.ledger.read().balance.odd_since == 0
    lose(floor, "150")  # 10.0 % of 6000
    floor.minutes(6)
    assert trigger(floor) == "max_drawdown"


def test_a_withdrawal_after_a_quiet_year_is_no_drawdown(open_floor):
    """The history since the last booked line is 500 days long: more than a minute's weight, and
    the exchange keeps three months of it."""
    floor = open_floor()
    floor.minutes(75)  # what was paid in at first is over an hour old
    ledger = floor.services.ledger
    mark = ledger.read().balance
    quiet = msgspec.structs.replace(mark, cursor=mark.cursor - 500 * DAY_MS)
    ledger.settle_balance(mark, quiet)
    floor.minutes(6)
    transfer(floor, "-1000")
    floor.minutes(7)
    assert trigger(floor) is None
    assert ledger.read().equity_peak == 4000


@pytest.mark.parametrize("cleared", [False, True], ids=["first start", "cleared"])
def test_a_withdrawal_in_the_first_minutes_is_no_drawdown(open_floor, cleared):
    """Whoever has cleared a drawdown may well take the rest away."""
    floor = open_floor()
    if cleared:
        floor.minutes(12)
        lose(floor, "600")
        floor.minutes(4)
        assert trigger(floor) == "max_drawdown"
        after_sweep(floor)
        floor.run(45)
        assert clear(floor) == 200
    else:
        after_sweep(floor)
        floor.run(45)
        floor.services.ledger.rebase_peak()
    floor.run(70)
    transfer(floor, "-1000")
    floor.minutes(12)
    assert trigger(floor) is None
