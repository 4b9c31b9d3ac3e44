"""Stage "limited": a person approves each trade, once, in time; silence means no."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from desk import PRICES, Floor

from shared.compliance.approval import Answer
from shared.compliance.approval import answer as store_answer
from shared.errors import StoreUnavailable

D = Decimal


@pytest.fixture
def floor(open_floor) -> Floor:
    # A thousandth of a bitcoin must fit between 50 and 100 USDT.
    prices = {**PRICES, "BTCUSDT": 60_000.0}
    return open_floor(settings={"TRADING_STAGE": "limited"}, prices=prices)


def request_of(floor: Floor) -> dict[str, Any]:
    """The waiting request, as a person sees it."""
    (found,) = json.loads(floor.http("GET", "/api/approvals").body)["approvals"]
    return found


def answer(floor: Floor, id_: str, decision: str = "approve", **fields: Any) -> int:
    body = {"decision": decision, "operator": "ada", **fields}
    return floor.http("POST", f"/api/approvals/{id_}", body).status


def assert_nothing(floor: Floor) -> None:
    floor.run(40)
    assert not floor.entries()
    assert not floor.held("ETHUSDT")
    assert floor.leaked() == ({}, [])


def test_approved(floor):
    signal = floor.trade("ETHUSDT")
    floor.run(10)
    assert not floor.entries()
    asked = request_of(floor)
    assert asked["state"] == "pending"
    assert "approval-wanted" in [e["kind"] for e in floor.events("risk")]
    assert answer(floor, signal.id, nonce=asked["nonce"]) == 200
    floor.run(5)
    assert floor.outcome(signal)["outcome"] == "protected"
    # The stage's own rules: 50 to 100 USDT, at most 3x.
    assert D(50) <= floor.held("ETHUSDT") * D(2_500) <= D(100)
    assert floor.account.setting("ETHUSDT").leverage <= 3
    assert [a["state"] for a in floor.audit("approval")] == ["pending", "approved"]
    # The same answer once more is told what holds, and does nothing.
    assert answer(floor, signal.id, nonce=asked["nonce"]) == 200
    assert answer(floor, signal.id, "reject", nonce=asked["nonce"]) == 409
    assert answer(floor, signal.id, nonce=asked["nonce"], operator="bea") == 409
    floor.run(5)
    assert len(floor.entries()) == 1
    assert [a["state"] for a in floor.audit("approval")] == ["pending", "approved"]


def test_rejected(floor):
    signal = floor.trade("ETHUSDT")
    floor.run(3)
    assert answer(floor, signal.id, "reject", nonce=request_of(floor)["nonce"]) == 200
    floor.run(3)
    assert floor.outcome(signal)["outcome"] == "rejected"
    assert answer(floor, signal.id, nonce=request_of(floor)["nonce"]) == 409
    assert_nothing(floor)


def test_no_answer_means_no(floor):
    signal = floor.trade("ETHUSDT")
    floor.run(40)
    assert floor.outcome(signal)["outcome"] == "expired"
    assert request_of(floor)["state"] == "expired"
    assert answer(floor, signal.id, nonce=request_of(floor)["nonce"]) == 409
    assert_nothing(floor)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"nonce": "0" * 24}, 400),
        ({}, 400),
        ({"nonce": None}, 400),
        ({"operator": " "}, 400),
        ({"decision": "maybe"}, 400),
        ({"more": 1}, 400),
    ],
    ids=["wrong nonce", "no nonce", "null", "no operator", "other word", "unknown field"],
)
def test_answers_that_are_refused_change_nothing(floor, fields, status):
    signal = floor.trade("ETHUSDT")
    floor.run(3)
    given = {"nonce": request_of(floor)["nonce"]} if "nonce" not in fields and fields else {}
    decision = fields.get("decision", "approve")
    rest = {k: v for k, v in fields.items() if k != "decision"}
    assert answer(floor, signal.id, decision, **(given | rest)) == status
    assert request_of(floor)["state"] == "pending"
    assert_nothing(floor)


def test_unknown_request(floor):
    assert answer(floor, "no-such-signal", nonce="0" * 24) == 404


def test_nonce_of_another_request(floor):
    first, second = floor.trade("BTCUSDT"), floor.trade("ETHUSDT")
    floor.run(3)
    nonces = {a["id"]: a["nonce"] for a in floor.documents("approvals")}
    assert nonces[first.id] != nonces[second.id]
    assert answer(floor, first.id, nonce=nonces[second.id]) == 400
    assert_nothing(floor)


def test_event_is_lost_but_the_answer_is_stored(floor):
    """Nobody wakes the workflow: its own timer does, and the stored answer counts."""
    signal = floor.trade("ETHUSDT")
    floor.run(20)
    nonce = request_of(floor)["nonce"]
    store_answer(floor.desk, signal.id, Answer(decision="approve", nonce=nonce, operator="ada"))
    floor.run(20)
    assert floor.outcome(signal)["outcome"] == "protected"


def test_event_without_an_answer_approves_nothing(floor):
    """Whoever can raise events cannot approve with them."""
    signal = floor.trade("ETHUSDT")
    floor.run(3)
    nonce = request_of(floor)["nonce"]
    path = f"instances/{signal.id}/raiseEvent/approval-{nonce}"
    assert floor.durable("POST", path, {"state": "approved"}).status == 202
    assert_nothing(floor)
    assert floor.outcome(signal)["outcome"] == "expired"


def test_event_doubled(floor):
    signal = floor.trade("ETHUSDT")
    floor.run(3)
    nonce = request_of(floor)["nonce"]
    assert answer(floor, signal.id, nonce=nonce) == 200
    floor.durable("POST", f"instances/{signal.id}/raiseEvent/approval-{nonce}", {})
    floor.run(10)
    assert floor.outcome(signal)["outcome"] == "protected"
    assert len(floor.entries()) == 1


def test_answer_counts_although_the_workflow_cannot_be_woken(floor):
    """The task hub does not take the event; the answer is stored and the timer comes."""
    signal = floor.trade("ETHUSDT")
    floor.run(20)
    floor.durable_refuses = lambda request: "raiseEvent" in request.target
    assert answer(floor, signal.id, nonce=request_of(floor)["nonce"]) == 200
    floor.run(20)
    assert floor.outcome(signal)["outcome"] == "protected"


def test_an_answer_does_not_wait_for_a_task_hub_that_is_silent(floor):
    rpc, asked = floor.platform.hub.rpc, []

    async def silent(request):
        if "raiseEvent" in request.target:
            asked.append(request)
            await asyncio.sleep(300)
        return await rpc(request)

    floor.platform.hub.rpc = silent
    signal = floor.trade("ETHUSDT")
    floor.run(3)
    nonce = request_of(floor)["nonce"]
    began = floor.clock.now_ms()
    assert answer(floor, signal.id, nonce=nonce) == 200
    assert asked
    assert floor.clock.now_ms() - began < 5_000
    floor.run(30)
    assert floor.outcome(signal)["outcome"] == "protected"


@pytest.mark.parametrize("decision", ["approve", "reject"])
@pytest.mark.parametrize("lost", ["answer to the write", "record in the audit"])
def test_an_answer_that_counts_is_told_so_though_the_store_fails(floor, lost, decision):
    """Written, and then the store fails: no 503 for an answer that has its effect."""
    signal = floor.trade("ETHUSDT")
    floor.run(3)
    nonce = request_of(floor)["nonce"]

    def written(name, args):
        if args[0] == "approvals":
            floor.store.after = lambda name, args: None
            if lost == "record in the audit":
                floor.store.before = refused
            else:
                raise StoreUnavailable("the answer did not arrive")

    def refused(name, args):
        if args[0] == "audit":
            floor.store.before = lambda name, args: None
            raise StoreUnavailable("the audit is away")

    floor.store.after = written
    assert answer(floor, signal.id, decision, nonce=nonce) == 200
    state = {"approve": "approved", "reject": "rejected"}[decision]
    assert request_of(floor)["state"] == state
    floor.run(10)
    assert floor.outcome(signal)["outcome"] == {"approve": "protected"}.get(decision, state)
    # Whoever executes it has noted it before.
    assert [a["state"] for a in floor.audit("approval")] == ["pending", state]


def test_an_answer_of_which_nobody_knows_whether_it_counts_may_be_given_again(floor):
    """The store fails with the write, and when it is looked at: repeated, it is told what holds."""
    signal = floor.trade("ETHUSDT")
    floor.run(3)
    nonce = request_of(floor)["nonce"]
    read = floor.services.store.get

    def away(container, *args):
        if container == "approvals":
            raise StoreUnavailable("the store is away")
        return read(container, *args)

    def written(name, args):
        if args[0] == "approvals":
            floor.store.after = lambda name, args: None
            floor.store.get = away
            raise StoreUnavailable("the answer did not arrive")

    floor.store.after = written
    body = {"decision": "approve", "operator": "ada", "nonce": nonce}
    told = floor.http("POST", f"/api/approvals/{signal.id}", body)
    assert told.status == 503
    assert b"not known whether the answer counts; give it again" in told.body
    del floor.store.get
    again = floor.http("POST", f"/api/approvals/{signal.id}", body)
    assert (again.status, json.loads(again.body)["state"]) == (200, "approved")
    floor.run(10)
    assert floor.outcome(signal)["outcome"] == "protected"
    assert len(floor.entries()) == 1


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_of_two_answers_at_once_the_second_is_told_which_holds(floor, decision):
    signal = floor.trade("ETHUSDT")
    floor.run(3)
    nonce = request_of(floor)["nonce"]

    def first(name, args):
        if args[0] == "approvals":
            floor.store.before = lambda name, args: None
            other = Answer(decision="approve", nonce=nonce, operator="bea")
            assert store_answer(floor.desk, signal.id, other).state == "approved"

    floor.store.before = first
    body = {"decision": decision, "operator": "ada", "nonce": nonce}
    told = floor.http("POST", f"/api/approvals/{signal.id}", body)
    assert told.status == 409
    assert b"approved already, by bea; that holds" in told.body


def test_approved_and_then_stopped(floor):
    """An approval does not outrank the kill switch."""
    signal = floor.trade("ETHUSDT")
    floor.run(3)
    floor.http("POST", "/api/emergency-stop", {})
    floor.watch.latched_at = floor.clock.now_ms()
    assert answer(floor, signal.id, nonce=request_of(floor)["nonce"]) == 200
    floor.run(10)
    assert floor.outcome(signal)["outcome"] == "declined"
    assert_nothing(floor)


def test_interrupted_request_is_announced_by_the_rerun(open_floor):
    """The request was stored, then the process died before anybody was told."""
    from desk import Crash

    from shared.compliance.approval import request_approval
    from shared.execution import assess

    floor = open_floor(settings={"TRADING_STAGE": "limited"}, durable=False)
    signal = floor.signal("ETHUSDT")
    decision = assess.assess(floor.desk, "ETHUSDT", signal.id)

    def die(name, args):
        if args[0] == "approvals":
            raise Crash

    floor.store.after = die
    with pytest.raises(Crash):
        request_approval(floor.desk, "ETHUSDT", decision)
    floor.store.after = lambda name, args: None
    request_approval(floor.desk, "ETHUSDT", decision)
    assert "approval-wanted" in floor.alerts()
    assert [a["state"] for a in floor.audit("approval")] == ["pending"]
    floor.services.ledger.release(signal.id)
