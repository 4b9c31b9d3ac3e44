"""An emergency stop closes while the store fails or hangs, and when its run breaks."""

from __future__ import annotations

import asyncio

import pytest
from desk import ACCOUNT, ORDER, POSITIONS, UNAVAILABLE
from outage import assert_all_recorded, assert_nothing_open, floor_with, intents, opened
from watched import QUIET

from local.contracts import Request, Response
from shared.errors import ExchangeUnavailable
from shared.execution import emergency, guardian, reconcile
from shared.storage.patience import patience


@pytest.mark.parametrize("after", range(0, 16, 3), ids=lambda n: f"after {n} operations")
def test_an_emergency_stop_closes_while_the_store_fails(open_floor, after):
    """Latched, and then the store is gone, at once or in the middle; a stranger's is closed too."""
    floor, outage = floor_with(open_floor, durable=False)
    floor.expected = {1, 2, 3, 4, 7, 8}
    opened(floor, "BTCUSDT", "ETHUSDT")
    floor.trade_by_hand("XRPUSDT", "BUY", "100")
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.watch.latched_at = floor.clock.now_ms()
    operations = 0

    def fails() -> bool:
        nonlocal operations
        operations += 1
        return operations > after

    outage.fails = fails
    first = emergency.flatten_account(floor.desk, "stop")
    assert not first.flat, "permits cannot be ruled out"
    assert_nothing_open(floor)
    assert len(floor.fills("BTCUSDT")) == 2
    assert not emergency.flatten_account(floor.desk, "stop", 1).flat

    outage.fails = lambda: False
    assert emergency.flatten_account(floor.desk, "stop", 2).flat
    emergency.settle_all(floor.desk)
    floor.clock.sleep(120)
    floor.api.advance()
    guardian.guard(floor.desk)
    reconcile.reconcile(floor.desk)
    assert "emergency-flat" in floor.alerts()
    assert sorted(t["symbol"] for t in floor.trades()) == ["BTCUSDT", "ETHUSDT"]
    assert floor.leaked() == ({}, [])


@pytest.mark.parametrize("after", [0, 2, 4, 6, 8], ids=lambda n: f"after {n} operations")
def test_an_emergency_stop_waits_seconds_for_a_store_that_hangs(open_floor, after):
    """Every operation ends with the ten seconds of its own time-out, or when its caller says."""
    floor, outage = floor_with(open_floor, durable=False)
    opened(floor, "BTCUSDT", "ETHUSDT")
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.watch.latched_at = floor.clock.now_ms()
    began, operations = floor.clock.now_ms(), 0

    def hangs() -> bool:
        nonlocal operations
        operations += 1
        if operations > after:
            limit = patience()
            floor.clock.sleep(10 if limit is None else min(limit, 10))
        return operations > after

    outage.fails = hangs
    emergency.flatten_account(floor.desk, "stop")
    closes = [o for o in floor.orders() if o.reduce_only]
    assert len(closes) == 2
    assert max(o.time for o in closes) - began < 4_000
    outage.fails = lambda: False
    assert emergency.flatten_account(floor.desk, "stop", 1).flat
    emergency.settle_all(floor.desk)
    assert_all_recorded(floor)


def test_a_stop_goes_on_while_exchange_and_store_are_away_at_once(open_floor):
    """Nobody can be told that the exchange does not answer: it is asked again all the same."""
    floor, outage = floor_with(open_floor)
    floor.trade()
    floor.run(5)
    for what in (POSITIONS, ACCOUNT):
        floor.break_next(what, UNAVAILABLE, times=10_000, seconds=20)
    assert floor.http("POST", "/api/emergency-stop", {}).status == 202
    outage.fails = lambda: True
    floor.run(10)
    assert floor.held()
    floor.run(20)
    assert floor.held() == 0
    assert floor.algos() == []
    # Nor does the store's absence keep the trade from being booked by that workflow.
    floor.run(60)
    outage.fails = lambda: False
    floor.run(20)
    assert len(floor.trades()) == 1
    assert "emergency-flat" in floor.alerts()
    floor.run(320)
    assert_all_recorded(floor)
    assert floor.leaked() == ({}, [])


