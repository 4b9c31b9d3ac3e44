"""What the account was worth before its trades does not depend on what is open now."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from desk import START, Floor

D = Decimal
MINUTE = 60_000

#: Symbol and side of trades with the minute they begin at, paths, funding, minute of the look.
OPEN_NOW = {
    "a first trade": ({"BTCUSDT": []}, [(0, "BTCUSDT", "BUY")], {}, 2),
    "another after one that was closed": (
        {"BTCUSDT": [(3, 0), (8, -0.03)], "ETHUSDT": []},
        [(0, "BTCUSDT", "BUY"), (15, "ETHUSDT", "SELL")],
        {},
        18,
    ),
    "the same symbol again, at once": (
        {"BTCUSDT": [(1, 0), (4, 0.06), (60, 0.06)]},
        [(0, "BTCUSDT", "BUY"), (5, "BTCUSDT", "BUY")],
        {},
        6,
    ),
    "funding was paid": (
        {"BTCUSDT": []},
        [(0, "BTCUSDT", "BUY")],
        {"BTCUSDT": [(START + 90 * MINUTE, 0.0005)]},
        92,
    ),
}


def asked(floor: Floor, what: str) -> Any:
    answer = floor.http("GET", f"/api/{what}")
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


@pytest.mark.parametrize("case", OPEN_NOW)
def test_an_open_position_changes_nothing_of_the_past(open_floor, case):
    moves, opened, funding, look = OPEN_NOW[case]
    floor = open_floor(moves, funding=funding)
    at = 0
    for minute, symbol, side in opened:
        floor.minutes(minute - at)
        at = minute
        floor.trade(symbol, side)
    floor.minutes(look - at)
    closed = asked(floor, "trades")["trades"]
    assert len(closed) == len(opened) - 1
    assert len(asked(floor, "positions")["positions"]) == 1
    booked = D(asked(floor, "status")["walletBalance"]) - D(5000)
    assert booked != sum((D(t["netPnl"]) for t in closed), D(0)), "the open one has cost something"

    curve, told = asked(floor, "equity")["points"], asked(floor, "performance")
    assert D(curve[0][1]) == D(5000)
    assert D(told["startEquity"]) == D(5000)
    assert D(told["endEquity"]) == 5000 + sum((D(t["netPnl"]) for t in closed), D(0))

    floor.http("POST", "/api/emergency-stop", {"reason": "to see it flat"})
    floor.minutes(1)
    assert len(asked(floor, "trades")["trades"]) == len(opened)
    after = asked(floor, "equity")["points"]
    # The last point is "now", the one before it the trade that has just been closed.
    assert after[: len(curve) - 1] == curve[:-1] if closed else D(after[0][1]) == D(5000)
    assert D(asked(floor, "performance")["startEquity"]) == D(5000)
