"""Somebody with a function key guesses: told, locked, throttled, and in the end latched."""

from __future__ import annotations

import json

import pytest
from desk import Floor

from shared.errors import CodeRefused
from shared.security.throttle import PER_MINUTE

CLEAR = {"code": "000000", "reason": "let me in, please", "operator": "eve"}


def stop(floor: Floor) -> None:
    assert floor.http("POST", "/api/emergency-stop", {}).status == 202
    floor.run(5)


def guess(floor: Floor, code: str = "12345x") -> str:
    answer = floor.http("POST", "/api/kill-switch/clear", {**CLEAR, "code": code})
    assert answer.status == 400
    error = json.loads(answer.body)["error"]
    assert error["kind"] == "CodeRefused"
    return str(error["message"])


def test_guessed_codes_are_told_lock_and_latch(open_floor):
    floor = open_floor()
    stop(floor)
    for _ in range(5):
        assert "wrong" in guess(floor)
    floor.run(60)
    assert "locked" in guess(floor, floor.totp())
    floor.run(5)
    assert [e["kind"] for e in floor.events("risk")].count("code-refused") == 1
    notes = floor.audit("operator")
    assert [n["operator"] for n in notes] == ["eve"] * 6
    assert "12345x" not in json.dumps(notes)
    # Whoever has the right code gets in once the lock is over; what was guessed before is history.
    floor.minutes(15)
    body = {**CLEAR, "code": floor.totp(), "operator": "ada"}
    assert floor.http("POST", "/api/kill-switch/clear", body).status == 200
    floor.watch.latched_at = None
    floor.minutes(12)
    assert floor.services.kill_switch.ensure().state == "armed"
    # While armed a code is asked for by a promotion; ten that are refused within an hour latch.
    for _ in range(2):
        for _ in range(5):
            with pytest.raises(CodeRefused, match="wrong"):
                floor.services.second_factor.verify("12345x")
        floor.minutes(16)
    switch = floor.services.kill_switch.ensure()
    assert (switch.trigger, switch.evidence["kind"]) == ("suspicious_activity", "failed_logins")


def test_too_many_requests_are_refused_and_a_stop_never_is(open_floor):
    floor = open_floor()
    stop(floor)
    for _ in range(PER_MINUTE):
        assert floor.http("POST", "/api/kill-switch/clear", CLEAR).status == 400
    assert floor.http("POST", "/api/kill-switch/clear", CLEAR).status == 429
    assert floor.http("POST", "/api/emergency-stop?drill=true", {}).status == 429
    # Counted apart: who only reads the checklist has used up nothing.
    assert floor.http("GET", "/api/checklist").status == 200
    for _ in range(3 * PER_MINUTE):
        assert floor.http("POST", "/api/emergency-stop", {}).status == 202
    floor.run(61)
    assert floor.http("POST", "/api/kill-switch/clear", CLEAR).status == 400


def test_reading_the_checklist_keeps_nobody_from_clearing_or_drilling(open_floor):
    floor = open_floor()
    stop(floor)
    floor.run(60)
    for _ in range(PER_MINUTE):
        assert floor.http("GET", "/api/checklist").status == 200
    refused = floor.http("GET", "/api/checklist")
    assert refused.status == 429
    assert json.loads(refused.body)["error"]["kind"] == "TooManyRequests"
    assert floor.http("POST", "/api/emergency-stop?drill=true", {}).status == 200
    body = {**CLEAR, "code": floor.totp(), "operator": "ada"}
    assert floor.http("POST", "/api/kill-switch/clear", body).status == 200
    floor.watch.latched_at = None
    floor.run(61)
    assert floor.http("GET", "/api/checklist").status == 200
