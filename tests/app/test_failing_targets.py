"""A target that fails: stuck and still listed, or gone."""

from __future__ import annotations

import json
from typing import Any

from desk import OPEN_ALGOS, UNAVAILABLE, Floor

from local.exchange.faults import ApiRequest, stuck_triggering
from local.exchange.order_views import algo_row
from shared.execution import assess, entry
from shared.execution.guardian import guard


def stuck_and_listed(floor: Floor) -> None:
    """What has triggered produces no order, and the list of open orders goes on showing it."""
    stuck_triggering(floor.venue)
    original = floor.faults.after

    def after(request: ApiRequest, response: Any) -> Any:
        if (request.method, request.path) != OPEN_ALGOS or response.status != 200:
            return original(request, response)
        rows = json.loads(response.body)
        stuck = [a for a in floor.account.algos.values() if a.status == "TRIGGERING"]
        rows += [algo_row(a) for a in stuck]
        return type(response)(200, response.headers, json.dumps(rows, default=str).encode())

    floor.faults.after = after  # type: ignore[method-assign]


def test_a_target_that_is_stuck_is_taken_at_market(open_floor):
    """Reached in the fifth minute; the stop alone would have given back some of it."""
    floor = open_floor({"BTCUSDT": [(2, 0), (5, 0.045), (60, 0.045)]})
    floor.trade()
    floor.run(30)
    stuck_and_listed(floor)
    floor.minutes(8)
    assert not floor.held()
    assert [t["exitReason"] for t in floor.trades()] == ["take profit"]


def test_a_target_that_is_gone_is_taken_though_the_stop_cannot_be_moved(open_floor):
    """The rules of trading cannot be read, which the next stop is rounded by."""
    floor = open_floor({"BTCUSDT": [(2, 0), (4, 0.045), (90, 0.045)]}, durable=False)
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    assert entry.open_position(floor.desk, "BTCUSDT", signal.id).status == "protected"
    for target in floor.targets():
        floor.venue.cancel_algo_order(floor.account, target)
    # What a process has read of them it believes for an hour.
    floor.clock.sleep(3_601)
    floor.api.advance()
    floor.break_next(("GET", "/fapi/v1/exchangeInfo"), UNAVAILABLE, times=10**6)
    guard(floor.desk)
    assert not floor.held()
    guard(floor.desk)
    assert [t["exitReason"] for t in floor.trades()] == ["take profit"]