def test_a_stop_whose_run_breaks_is_taken_up_by_the_next(open_floor):
    """By an error that nobody has foreseen: within seconds, not with the guardian's next round."""
    floor, outage = floor_with(open_floor)
    floor.trade()
    floor.run(5)
    assert floor.http("POST", "/api/emergency-stop", {}).status == 202
    breaks = [RuntimeError("a defect"), RuntimeError("a defect")]

    def fails() -> bool:
        if breaks:
            raise breaks.pop()
        return False

    outage.fails = fails
    floor.run(12)
    assert not breaks
    assert floor.held() == 0
    floor.run(10)
    assert "emergency-flat" in floor.alerts()


def test_a_close_is_written_down_though_nothing_can_be_seen_after_it(open_floor):
    """Of a stranger's position, while the store was away: nobody books a trade of it."""
    floor, outage = floor_with(open_floor, durable=False)
    floor.expected = {1, 2, 3, 4, 7, 8}
    floor.trade_by_hand("XRPUSDT", "BUY", "100")
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.watch.latched_at = floor.clock.now_ms()
    outage.fails = lambda: True

    def after(method: str, url: str) -> None:
        if method.upper() == "POST" and url.split("?")[0].endswith("/v1/order"):
            outage.fails = lambda: False
            for what in (POSITIONS, ACCOUNT):
                floor.break_next(what, UNAVAILABLE, times=1000)

    floor.session.after = after
    with pytest.raises(ExchangeUnavailable):
        emergency.flatten_account(floor.desk, "stop")
    floor.session.after = lambda method, url: None
    floor.faults.rules.clear()
    assert emergency.flatten_account(floor.desk, "stop", 1).flat
    close = floor.orders()[-1].client_order_id
    assert intents(floor)[close] == 1
    assert {o["id"]: o["state"] for o in floor.documents("orders")}[close] == "filled"


@pytest.mark.parametrize("pressed", ["by hand", "by hand, without the store", "by the guardian"])
def test_a_stop_closes_though_the_task_hub_does_not_answer(open_floor, pressed):
    """It refuses nothing, it is silent: a request to it ends by itself after five minutes."""
    floor, outage = floor_with(open_floor, moves={"BTCUSDT": QUIET})
    rpc, asked = floor.platform.hub.rpc, []

    async def silent(request: Request) -> Response:
        if "emergency_workflow" in request.target and len(asked) < 2:
            asked.append(request)
            await asyncio.sleep(300)
        answer: Response = await rpc(request)
        return answer

    floor.platform.hub.rpc = silent
    floor.run(22)  # the guardian has just been there
    floor.trade()
    floor.run(5)
    assert floor.held()
    began = floor.clock.now_ms()
    if pressed == "by the guardian":
        evidence = {"operator": "ada", "reason": "none", "at": began}
        emergency.latch(floor.desk, "manual", evidence, "emergency-1")
        floor.watch.latched_at = began
        floor.timer("guardian")
    else:
        outage.fails = lambda: "without" in pressed
        floor.http("POST", "/api/emergency-stop", {})
        outage.fails = lambda: False
    assert asked
    assert not floor.held()
    assert floor.fills()[-1].time - began < 15_000
    floor.minutes(2)
    assert len(floor.trades()) == 1


@pytest.mark.parametrize("away", ["orders", "everything"])
@pytest.mark.parametrize("store", ["works", "fails"])
def test_a_stop_goes_on_by_itself_where_no_workflow_can_be_started(open_floor, away, store):
    """Its only run met an exchange that takes nothing; the guardian comes in a minute."""
    floor, outage = floor_with(open_floor, moves={"BTCUSDT": QUIET})
    floor.run(22)  # the guardian has just been there
    floor.trade()
    floor.run(5)
    assert floor.held()
    floor.durable_refuses = lambda request: "emergency_workflow" in request.target
    began = floor.clock.now_ms()
    for what in (ORDER,) if away == "orders" else (ORDER, POSITIONS, ACCOUNT):
        floor.break_next(what, UNAVAILABLE, times=10_000, seconds=12)
    outage.fails = lambda: store == "fails"
    answer = floor.http("POST", "/api/emergency-stop", {"operator": "ada"})
    assert answer.status == (202 if store == "works" else 503)
    assert not floor.held()
    assert floor.fills()[-1].time - began < 30_000
    outage.fails = lambda: False
    if store == "works":
        assert "kill-switch" in floor.alerts()
        assert "ada" in {r["evidence"]["operator"] for r in floor.audit("kill_switch")}
    else:
        assert floor.http("POST", "/api/emergency-stop", {"operator": "ada"}).status == 202
    floor.minutes(2)
    assert len(floor.trades()) == 1
