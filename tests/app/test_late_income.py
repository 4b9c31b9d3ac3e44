"""An income history that is behind: what a trade is booked with."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from desk import START, Floor

from local.exchange.faults import ApiRequest
from shared.market.timeframe import MINUTE_MS
from shared.simulation.venue import MAIN

D = Decimal
INCOME = ("GET", "/fapi/v1/income")


def behind(floor: Floor, seconds: float) -> None:
    """The history shows nothing that is younger than this."""
    original = floor.faults.after

    def after(request: ApiRequest, response: Any) -> Any:
        if (request.method, request.path) != INCOME or response.status != 200:
            return original(request, response)
        until = floor.clock.now_ms() - round(seconds * 1000)
        rows = [row for row in json.loads(response.body) if row["time"] <= until]
        return type(response)(200, response.headers, json.dumps(rows).encode())

    floor.faults.after = after  # type: ignore[method-assign]


def test_funding_that_the_history_shows_late_is_part_of_the_trade(open_floor):
    """Settled in the fourth minute, the stop reached within the same one."""
    floor = open_floor(
        {"BTCUSDT": [(3.9, 0), (4.4, -0.03), (60, -0.03)]},
        funding={"BTCUSDT": [(START + 4 * MINUTE_MS, 0.01)]},
    )
    behind(floor, 45)
    floor.trade()
    floor.minutes(8)
    assert not floor.held()
    (trade,) = floor.trades()
    booked = [i for i in floor.venue.ledger(MAIN).income if i.kind == "FUNDING_FEE"]
    assert len(booked) == 1
    assert D(trade["funding"]) == booked[0].amount < 0
