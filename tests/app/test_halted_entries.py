"""Refusals that only a person can put right: nothing is opened until one has looked.

The codes are those of class HALT in Binance's error list (reference section on errors), not ours.
"""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from desk import ACCOUNT, ORDER, PRICES, Floor
from test_triggers import again, clear

from local.exchange.faults import ApiResponse, error_answer

D = Decimal
#: HTTP status, code, what it says.
REFUSALS = [
    (451, 0, "Service unavailable from a restricted location"),
    (401, -2015, "Invalid API-key, IP, or permissions for action"),
    (401, -2014, "API-key format invalid."),
    (400, -2008, "Invalid Api-Key ID"),
    (400, -2017, "API Keys are locked on this account."),
    (401, -1002, "You are not authorized to execute this request."),
    (400, -1099, "Not found, authenticated, or authorized"),
    (400, -1016, "This service is no longer available."),
    (400, -1020, "This operation is not supported."),
    (400, -2023, "User in liquidation mode now."),
    (400, -4061, "Order's position side does not match user's setting."),
    (400, -4084, "Method is not allowed currently. Upcoming soon."),
    (400, -4087, "User can only place reduce only order"),
    (400, -4088, "User can not place order currently"),
    (400, -4109, "This account is inactive"),
    (400, -4192, "Trade forbidden due to Cooling-off Period."),
    (400, -4400, "Futures Trading Quantitative Rules violated"),
    (400, -4401, "Compliance restricted account permission: can only place reduceOnly order."),
    (400, -4402, "This feature is unavailable in your region"),
]


def state(floor: Floor) -> str:
    return floor.services.kill_switch.ensure().state


def orders_sent(floor: Floor) -> list[str]:
    """Client ids of the entry orders that left for the exchange, refused ones too."""
    return [o["id"] for o in floor.documents("orders") if o["leg"] == "e" and o["attempts"]]


@pytest.mark.parametrize(
    ("status", "code", "says"), [pytest.param(*r, id=f"{r[0]} {r[1]}") for r in REFUSALS]
)
def test_20_after_a_refusal_that_a_person_has_to_put_right_nothing_is_opened(
    open_floor, status, code, says
):
    """freqtrade PR#7833, ccxt#15872: refused for the region, or the keys, and tried for ever."""
    floor = open_floor()
    floor.break_next(ORDER, error_answer(status, code, says))
    floor.trade("BTCUSDT")
    floor.run(10)
    assert state(floor) == "halted"
    assert floor.alerts().count("entries-halted") == 1
    # The exchange would take the next ones.
    second = floor.trade("ETHUSDT")
    floor.run(10)
    decision = floor.documents("signals", "ETHUSDT")
    [declined] = [d["decision"] for d in decision if d["kind"] == "decision"]
    assert (declined["id"], declined["outcome"]) == (second.id, "declined")
    assert declined["reasons"][0] == "kill_switch"
    assert len(orders_sent(floor)) == 1
    assert floor.entries() == []
    assert floor.leaked() == ({}, [])
    # Nor after a restart; once a person has looked, they are taken.
    assert again(floor).kill_switch.ensure().state == "halted"
    assert clear(floor) == 200
    assert state(floor) == "armed"
    floor.run(300)
    floor.trade("XRPUSDT")
    floor.run(10)
    assert [o.symbol for o in floor.entries()] == ["XRPUSDT"]


@pytest.mark.parametrize("code", [-2019, -4164, -1111, -2021, -4131])
def test_refusals_of_one_order_halt_nothing(open_floor, code):
    floor = open_floor()
    floor.break_next(ORDER, error_answer(400, code, "refused"))
    floor.trade("BTCUSDT")
    floor.run(10)
    assert state(floor) == "armed"
    floor.trade("ETHUSDT")
    floor.run(10)
    assert [o.symbol for o in floor.entries()] == ["ETHUSDT"]


def test_what_is_open_is_looked_after_while_halted(open_floor):
    """The stop trails, a lost one is replaced, and the close of its reach is recorded."""
    price = PRICES["BTCUSDT"]
    floor = open_floor({"BTCUSDT": ((0, 0.0), (20, 0.0), (40, -0.1)), "ETHUSDT": ()})
    floor.trade("BTCUSDT")
    floor.run(10)
    [stop] = floor.stops()
    floor.break_next(ORDER, error_answer(400, -4087, "User can only place reduce only order"))
    floor.trade("ETHUSDT")
    floor.run(10)
    assert state(floor) == "halted"
    floor.venue.cancel_algo_order(floor.account, stop)
    floor.minutes(2)
    assert len(floor.stops()) == 1
    floor.minutes(40)
    assert floor.held() == 0
    assert floor.price("BTCUSDT") < price
    [trade] = floor.trades()
    assert trade["symbol"] == "BTCUSDT"
    assert state(floor) == "halted"


def test_an_emergency_stop_latches_a_halted_switch_and_its_clear_ends_both(open_floor):
    floor = open_floor()
    floor.trade("BTCUSDT")
    floor.run(10)
    assert floor.held() != 0
    floor.break_next(ORDER, error_answer(401, -2015, "Invalid API-key"))
    floor.trade("ETHUSDT")
    floor.run(10)
    assert state(floor) == "halted"
    assert floor.http("POST", "/api/emergency-stop", {}).status == 202
    floor.run(20)
    assert (state(floor), floor.held()) == ("latched", 0)
    assert clear(floor) == 200
    switch = floor.services.kill_switch.ensure()
    assert (switch.state, switch.halt) == ("armed", None)


def test_a_person_cannot_resume_what_the_exchange_still_refuses(open_floor):
    floor = open_floor()
    refused = error_answer(401, -2015, "Invalid API-key, IP, or permissions for action")
    floor.break_next(ACCOUNT, refused, times=10_000)
    floor.minutes(2)
    assert state(floor) == "halted"  # seen by the guardian, without any order
    shown = json.loads(floor.http("GET", "/api/dashboard").body)
    assert shown["killSwitch"]["halt"]["code"] == -2015
    assert clear(floor) == 502
    assert state(floor) == "halted"
    floor.faults.rules.clear()
    body = {"code": "000000", "reason": "the key was replaced", "operator": "ada"}
    assert floor.http("POST", "/api/kill-switch/clear", body).status == 400
    assert state(floor) == "halted"
    floor.run(31)
    assert clear(floor) == 200
    [resumed] = [a for a in floor.audit("kill_switch") if a["state"] == "armed"]
    assert resumed["operator"] == "ada"


def test_a_ban_that_names_its_end_is_told_and_ends_by_itself(open_floor):
    """418 with Retry-After: the rate budget sends nothing until then, and nobody is needed."""
    floor = open_floor()
    headers = {"content-type": "application/json", "Retry-After": "120"}
    floor.break_next(ORDER, ApiResponse(418, headers, b'{"code":-1003,"msg":"banned"}'))
    floor.trade("BTCUSDT")
    floor.run(10)
    assert state(floor) == "armed"
    assert floor.alerts().count("exchange-banned") == 1
    floor.run(290)
    floor.trade("ETHUSDT")
    floor.run(10)
    assert [o.symbol for o in floor.entries()] == ["ETHUSDT"]
