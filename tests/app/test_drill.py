"""The drill of the emergency stop: it says whether a stop would work, and touches nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from desk import OPEN_ALGOS, UNAVAILABLE, Floor

from local.exchange.faults import error_answer

STEPS = [
    "latch",
    "permits",
    "workflow",
    "plain orders",
    "conditional orders",
    "closes",
    "stops",
    "alert",
]
TEST = ("POST", "/fapi/v1/order/test")


def drill(floor: Floor) -> dict[str, Any]:
    answer = floor.http("POST", "/api/emergency-stop?drill=true", {"operator": "ada"})
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def failed(report: dict[str, Any]) -> list[str]:
    assert [s["name"] for s in report["steps"]] == STEPS
    assert report["passed"] == all(s["ok"] for s in report["steps"])
    return [s["name"] for s in report["steps"] if not s["ok"]]


def test_every_step_is_walked_and_nothing_is_touched(open_floor):
    floor = open_floor()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        floor.trade(symbol)
    floor.run(20)
    before = (len(floor.orders()), floor.held(), floor.held("ETHUSDT"), floor.algos())
    permits = floor.services.kill_switch.ensure().permits
    report = drill(floor)
    assert failed(report) == []
    assert "BTCUSDT, ETHUSDT" in report["steps"][STEPS.index("closes")]["detail"]
    assert (len(floor.orders()), floor.held(), floor.held("ETHUSDT"), floor.algos()) == before
    switch = floor.services.kill_switch.ensure()
    assert (switch.state, switch.permits) == ("armed", permits)
    # The exchange's test endpoint has really been asked, once for each position.
    floor.minutes(2)
    assert [e["kind"] for e in floor.events("risk")].count("drill") == 1
    told = json.loads(floor.http("GET", "/api/status").body)["drill"]
    assert told["passed"]
    assert 120 <= told["ageSeconds"] <= 125
    (note,) = [r for r in floor.audit("emergency") if "drill" in r]
    assert note["drill"]["operator"] == "ada"


def test_on_a_flat_account_the_order_endpoint_is_proved_all_the_same(open_floor):
    floor = open_floor()
    asked = []
    floor.session.before = lambda method, url: asked.append((method, url.split("?")[0][-10:]))
    assert failed(drill(floor)) == []
    assert ("POST", "order/test") in asked
    assert not floor.orders()


def test_while_latched_it_stays_latched(open_floor):
    floor = open_floor()
    floor.http("POST", "/api/emergency-stop", {})
    floor.run(5)
    assert failed(drill(floor)) == []
    assert floor.services.kill_switch.ensure().state == "latched"


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (lambda f: f.break_next(TEST, error_answer(400, -2019, "no margin"), times=9), ["closes"]),
        (
            lambda f: f.break_next(OPEN_ALGOS, UNAVAILABLE, times=99),
            ["conditional orders", "stops"],
        ),
        (
            lambda f: [f.venue.cancel_algo_order(f.account, a) for a in f.stops()],
            ["stops"],
        ),
        (lambda f: setattr(f, "durable_refuses", lambda request: True), ["workflow"]),
        # Six minutes in which no guardian ran: it would have resolved the permit.
        (lambda f: f.services.kill_switch.acquire_permit("bq-e-old") and f.clock.sleep(360), []),
    ],
    ids=["close refused", "orders cannot be listed", "naked", "no Durable", "an old permit"],
)
def test_what_would_fail_is_named(open_floor, trouble, expected):
    floor = open_floor()
    floor.expected = {4}
    floor.trade()
    floor.run(10)
    trouble(floor)
    report = drill(floor)
    assert failed(report) == (expected or ["permits"])
    assert not json.loads(floor.http("GET", "/api/status").body)["drill"]["passed"]
    floor.durable_refuses = lambda request: False
    floor.faults.rules.clear()
    assert floor.held()


def test_a_store_that_takes_no_write_is_found_out(open_floor):
    from shared.errors import StoreUnavailable

    floor = open_floor()

    def full(name, args):
        if name == "patch" and args[2] == "kill-switch":
            raise StoreUnavailable("the disk is full")

    floor.store.before = full
    assert failed(drill(floor)) == ["latch"]


@pytest.mark.parametrize("query", ["drill=ture", "drill=", "drill=1"])
def test_a_misspelt_drill_stops_nothing_and_says_so(open_floor, query):
    floor = open_floor()
    floor.trade()
    floor.run(10)
    assert floor.http("POST", f"/api/emergency-stop?{query}", {}).status == 400
    floor.run(5)
    assert floor.held()
    assert floor.services.kill_switch.ensure().state == "armed"


def test_no_drill_is_a_stop(open_floor):
    floor = open_floor()
    assert floor.http("POST", "/api/emergency-stop?drill=false", {}).status == 202
    assert floor.services.kill_switch.ensure().state == "latched"
