"""A latch or an emergency stop in the middle of a chase: nothing rests, no permit is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from chased import (
    AWAY,
    FLAT,
    D,
    Meanwhile,
    begun,
    chasing,
    die_at_look,
    enter,
    fill,
    in_order,
    stop_now,
    within_plan,
)
from desk import ORDER, UNKNOWN_503, Floor

from shared.execution import emergency
from shared.execution.guardian import guard
from shared.execution.ids import client_id
from shared.simulation.orders import Order


def stop_everything(floor: Floor) -> Callable[[Order], None]:
    def act(_order: Order) -> None:
        evidence = {"operator": "t", "reason": "t", "at": floor.clock.now_ms()}
        emergency.latch(floor.desk, "manual", evidence, "emergency-1")
        emergency.flatten_account(floor.desk, "emergency-1")

    return act


@pytest.mark.parametrize("part", ["0", "0.001"])
def test_an_emergency_stop_in_the_middle_cancels_it(open_floor, part):
    floor = chasing(open_floor, FLAT)
    signal = begun(floor)
    stop = stop_everything(floor)

    def act(order: Order) -> None:
        if D(part):
            fill(floor, part)(order)
        stop(order)

    Meanwhile(floor, 3, act)
    result = enter(floor, signal)
    assert result.status in ("flat", "declined", "rejected")
    assert not floor.held()
    assert within_plan(floor, signal) == D(part)
    floor.session.before = lambda method, url: None
    for attempt in range(1, 4):
        assert emergency.flatten_account(floor.desk, "emergency-1", attempt).flat
    emergency.settle_all(floor.desk)
    assert not floor.algos()
    guard(floor.desk)
    assert floor.leaked() == ({}, [])
    assert len(floor.trades()) == bool(D(part))


def test_a_latch_alone_refuses_the_next_order(open_floor):
    floor = chasing(open_floor, AWAY)
    signal = begun(floor)

    def latch(_order: Order) -> None:
        evidence = {"operator": "t", "reason": "t", "at": floor.clock.now_ms()}
        emergency.latch(floor.desk, "manual", evidence, "emergency-1")

    Meanwhile(floor, 1, latch)
    assert enter(floor, signal).status == "declined"
    assert len(floor.entries()) == 1
    assert within_plan(floor, signal) == 0


def test_an_emergency_stop_waits_for_an_entry_that_rests_however_old_its_permit(open_floor):
    """It fills between the look at the positions and the one at the orders."""
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS="10")
    floor.expected = {4}  # its process is dead
    signal = begun(floor)
    die_at_look(floor, signal, 14)
    stop_now(floor)
    filled = [False]

    def before(method: str, url: str) -> None:
        resting = list(floor.account.working_orders("BTCUSDT"))
        if method == "GET" and "openOrders" in url and resting and not filled[0]:
            filled[0] = True
            floor.api.advance()
            fill(floor, "0.004")(resting[0])

    floor.session.before = before
    result = emergency.flatten_account(floor.desk, "emergency-1")
    assert filled[0]
    assert result.flat == (not floor.held())
    assert emergency.flatten_account(floor.desk, "emergency-1", 1).flat
    assert not floor.held()
    in_order(floor)
    emergency.settle_all(floor.desk)


def test_a_permit_that_a_dead_process_left_is_resolved_without_a_stop(open_floor):
    """Nothing of the decision is left but the permit of its second order."""
    floor = chasing(open_floor, FLAT)
    key = client_id("main", "a-decision", "e", 1)
    floor.services.kill_switch.acquire_permit(key)
    guard(floor.desk)
    assert list(floor.services.kill_switch.outstanding_permits()) == [key]
    floor.clock.sleep(20)
    stop_now(floor, closing=False)
    guard(floor.desk)
    assert floor.services.kill_switch.outstanding_permits() == {}


def test_a_latch_that_only_holds_ends_an_entry_that_rests(open_floor):
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS="10")
    signal = begun(floor)
    latched: list[int] = []

    def latch(_order: Order) -> None:
        stop_now(floor, closing=False)
        latched.append(floor.clock.now_ms())

    Meanwhile(floor, 2, latch)
    assert enter(floor, signal).status == "declined"
    (order,) = floor.entries()
    assert order.status == "CANCELED"
    assert order.update_time - latched[0] <= 1_500
    assert floor.leaked() == ({}, [])
    in_order(floor)


def test_a_latch_after_an_order_was_lost_leaves_no_permit(open_floor):
    """Nobody finds the second order, and nobody sends it again: clear must work all the same."""
    floor = chasing(open_floor, AWAY)
    signal = begun(floor)
    count = [0]

    def second(request: Any) -> bool:
        count[0] += b"bq-e-" in request.body
        if count[0] == 2 and floor.services.kill_switch.ensure().state == "armed":
            stop_now(floor, closing=False)
        return count[0] == 2

    floor.break_next(ORDER, UNKNOWN_503, executed=False, where=second)
    assert enter(floor, signal).status == "unknown"
    for _ in range(4):
        floor.clock.sleep(60)
        floor.api.advance()
        guard(floor.desk)
    assert floor.leaked() == ({}, [])
    assert len(floor.entries()) == 1
