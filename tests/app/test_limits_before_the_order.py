"""What has happened between a decision and its order: the day's limits hold for it as well."""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import Floor

from shared.execution import assess, entry

D = Decimal


@pytest.mark.parametrize("by", ["trade", "equity"])
def test_no_order_is_sent_once_the_day_has_cost_its_limit(open_floor, by):
    """A person has 25 s to approve, and a market can take every stop there is in that time."""
    floor: Floor = open_floor(durable=False)
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    ledger, limit = floor.services.ledger, floor.services.limits.max_daily_loss
    if by == "trade":
        ledger.close("another", net_pnl=-limit, at=floor.clock.now_ms())
    else:
        ledger.update_equity(ledger.read().equity - limit)
    result = entry.open_position(floor.desk, "BTCUSDT", signal.id)
    assert result.status == "declined"
    assert "lost today" in result.reason
    assert floor.entries() == []
    assert floor.leaked() == ({}, [])
