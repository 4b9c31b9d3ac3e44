"""The day's limits at the end of the day, with a clock that is already in the next one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import MIDNIGHT, Floor
from test_clock_ahead import wrong

from shared.execution import assess, guardian
from shared.market.timeframe import DAY_MS, MINUTE_MS

D = Decimal


def evening(floor: Floor) -> None:
    """Five minutes to midnight, and the day's loss has reached its limit."""
    floor.clock.advance_to(MIDNIGHT + DAY_MS - 5 * MINUTE_MS)
    floor.api.advance()
    guardian.guard(floor.desk)
    now = floor.clock.now_ms()
    loss = floor.services.limits.max_daily_loss
    floor.services.ledger.close("earlier", net_pnl=-loss, at=now)


@pytest.mark.parametrize("who", ["itself", "another"])
def test_a_clock_that_is_ahead_begins_no_new_day_with_new_limits(open_floor, who):
    floor = open_floor(durable=False)
    evening(floor)
    right = floor.services
    wrong(floor, 10 * MINUTE_MS)
    guardian.guard(floor.desk)
    if who == "another":
        floor.services = right
    decision = assess.assess(floor.desk, "BTCUSDT", floor.signal().id)
    assert decision.outcome == "declined"
    assert any(r.startswith(("ledger_day", "daily_loss")) for r in decision.reasons)


def test_the_next_day_has_limits_of_its_own(open_floor):
    floor = open_floor(durable=False)
    evening(floor)
    assert assess.assess(floor.desk, "BTCUSDT", floor.signal().id).outcome == "declined"
    floor.clock.advance_to(MIDNIGHT + DAY_MS + 1_000)
    floor.api.advance()
    assert assess.assess(floor.desk, "BTCUSDT", floor.signal().id).outcome == "approved"
    for decision in list(floor.services.ledger.read().entries):
        floor.services.ledger.release(decision)
