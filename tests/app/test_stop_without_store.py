"""Somebody presses stop while the state store fails: nothing can be latched, everything closed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from desk import ORDER, UNAVAILABLE, Floor
from outage import Outage, floor_with

from local.contracts import Request
from local.exchange.faults import error_answer
from shared.errors import StoreUnavailable
from shared.storage.patience import patience


def pressed(floor: Floor, outage: Outage, fails: bool = True) -> Any:
    outage.fails = lambda: fails
    return floor.http("POST", "/api/emergency-stop", {"reason": "test", "operator": "ada"})


@pytest.mark.parametrize("durable", ["works", "fails"])
def test_positions_are_closed_and_the_latch_follows(open_floor, durable):
    floor, outage = floor_with(open_floor)
    floor.trade()
    floor.run(20)
    assert floor.held()
    if durable == "fails":
        floor.durable_refuses = lambda request: isinstance(request, Request)
    answer = pressed(floor, outage)
    assert answer.status == 503
    assert "repeat" in json.loads(answer.body)["error"]["message"]
    floor.run(10)
    assert not floor.held()
    assert floor.algos() == []
    # Nothing is opened while the store fails, latched or not.
    floor.run(60)
    assert len(floor.entries()) == 1
    outage.fails = lambda: False
    if durable == "fails":
        # Whoever was answered 503 repeats it.
        assert pressed(floor, outage, fails=False).status == 202
    floor.run(15)
    status = floor.services.kill_switch.ensure()
    assert (status.state, status.trigger, status.closing) == ("latched", "manual", True)
    assert status.evidence["operator"] == "ada"
    if durable == "fails":
        floor.minutes(2)
    assert {"kill-switch", "emergency-flat"} <= set(floor.alerts())
    assert len(floor.trades()) == 1
    assert floor.leaked() == ({}, [])


def test_a_stop_that_is_repeated_is_one_stop(open_floor):
    floor, outage = floor_with(open_floor)
    floor.trade()
    floor.run(20)
    assert pressed(floor, outage).status == 503
    assert pressed(floor, outage).status == 503
    assert pressed(floor, outage, fails=False).status == 202
    floor.run(30)
    assert not floor.held()
    code = {"code": floor.totp(), "reason": "looked at everything", "operator": "ada"}
    assert floor.http("POST", "/api/kill-switch/clear", code).status == 200
    # What was asked for before that is over.
    floor.minutes(3)
    assert floor.services.kill_switch.ensure().state == "armed"


def test_it_is_over_once_somebody_has_cleared_since(open_floor):
    """The workflow of the first request sleeps until the second one's stop has been cleared."""
    from shared.execution import late_latch

    floor, _ = floor_with(open_floor)
    asked = floor.clock.now_ms()
    floor.run(5)
    assert floor.http("POST", "/api/emergency-stop", {}).status == 202
    floor.run(10)
    code = {"code": floor.totp(), "reason": "looked at everything", "operator": "ada"}
    assert floor.http("POST", "/api/kill-switch/clear", code).status == 200
    assert late_latch.late(floor.desk, {"operator": "ada", "at": asked}, asked)
    assert floor.services.kill_switch.ensure().state == "armed"


@pytest.mark.parametrize("set_up", [False, True], ids=["by nobody", "by the guardian"])
def test_it_is_latched_though_the_switch_was_set_up_only_after_it(open_floor, set_up):
    """The store has failed since the first start: nobody has cleared anything."""
    from shared.execution import late_latch

    floor, _ = floor_with(open_floor)
    floor.store.delete("control", "main", "kill-switch")
    asked = floor.clock.now_ms()
    floor.run(5)
    if set_up:
        assert floor.services.kill_switch.ensure().state == "armed"
    assert late_latch.late(floor.desk, {"operator": "ada", "at": asked}, asked)
    assert floor.services.kill_switch.ensure().state == "latched"
    floor.minutes(2)


def test_a_store_that_hangs_is_not_waited_for(open_floor):
    """Every operation ends with its own time-out of ten seconds, or when its caller says."""
    floor, outage = floor_with(open_floor)
    floor.trade()
    floor.run(20)

    def hangs() -> bool:
        limit = patience()
        floor.clock.sleep(10 if limit is None else min(limit, 10))
        return True

    outage.fails = hangs
    began = floor.clock.now_ms()
    assert floor.http("POST", "/api/emergency-stop", {}).status == 503
    floor.run(1)
    (close,) = [o for o in floor.orders() if o.reduce_only and not o.algo_id]
    assert close.time - began < 10_000
    assert not floor.held()
    outage.fails = lambda: False
    floor.run(30)
    assert floor.services.kill_switch.ensure().state == "latched"
    assert len(floor.trades()) == 1


def halted(floor: Floor) -> None:
    floor.break_next(ORDER, error_answer(400, -4087, "User can only place reduce only order"))
    floor.trade("ETHUSDT")
    floor.run(10)


def latched(floor: Floor) -> None:
    assert floor.http("POST", "/api/emergency-stop", {}).status == 202
    floor.run(10)


def cleared(floor: Floor) -> int:
    body = {"code": floor.totp(), "reason": "looked at everything", "operator": "ada"}
    return floor.http("POST", "/api/kill-switch/clear", body).status


