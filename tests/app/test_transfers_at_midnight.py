"""Money paid in or out around midnight is no part of either day's result."""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import MIDNIGHT, Floor
from test_triggers import lose

from shared.execution import guardian
from shared.market.timeframe import DAY_MS

D = Decimal
#: Seconds from midnight at which money is paid in or out; rounds are at whole minutes.
MOMENTS = [-330, -90, -30, 30, 330]


def at(floor: Floor, seconds: int) -> None:
    floor.clock.advance_to(MIDNIGHT + DAY_MS + seconds * 1000)
    floor.api.advance()


@pytest.mark.parametrize("seconds", MOMENTS)
@pytest.mark.parametrize("amount", ["-500", "1000"], ids=["out", "in"])
def test_a_transfer_is_in_no_days_loss(open_floor, seconds, amount):
    floor = open_floor(durable=False)
    floor.expected = {8}
    paid = False
    for minute in range(-20, 21):
        if not paid and minute * 60 > seconds:
            at(floor, seconds)
            floor.venue.transfer(floor.account, D(amount))
            paid = True
        at(floor, minute * 60)
        guardian.guard(floor.desk)
    ledger = floor.services.ledger
    assert ledger.read().balance is not None
    assert ledger.read().day_loss == 0
    lose(floor, "20")
    floor.clock.sleep(60)
    guardian.guard(floor.desk)
    assert ledger.read().day_loss == 20
    assert ledger.read().day_start_equity == 5000 + D(amount)
