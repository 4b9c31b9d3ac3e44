"""A restricted window, as an instance sees it whose clock is wrong."""

from __future__ import annotations

import msgspec
import pytest
from test_clock_ahead import wrong
from test_violations import event

from shared.clock import iso
from shared.compliance.calendar import NewEvent, add
from shared.execution import assess
from shared.market.timeframe import MINUTE_MS


@pytest.mark.parametrize("minutes", [-60, 60])
def test_a_wrong_clock_opens_nothing_in_a_restricted_window(open_floor, minutes):
    floor = open_floor(durable=False)
    now = iso(floor.clock.now_ms())
    fields = {"at": now, "beforeMinutes": 10, "afterMinutes": 10}
    add(floor.desk, msgspec.convert(event(floor, **fields), NewEvent))
    wrong(floor, minutes * MINUTE_MS)
    decision = assess.assess(floor.desk, "BTCUSDT", floor.signal().id)
    assert decision.outcome == "declined"
    assert decision.reasons == ("restricted_window",)