@pytest.mark.parametrize("away", ["audit", "alerts", "control"])
@pytest.mark.parametrize("closed", [latched, halted])
def test_who_is_told_that_arming_failed_has_armed_nothing(open_floor, closed, away):
    """Nor is anything armed of which nobody is told, whatever of the store is away."""
    floor, outage = floor_with(open_floor)
    closed(floor)
    outage.concerns = lambda container, *rest: container == away
    outage.fails = lambda: True
    assert cleared(floor) == 503
    outage.fails = lambda: False
    assert floor.services.kill_switch.ensure().state == closed.__name__
    floor.run(31)
    assert cleared(floor) == 200
    floor.watch.latched_at = None
    assert floor.services.kill_switch.ensure().state == "armed"
    assert "ada" in {a.get("operator") for a in floor.audit("kill_switch")}
    assert floor.alerts().count("kill-switch-cleared") == 1


@pytest.mark.parametrize("readable", [True, False], ids=["readable", "not readable"])
@pytest.mark.parametrize("closed", [latched, halted])
def test_arming_whose_last_answer_is_lost_is_looked_up(open_floor, closed, readable):
    floor, outage = floor_with(open_floor)
    closed(floor)
    lost: list[str] = []

    def after(name: str, arguments: tuple[Any, ...]) -> None:
        """The write that arms is done, and its answer never comes."""
        if arguments[0] == "control" and name in ("replace", "patch") and not lost:
            body = outage.get("control", "main", "kill-switch").body
            if body["state"] == "armed":
                lost.append(name)
                outage.fails = lambda: not readable
                raise StoreUnavailable("the answer was lost")

    outage.after = after
    assert cleared(floor) == (200 if readable else 503)
    outage.fails = lambda: False
    floor.watch.latched_at = None
    assert len(lost) == 1
    assert floor.services.kill_switch.ensure().state == "armed"
    assert floor.alerts().count("kill-switch-cleared") == 1


def test_a_stop_that_could_not_be_written_down_closes_nothing_that_is_opened_after_its_end(
    open_floor,
):
    """Closed, and not fully recorded: the workflow goes on until it is, or somebody has cleared."""
    floor, outage = floor_with(open_floor)
    floor.trade()
    floor.run(20)
    outage.concerns = lambda container, *rest: container == "audit"
    outage.fails = lambda: True
    assert floor.http("POST", "/api/emergency-stop", {}).status == 202
    floor.run(60)
    assert not floor.held()
    outage.fails = lambda: False
    code = {"code": floor.totp(), "reason": "looked at everything", "operator": "ada"}
    assert floor.http("POST", "/api/kill-switch/clear", code).status == 200
    floor.watch.latched_at = None
    floor.trade("XRPUSDT")
    floor.run(30)
    assert floor.held("XRPUSDT")
    assert len(floor.trades()) == 1


@pytest.mark.parametrize("away", ["until its last record", "until it is repeated"])
def test_nor_does_one_that_was_asked_for_while_the_store_failed(open_floor, away):
    """Its workflow has no latch in its name: whoever arms trading after it has called it off."""
    floor, outage = floor_with(open_floor)
    floor.trade()
    floor.run(20)
    assert pressed(floor, outage).status == 503
    if away == "until its last record":
        outage.concerns = lambda container, *rest: container == "audit"
        floor.run(60)
        assert floor.services.kill_switch.ensure().state == "latched"
        outage.fails = lambda: False
    else:
        floor.run(0.5)
        assert pressed(floor, outage, fails=False).status == 202
        floor.run(0.5)
    assert not floor.held()
    assert cleared(floor) == 200
    floor.watch.latched_at = None
    floor.trade("XRPUSDT")
    floor.run(30)
    assert floor.held("XRPUSDT")
    assert floor.services.kill_switch.ensure().state == "armed"


def test_what_was_cleared_before_it_was_asked_for_does_not_end_it(open_floor):
    """Minutes before, and since then no write works: the exchange takes the close after seconds."""
    floor, outage = floor_with(open_floor)
    latched(floor)
    assert cleared(floor) == 200
    floor.watch.latched_at = None
    floor.run(20)
    floor.trade()
    floor.run(20)
    assert floor.held()
    outage.OPERATIONS = frozenset({"create", "replace", "patch", "delete"})
    floor.break_next(ORDER, UNAVAILABLE, times=10_000, seconds=8)
    assert pressed(floor, outage).status == 503
    floor.run(30)
    assert not floor.held()
    assert floor.services.kill_switch.ensure().state == "armed"
    outage.fails = lambda: False
    floor.run(30)
    assert floor.services.kill_switch.ensure().state == "latched"
    assert len(floor.trades()) == 1


def test_a_first_run_that_comes_after_the_clear_closes_nothing(open_floor):
    """The task hub was slow; the request had been repeated, and its stop is over."""
    from shared.execution import late_latch

    floor, _ = floor_with(open_floor)
    asked = floor.clock.now_ms()
    floor.run(5)
    latched(floor)
    assert cleared(floor) == 200
    floor.watch.latched_at = None
    floor.trade()
    floor.run(20)
    pending = {"evidence": {"operator": "ada", "at": asked}, "at": asked}
    name = late_latch.workflow_id(asked)
    began = {"attempt": 0, "latch": pending}
    floor.durable("POST", f"orchestrators/emergency_workflow/{name}", began)
    floor.run(10)
    assert floor.workflow(name)["runtimeStatus"] == "Completed"
    assert floor.held()
    assert floor.services.kill_switch.ensure().state == "armed"
