"""An emergency stop right after an entry: positions are shown a while after the fill."""

from __future__ import annotations

import json
from typing import Any

import pytest
from desk import ACCOUNT, OPEN_ALGOS, POSITIONS, Crash, Floor
from outage import approve
from watched import ALWAYS, QUIET

from local.exchange.faults import ApiRequest, ApiResponse
from shared.execution import emergency, entry

LAG_MS = 2_500


def lagging(floor: Floor) -> None:
    """Neither positions nor balances show what has filled within the last seconds."""
    true_answer = floor.faults.after

    def after(request: ApiRequest, response: ApiResponse) -> ApiResponse:
        response = true_answer(request, response)
        fills = floor.fills()
        old = not fills or floor.clock.now_ms() - fills[0].time > LAG_MS
        if (request.method, request.path) not in (POSITIONS, ACCOUNT) or old:
            return response
        body: Any = json.loads(response.body)
        body = [] if isinstance(body, list) else {**body, "positions": []}
        return ApiResponse(response.status, response.headers, json.dumps(body).encode())

    floor.faults.after = after  # type: ignore[method-assign]


@pytest.mark.parametrize("seconds", [0, 0.5, 1.5])
def test_the_account_is_not_called_flat_and_no_stop_is_taken_away(open_floor, seconds):
    """It was, and the position closed only when the guardian came by."""
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    lagging(floor)
    floor.run(22)  # the guardian has just been there
    floor.trade()
    while not floor.fills():
        floor.run(0.02)
    floor.run(seconds)
    assert floor.http("POST", "/api/emergency-stop", {}).status == 202
    for _ in range(10):
        floor.run(1)
        assert not floor.held() or floor.stops()
        assert not floor.held() or "emergency-flat" not in floor.alerts()
    assert not floor.held()
    assert "emergency-flat" in floor.alerts()
    assert not floor.algos()
    floor.minutes(2)
    assert len(floor.trades()) == 1


def test_nor_where_the_process_that_opened_it_has_died(open_floor):
    floor = open_floor({"BTCUSDT": QUIET}, durable=False)
    lagging(floor)
    signal = floor.signal()
    approve(floor, signal)

    def dies(method: str, url: str) -> None:
        if floor.fills():
            raise Crash

    floor.session.after = dies
    with pytest.raises(Crash):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    floor.session.after = lambda method, url: None
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.watch.latched_at = floor.clock.now_ms()
    assert not emergency.flatten_account(floor.desk, "stop").flat
    floor.clock.sleep(3)
    assert emergency.flatten_account(floor.desk, "stop", 1).flat
    assert not floor.held()
    emergency.settle_all(floor.desk)
    assert len(floor.trades()) == 1


@pytest.mark.parametrize("seconds", [0, 0.5, 1.5])
def test_nor_are_orders_left_that_are_not_listed_yet(open_floor, seconds):
    """Stop and target, placed just before: they stayed until the guardian found them."""
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    true_answer = floor.faults.after

    def after(request: ApiRequest, response: ApiResponse) -> ApiResponse:
        response = true_answer(request, response)
        fills = floor.fills()
        old = not fills or floor.clock.now_ms() - fills[0].time > LAG_MS
        if (request.method, request.path) != OPEN_ALGOS or old:
            return response
        return ApiResponse(response.status, response.headers, b"[]")

    floor.faults.after = after
    floor.run(42)  # guardian and reconciliation have just been there
    floor.trade()
    while not floor.algos():
        floor.run(0.02)
    floor.run(seconds)
    assert floor.http("POST", "/api/emergency-stop", {}).status == 202
    floor.run(5)
    assert "emergency-flat" in floor.alerts()
    assert not floor.held()
    assert not floor.algos()
    floor.minutes(6)
    assert {o["state"] for o in floor.documents("orders")} <= {"filled", "cancelled"}
