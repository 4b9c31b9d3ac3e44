"""GET /api/status: what operators follow after a stop, in figures that a person can read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from desk import ORDER, UNAVAILABLE, Floor

from shared.portfolio.figures import fraction, plain

D = Decimal
#: At most eight places, no exponent, no trailing zeros.
PLAIN = re.compile(r"-?(0|[1-9]\d*)(\.\d{0,7}[1-9])?")
#: Other texts of the answer.
WORDS = {
    "time",
    "account",
    "stage",
    "day",
    "state",
    "trigger",
    "operator",
    "reason",
    "at",
    "maxDrawdown",
}


def asked(floor: Floor, what: str) -> Any:
    return json.loads(floor.http("GET", f"/api/{what}").body)


def figures(told: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text of an answer that is a figure, with its name."""
    if isinstance(told, dict):
        for key, value in told.items():
            yield from figures(value, key)
    elif isinstance(told, str) and name not in WORDS:
        yield name, told


def test_closing_lasts_until_the_account_was_verified_flat(open_floor):
    floor = open_floor()
    floor.trade()
    floor.run(5)
    floor.break_next(ORDER, UNAVAILABLE, times=1000, seconds=60)
    floor.http("POST", "/api/emergency-stop", {"operator": "ada", "reason": "test"})
    switch = asked(floor, "status")["killSwitch"]
    assert (switch["state"], switch["closing"], switch["flatAt"]) == ("latched", True, None)
    floor.minutes(3)
    status, dashboard = asked(floor, "status"), asked(floor, "dashboard")
    switch = status["killSwitch"]
    assert (switch["state"], switch["closing"]) == ("latched", False)
    assert switch["latchedAt"] < switch["flatAt"] < floor.clock.now_ms()
    assert dashboard["killSwitch"] == switch
    body = {"code": floor.totp(), "reason": "looked at it, all is well", "operator": "ada"}
    assert floor.http("POST", "/api/kill-switch/clear", body).status == 200
    switch = asked(floor, "status")["killSwitch"]
    assert (switch["state"], switch["closing"], switch["flatAt"]) == ("armed", False, None)


def test_positions_that_are_held_are_not_being_closed(open_floor):
    floor = open_floor()
    floor.trade()
    floor.run(5)
    now = floor.clock.now_ms()
    floor.services.kill_switch.latch("manual", {"operator": "ada"}, at=now, closing=False)
    switch = asked(floor, "status")["killSwitch"]
    assert (switch["state"], switch["closing"], switch["flatAt"]) == ("latched", False, None)


@pytest.mark.parametrize("trades", [0, 1])
def test_figures_are_plain_decimals(open_floor, trades):
    floor = open_floor({"BTCUSDT": [(3, 0), (8, 0.001)]})
    floor.minutes(2)
    for _ in range(trades):
        floor.trade()
        floor.minutes(4)
    told = [asked(floor, "status"), asked(floor, "dashboard")["money"]]
    shown = [pair for answer in told for pair in figures(answer)]
    assert {n for n, _ in shown} >= {"unrealizedPnl", "drawdown", "equity", "reserved"}
    assert not [pair for pair in shown if not PLAIN.fullmatch(pair[1])]


@pytest.mark.parametrize(
    ("value", "money", "part"),
    [
        ("0E-8", "0", "0"),
        ("-0E-8", "0", "0"),
        ("4999.11935635", "4999.11935635", "4999.119356"),
        ("0.0004113458525957526382702514304", "0.00041135", "0.000411"),
        ("5000.00000000", "5000", "5000"),
        ("1E+3", "1000", "1000"),
        ("-0.00000049", "-0.00000049", "0"),
        ("0.10", "0.1", "0.1"),
    ],
)
def test_a_figure_in_words(value, money, part):
    assert (plain(D(value)), fraction(D(value))) == (money, part)
