"""A chase that is slow or dead, and the guardian who ends its entry: one of them, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from chased import (
    FLAT,
    D,
    begun,
    chasing,
    die_at_look,
    enter,
    fill,
    guarded,
    in_order,
    planned,
    within_plan,
)
from desk import Floor

from shared.execution import assess, chase, entry
from shared.execution.guardian import guard
from shared.execution.tally import Tally
from shared.portfolio import positions


def test_a_round_of_the_guardian_leaves_the_stop_of_a_position_that_grows(open_floor):
    """It has read the smaller position; the chase fills more and protects it before it prunes."""
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS="10")
    signal = begun(floor)
    plan = assess.load(floor.desk, "BTCUSDT", signal)[1].plan
    state = {"looks": 0, "round": False, "grown": False}

    def before(method: str, url: str) -> None:
        resting = list(floor.account.working_orders("BTCUSDT"))
        if state["round"] and not state["grown"] and "openAlgoOrders" in url:
            state["grown"] = True
            floor.api.advance()
            fill(floor, "0.001")(resting[0])
            order = floor.desk.exchange.order("BTCUSDT", resting[0].client_order_id)
            total = Tally(plan).with_(order)
            record = positions.load(floor.desk.store, floor.desk.account, "BTCUSDT")[0]
            assert entry._secure(floor.desk, plan, record, total)
            guarded(floor, D("0.002"))
        elif method == "GET" and "/fapi/v1/order" in url and resting and not state["round"]:
            state["looks"] += 1
            if state["looks"] == 2:
                floor.api.advance()
                fill(floor, "0.001")(resting[0])
            if state["looks"] == 4:
                state["round"] = True
                guard(floor.desk)
                assert state["grown"]
                guarded(floor, D("0.002"))

    floor.session.before = before
    assert enter(floor, signal).status == "protected"
    guarded(floor, planned(floor, signal))
    in_order(floor)


def test_what_rests_of_a_dead_chase_is_cancelled_before_its_trade_is_booked(open_floor):
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS="10")
    # The rest fills while nobody is there; somebody sells by hand, without permit and record.
    floor.expected = {1, 4, 7}
    signal = begun(floor)
    die_at_look(floor, signal, 3, "0.001")
    floor.trade_by_hand("BTCUSDT", "SELL", "0.001", "NONE")
    floor.clock.sleep(20)
    floor.api.advance()
    filled = [False]

    def before(method: str, url: str) -> None:
        resting = list(floor.account.working_orders("BTCUSDT"))
        if resting and method == "DELETE" and not filled[0]:
            # The last moment at which it still can.
            filled[0] = True
            floor.api.advance()
            fill(floor, "0.002")(resting[0])

    floor.session.before = before
    guard(floor.desk)
    assert filled[0]
    assert floor.trades() == []
    assert floor.held() == D("0.002")
    in_order(floor)
    guarded(floor, D("0.002"))


def between_orders(floor: Floor, act: Callable[[], None], after: int = 1) -> None:
    """Something happens while a live chase has nothing resting, before its next order."""
    done = [False]

    def before(method: str, url: str) -> None:
        resting = list(floor.account.working_orders("BTCUSDT"))
        if not done[0] and "bookTicker" in url and not resting and len(floor.entries()) >= after:
            done[0] = True
            floor.api.advance()
            act()

    floor.session.before = before


@pytest.mark.parametrize("part", ["", "0.001"])
def test_a_slow_run_sends_nothing_after_the_guardian_has_ended_its_entry(open_floor, part):
    floor = chasing(open_floor, [(1, 0.001), (60, 0.001)], ENTRY_CHASE_SECONDS="10")
    floor.expected = {4}  # the first part waits for its slow process
    signal = begun(floor)
    ended: list[int] = []
    looks = [0]

    def slow() -> None:
        floor.clock.sleep(16)
        floor.api.advance()
        guard(floor.desk)
        ended.append(len(floor.entries()))
        assert len(floor.services.ledger.read().entries) == bool(part)

    between_orders(floor, slow)
    then = floor.session.before

    def before(method: str, url: str) -> None:
        resting = list(floor.account.working_orders("BTCUSDT"))
        if part and method == "GET" and "/fapi/v1/order" in url and resting and not ended:
            looks[0] += 1
            if looks[0] == 2:
                floor.api.advance()
                fill(floor, part)(resting[0])
        then(method, url)

    floor.session.before = before
    enter(floor, signal)
    assert ended == [len(floor.entries())]
    assert within_plan(floor, signal) == D(part or "0")
    in_order(floor)


def test_an_entry_that_was_only_slow_before_its_first_order_is_not_sent_after_it_was_given_up(
    open_floor,
):
    floor = chasing(open_floor, FLAT)
    signal = begun(floor)
    slow = [True]

    def before(method: str, url: str) -> None:
        if slow[0] and "bookTicker" in url:
            slow[0] = False
            floor.clock.sleep(16)
            floor.api.advance()
            guard(floor.desk)
            assert floor.leaked() == ({}, [])

    floor.session.before = before
    assert enter(floor, signal).status == "rejected"
    assert floor.entries() == []
    in_order(floor)


def test_an_order_on_its_way_keeps_the_guardian_from_freeing_anything(open_floor):
    """The other order of things: the slow run has stored its next intent first."""
    floor = chasing(open_floor, [(1, 0.001), (60, 0.001)], ENTRY_CHASE_SECONDS="10")
    signal = begun(floor)
    seen: list[Any] = []

    def before(method: str, url: str) -> None:
        resting = list(floor.account.working_orders("BTCUSDT"))
        sending = method == "POST" and "/fapi/v1/order" in url and not resting
        if sending and len(floor.entries()) == 1 and not seen:
            seen.append(None)
            floor.api.advance()
            record = positions.load(floor.desk.store, floor.desk.account, "BTCUSDT")[0]
            seen[0] = chase.conclude(floor.desk, "BTCUSDT", record.decision_id)
            assert floor.services.kill_switch.outstanding_permits()

    floor.session.before = before
    # That order is followed to its end, and none comes after it.
    assert enter(floor, signal).status == "rejected"
    assert seen == [False]
    assert len(floor.entries()) == 2
    in_order(floor)
