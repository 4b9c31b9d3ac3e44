"""Somebody looks without end: refused in time, and entries and exits have what they need."""

from __future__ import annotations

import json

import pytest
from desk import Floor

from local.contracts import Response

PATHS = ("/api/positions", "/api/risk", "/api/status")
#: A minute's weight, and what looking may use of it.
WEIGHT, VIEWS = 2400, 1200


def look_until_refused(floor: Floor, *paths: str) -> Response:
    """Ask them in turns until every one of them is refused; the last refusal."""
    for _ in range(WEIGHT):
        answers = [floor.http("GET", path) for path in paths]
        assert {a.status for a in answers} <= {200, 429}, [a.body for a in answers]
        if all(a.status == 429 for a in answers):
            return answers[-1]
    raise AssertionError("never refused")


def used(floor: Floor) -> int:
    return floor.services.exchange.budget.used()["weight_1m"]


def test_looking_without_end_leaves_entries_and_exits_their_weight(open_floor):
    floor = open_floor()
    floor.trade("ETHUSDT", "SELL")
    floor.run(10)
    error = json.loads(look_until_refused(floor, *PATHS).body)["error"]
    assert error["kind"] == "ExchangeThrottled"
    assert "rate budget for view is used up" in error["message"]
    assert VIEWS - 40 < used(floor) <= VIEWS
    # In the same minute: an entry opens and is protected, and a stop closes everything.
    began = floor.clock.now_ms() // 60_000
    signal = floor.trade()
    floor.run(5)
    assert floor.outcome(signal)["outcome"] == "protected"
    assert floor.stops()
    look_until_refused(floor, *PATHS)
    stop = floor.http("POST", "/api/emergency-stop", {})
    assert stop.status == 202
    floor.watch.latched_at = floor.clock.now_ms()
    floor.run(5)
    assert floor.clock.now_ms() // 60_000 == began
    assert not floor.held()
    assert not floor.held("ETHUSDT")
    assert not floor.algos()
    assert floor.workflow(json.loads(stop.body)["workflow"])["output"]["flat"]
    # What needs no look goes on being answered, and a minute later so does a look.
    assert floor.http("GET", "/api/dashboard").status == 200
    floor.run(61)
    assert [floor.http("GET", path).status for path in PATHS] == [200, 200, 200]


def test_a_desk_for_looking_sends_nothing(open_floor):
    from shared.errors import ExchangeRejected

    floor = open_floor()
    floor.trade()
    floor.run(10)
    desk = floor.services.viewing_desk()
    assert [p.symbol for p in desk.exchange.positions()] == ["BTCUSDT"]
    with pytest.raises(ExchangeRejected, match="this only looks"):
        desk.exchange.cancel_all_algo_orders("BTCUSDT")
    assert floor.stops()
    own = floor.services
    for acting in (own.desk(), own.exit_desk()):
        assert acting.exchange is own.exchange
        # A decision that waits while a look asks has the answer that the look has.
        assert acting.histories._exchange is own.exchange
    assert own.watched_candles._exchange is own.exchange
