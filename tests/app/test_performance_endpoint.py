"""GET /api/performance on the embedded platform."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from desk import Floor

from shared.market.timeframe import DAY_MS
from shared.portfolio.trades import Trade

Open = Callable[..., Floor]


def asked(floor: Floor, query: str = "") -> dict[str, Any]:
    answer = floor.http("GET", f"/api/performance{query}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def test_figures_are_those_of_the_stored_trades(open_floor: Open) -> None:
    floor = open_floor()
    assert asked(floor)["notes"] == ["no trade was closed in this period"]
    floor.trade()
    floor.minutes(2)
    assert floor.http("POST", "/api/emergency-stop", {"operator": "ada"}).status == 202
    floor.run(30)
    (closed,) = json.loads(floor.http("GET", "/api/trades").body)["trades"]
    found = asked(floor)
    assert found["account"] == "main"
    assert found["venue"] == "simulated"
    assert found["trading"]["netPnl"] == closed["netPnl"]
    assert found["trading"]["fees"] == closed["fees"]
    status = json.loads(floor.http("GET", "/api/status").body)
    assert Decimal(found["endEquity"]) == Decimal(status["walletBalance"])
    start = Decimal(found["endEquity"]) - Decimal(closed["netPnl"])
    assert Decimal(found["startEquity"]) == start

    # What was made on another venue was made with other money.
    other = {**closed, "id": "other", "venue": "production", "netPnl": "1000"}
    floor.services.store.create("trades", other)
    assert asked(floor)["trading"] == found["trading"]
    # Before and after the trade there is none; the wallet is told as it was then.
    day = closed["closedAt"] // DAY_MS * DAY_MS
    earlier = asked(floor, f"?to={desk_date(day)}")
    assert earlier["trading"]["trades"] == 0
    assert Decimal(earlier["endEquity"]) == start
    assert msgspec.convert(closed, Trade).venue == "simulated"


def desk_date(ms: int) -> str:
    from shared.clock import iso

    return iso(ms)[:10]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?from=yesterday", "from is 'yesterday'"),
        ("?to=0001-01-01", "a year from 1970"),
        ("?from=2026-01-02&to=2026-01-01", "is not before"),
    ],
)
def test_a_period_that_is_none_is_refused(open_floor: Open, query: str, says: str) -> None:
    floor = open_floor()
    answer = floor.http("GET", f"/api/performance{query}")
    assert answer.status == 400
    assert says in json.loads(answer.body)["error"]["message"]
    assert floor.http("GET", "/api/performance", key=False).status == 401
