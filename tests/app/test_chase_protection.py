"""Every part that a chase fills is protected, whatever hesitates, fails or closes it meanwhile."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from chased import (
    CANCEL,
    FLAT,
    D,
    Meanwhile,
    begun,
    chasing,
    enter,
    fill,
    guarded,
    in_order,
    planned,
    within_plan,
)
from desk import ALGO, GET_ALGO, GET_ORDER, NOT_FOUND, OPEN_ALGOS, ORDER, UNAVAILABLE, Floor
from watched import PROMISED, end

from local.exchange.faults import error_answer
from shared.execution.guardian import guard
from shared.simulation.orders import Order


def test_a_covered_position_outlives_a_venue_that_hesitates(open_floor):
    """Its stop is live; three seconds in which nobody can look at it are no reason to close."""
    floor = chasing(open_floor, [(1, 0.0015), (60, 0.0015)], ENTRY_CHASE_SECONDS="10")
    signal = begun(floor)
    Meanwhile(floor, 1, fill(floor, "0.001"))
    refused = error_answer(400, -2019, "Margin is insufficient.")

    def last(request: Any) -> bool:
        if b"IOC" not in request.body:
            return False
        for what in (ALGO, GET_ALGO, OPEN_ALGOS):
            floor.break_next(what, UNAVAILABLE, times=1000, seconds=3)
        return True

    floor.break_next(ORDER, refused, where=last)
    assert enter(floor, signal).status == "protected"
    guarded(floor, D("0.001"))
    in_order(floor)


def test_a_part_that_got_no_stop_and_was_closed_ends_the_entry(open_floor):
    """Another instance has placed one in the meantime: that is no reason to buy the rest."""
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS="10")
    signal = begun(floor)
    Meanwhile(floor, 2, fill(floor, "0.001"))
    meanwhile, attempts, other = floor.session.before, [0], [False]

    def closed() -> bool:
        return any(o.reduce_only for o in floor.orders())

    def before(method: str, url: str) -> None:
        meanwhile(method, url)
        if method == "POST" and "algoOrder" in url and not other[0]:
            attempts[0] += 1
            if attempts[0] == 4:
                other[0] = True
                guard(floor.desk)
                other[0] = False

    floor.session.before = before
    floor.break_next(
        ALGO, UNAVAILABLE, times=1000, where=lambda request: not (other[0] or closed())
    )
    assert enter(floor, signal).status == "flat"
    assert closed()
    assert len(floor.entries()) == 1
    assert within_plan(floor, signal) == D("0.001")
    assert not floor.held()
    in_order(floor)


def test_what_was_closed_meanwhile_is_no_part_of_the_next_stop(open_floor):
    """The first part is sold again; then more of the entry fills."""
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS="10")
    floor.expected = {1, 7, 8}  # somebody sells by hand
    signal = begun(floor)

    def act(order: Order) -> None:
        floor.trade_by_hand("BTCUSDT", "SELL", "0.001")
        fill(floor, "0.002")(order)

    looks = [0]

    def before(method: str, url: str) -> None:
        resting = list(floor.account.working_orders("BTCUSDT"))
        if method == "GET" and "/fapi/v1/order" in url and resting:
            looks[0] += 1
            if looks[0] in (2, 4):
                floor.api.advance()
                (fill(floor, "0.001") if looks[0] == 2 else act)(resting[0])

    floor.session.before = before
    placed: list[Decimal] = []
    floor.venue.on_event(
        lambda e: (
            placed.append(e.record.quantity)
            if e.kind == "ALGO" and e.record.status == "NEW" and e.record.type == "STOP_MARKET"
            else None
        )
    )
    enter(floor, signal)
    assert placed[:2] == [D("0.001"), D("0.002")]
    assert max(placed) <= floor.held() == planned(floor, signal) - D("0.001")


class Vanishes:
    """A part fills at the second look at the resting entry; later its stop ends without a word."""

    def __init__(self, floor: Floor) -> None:
        self.seconds = 0.0
        self.at: int | None = None
        self.back: int | None = None
        self._floor, self._looks = floor, 0
        self._began = floor.clock.now_ms()
        floor.session.before = self._before
        floor.venue.on_event(self._see)

    def _before(self, method: str, url: str) -> None:
        resting = list(self._floor.account.working_orders("BTCUSDT"))
        if method == "GET" and "/fapi/v1/order" in url and resting:
            self._looks += 1
            if self._looks == 2:
                self._floor.api.advance()
                fill(self._floor, "0.001")(resting[0])
        passed = self._floor.clock.now_ms() - self._began
        if self.at is None and passed > self.seconds * 1000 and self._floor.stops():
            end(self._floor, "EXPIRED")
            self.at = self._floor.clock.now_ms()

    def _see(self, event: Any) -> None:
        if self.at and not self.back and event.kind == "ALGO" and event.record.status == "NEW":
            self.back = event.time

    def placed(self, request: Any) -> bool:
        return self.at is not None or bool(self._floor.stops())

    def check(self) -> None:
        assert self.at is not None
        assert self.back is not None
        assert self.back - self.at < PROMISED


def test_a_stop_that_vanishes_while_the_rest_of_its_entry_rests_is_back_within_seconds(open_floor):
    """The watch over the account begins when the entry has ended."""
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS="10")
    signal = begun(floor)
    stop = Vanishes(floor)
    stop.seconds = 2
    assert enter(floor, signal).status == "protected"
    stop.check()
    in_order(floor)


@pytest.mark.parametrize("seconds", [25, 30.5])
def test_nor_is_it_left_alone_while_the_entry_s_end_cannot_be_learned(open_floor, seconds):
    """For up to a minute that was waited for, and nothing else was looked at."""
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS="5")
    signal = begun(floor)
    stop = Vanishes(floor)
    stop.seconds = seconds
    for what, how in ((GET_ORDER, NOT_FOUND), (CANCEL, UNAVAILABLE)):
        floor.break_next(what, how, times=1000, seconds=70, where=stop.placed)
    enter(floor, signal)
    stop.check()
    floor.faults.rules.clear()
    in_order(floor)


@pytest.mark.parametrize("answer", [NOT_FOUND, UNAVAILABLE], ids=["not found", "not answered"])
def test_what_fills_while_its_order_cannot_be_looked_up_is_protected(open_floor, answer):
    """The position shows it: it need not wait until somebody can say what became of the order."""
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS="10")
    signal = begun(floor)
    filled: list[int] = []

    def act(order: Order) -> None:
        fill(floor, "0.001")(order)
        filled.append(floor.clock.now_ms())
        floor.break_next(GET_ORDER, answer, times=1000, seconds=20)

    Meanwhile(floor, 2, act)
    placed: list[int] = []
    floor.venue.on_event(lambda e: placed.append(e.time) if e.kind == "ALGO" else None)
    enter(floor, signal)
    assert placed[0] - filled[0] < PROMISED
    within_plan(floor, signal)
    floor.faults.rules.clear()
    in_order(floor)
