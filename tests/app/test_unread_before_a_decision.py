"""A decision that could not be taken says what could not be read."""

from __future__ import annotations

import pytest
from desk import ACCOUNT, POSITIONS, UNAVAILABLE

from shared.errors import ExchangeUnavailable
from shared.execution import assess

UNREAD = {
    "the account's balances": ACCOUNT,
    "the positions": POSITIONS,
    "the mark price": ("GET", "/fapi/v1/premiumIndex"),
    "the order book": ("GET", "/fapi/v1/ticker/bookTicker"),
}


@pytest.mark.parametrize("what", UNREAD)
def test_what_could_not_be_read_is_named(open_floor, what):
    floor = open_floor(durable=False)
    signal = floor.signal()
    floor.break_next(UNREAD[what], UNAVAILABLE, times=1000)
    with pytest.raises(ExchangeUnavailable):
        assess.assess(floor.desk, "BTCUSDT", signal.id)
    (alert,) = [a for a in floor.documents("alerts") if a["kind"] == "snapshot-failed"]
    assert alert["title"] == f"BTCUSDT: no decision, {what} could not be read"
