"""Entering post-only: resting, moved along, filled in parts, interrupted at every step.

The books of the exchange decide: never more than the plan, never unprotected, nothing left over.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from chased import (
    AWAY,
    CANCEL,
    DIP,
    FLAT,
    GONE,
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
from desk import GET_ORDER, LOST, NOT_FOUND, ORDER, UNAVAILABLE, UNKNOWN_503, Crash, Floor

from local.exchange.faults import error_answer
from shared import settings
from shared.execution import assess

# ---------------------------------------------------------------------- the ways it goes


def test_filled_as_a_maker(open_floor):
    floor = chasing(open_floor, DIP)
    signal = begun(floor)
    assert enter(floor, signal).status == "protected"
    assert within_plan(floor, signal) == planned(floor, signal)
    assert all(f.maker for f in floor.fills())
    assert [o.time_in_force for o in floor.entries()] == ["GTX"]
    guarded(floor, planned(floor, signal))
    in_order(floor)


def test_moved_along_and_at_last_taken(open_floor):
    floor = chasing(open_floor, AWAY)
    signal = begun(floor)
    assert enter(floor, signal).status == "protected"
    assert within_plan(floor, signal) == planned(floor, signal)
    sent = floor.entries()
    assert len(sent) >= 3
    assert [o.time_in_force for o in sent[:-1]] == ["GTX"] * (len(sent) - 1)
    assert sent[-1].time_in_force == "IOC"
    assert [o.price for o in sent] == sorted(o.price for o in sent)
    assert len({o.client_order_id for o in sent}) == len(sent)
    permits = [b["clientOrderId"] for b in floor.audit("permit")]
    assert permits == [o.client_order_id for o in sent]
    in_order(floor)


def test_a_price_beyond_the_plan_is_not_followed(open_floor):
    floor = chasing(open_floor, GONE)
    signal = begun(floor)
    assert enter(floor, signal).status == "rejected"
    assert within_plan(floor, signal) == 0
    assert floor.leaked() == ({}, [])
    in_order(floor)


def test_a_sale_does_not_follow_where_it_would_be_larger_than_allowed(open_floor):
    floor = chasing(open_floor, [(1, 0.05), (60, 0.05)])
    signal = begun(floor, "SELL")
    enter(floor, signal)
    plan = assess.load(floor.desk, "BTCUSDT", signal)[1].plan
    cost = sum(f.quantity * f.price for f in floor.fills())
    assert cost <= plan.worst_notional
    in_order(floor)


@pytest.mark.parametrize("seconds", ["1", "10"])
def test_the_time_for_resting_is_kept(open_floor, seconds):
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS=seconds)
    signal = begun(floor)
    start = floor.clock.now_ms()
    assert enter(floor, signal).status == "protected"
    took = floor.entries()[-1].time - start
    assert int(seconds) * 1000 <= took <= int(seconds) * 1000 + 1500


def test_partly_filled_is_protected_at_once_and_the_rest_goes_on(open_floor):
    """Invariant 4 is watched throughout: the first part never waits for the chase."""
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS="10")
    signal = begun(floor)
    Meanwhile(floor, 2, fill(floor, "0.001"))
    stops: list[tuple[int, Decimal]] = []
    floor.venue.on_event(
        lambda e: (
            stops.append((e.time, e.record.quantity))
            if e.kind == "ALGO" and e.record.status == "NEW" and e.record.type == "STOP_MARKET"
            else None
        )
    )
    assert enter(floor, signal).status == "protected"
    full = planned(floor, signal)
    assert within_plan(floor, signal) == full
    first = floor.fills()[0]
    assert stops[0][1] == D("0.001")
    assert stops[0][0] - first.time <= 1_500
    assert stops[-1][1] == full
    guarded(floor, full)
    in_order(floor)


def test_a_small_rest_is_taken(open_floor):
    """All but one step has filled: the last one is taken when the time is up."""
    floor = chasing(open_floor, FLAT)
    signal = begun(floor)
    full = planned(floor, signal)
    Meanwhile(floor, 2, fill(floor, str(full - D("0.001"))))
    assert enter(floor, signal).status == "protected"
    assert within_plan(floor, signal) == full  # 0.001 BTC is above the 50 USDT minimum
    in_order(floor)


def test_it_may_be_used_on_production_and_is_not_the_default():
    values = {"BINANCE_ENVIRONMENT": "production", "TRADING_STAGE": "limited"}
    assert settings.load(values).entry_style == "ioc"
    assert settings.load(values | {"ENTRY_STYLE": "post_only"}).entry_style == "post_only"


@pytest.mark.parametrize(
    "what", [(CANCEL,), (CANCEL, GET_ORDER)], ids=["cancels", "cancels and look-ups"]
)
def test_an_order_that_cannot_be_ended_is_stayed_with_until_it_is(open_floor, what):
    """It fills twelve seconds after its time was up; invariant 4 is watched throughout."""
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS="1")
    signal = begun(floor)
    start = floor.clock.now_ms()
    filled: list[int] = []

    def before(method: str, url: str) -> None:
        resting = list(floor.account.working_orders("BTCUSDT"))
        if resting and floor.clock.now_ms() > start + 12_000 and not filled:
            filled.append(floor.clock.now_ms())
            floor.api.advance()
            fill(floor, "0.001")(resting[0])

    floor.session.before = before
    floor.break_next(CANCEL, UNAVAILABLE, times=10_000, seconds=30)
    if GET_ORDER in what:
        floor.break_next(GET_ORDER, UNAVAILABLE, times=10_000, seconds=15)
    stops: list[int] = []
    floor.venue.on_event(lambda e: stops.append(e.time) if e.kind == "ALGO" else None)
    assert enter(floor, signal).status == "protected"
    assert stops[0] - filled[0] <= 5_000
    assert floor.clock.now_ms() - start > 30_000
    assert within_plan(floor, signal) == D("0.001")
    guarded(floor, D("0.001"))
    in_order(floor)


# ---------------------------------------------------------------------- answers that fail


ANSWERS = {
    "unknown": UNKNOWN_503,
    "lost": LOST,
    "would take": error_answer(400, -5022, "Due to the order could not be executed as maker."),
    "margin": error_answer(400, -2019, "Margin is insufficient."),
    "throttled": error_answer(429, -1015, "Too many new orders."),
    "down": UNAVAILABLE,
}


@pytest.mark.parametrize(
    ("name", "executed"),
    [*((name, False) for name in ANSWERS), ("unknown", True), ("lost", True)],
)
@pytest.mark.parametrize("which", [1, 2])
def test_answers_to_its_orders(open_floor, name, executed, which):
    floor = chasing(open_floor, AWAY)
    signal = begun(floor)
    count = [0]

    def nth(request: Any) -> bool:
        if b"bq-e-" in request.body:
            count[0] += 1
        return count[0] == which

    floor.break_next(ORDER, ANSWERS[name], executed=executed, where=nth)
    enter(floor, signal)
    in_order(floor)
    done = within_plan(floor, signal)
    if done:
        guarded(floor, done)


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        (CANCEL, UNKNOWN_503),
        (CANCEL, UNAVAILABLE),
        (GET_ORDER, UNAVAILABLE),
        (GET_ORDER, NOT_FOUND),
    ],
    ids=["cancel unknown", "cancel down", "look-up down", "look-up finds nothing"],
)
def test_views_and_cancels_that_fail_for_a_while(open_floor, what, answer):
    floor = chasing(open_floor, AWAY)
    signal = begun(floor)
    start = floor.clock.now_ms()
    floor.break_next(what, answer, times=10_000, seconds=25)
    enter(floor, signal)
    floor.clock.sleep(max(0.0, 30 - (floor.clock.now_ms() - start) / 1000))
    in_order(floor)
    done = within_plan(floor, signal)
    if done:
        guarded(floor, done)


# ---------------------------------------------------------------------- killed at every step


def test_killed_at_every_effect_and_taken_up(open_floor):
    """Killed before each change in turn, run again at once, and once more left to the guardian."""
    effects = _effects(open_floor)
    assert effects > 20
    for again in (True, False):
        for at in range(0, effects, 3 if again else 5):
            floor = chasing(open_floor, AWAY)
            floor.expected = {4}  # a killed process protects nothing until somebody looks
            signal = begun(floor)
            Meanwhile(floor, 2, fill(floor, "0.001"))
            meanwhile = floor.session.before
            left = [at]

            def die(left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] == -1:
                    raise Crash

            def request(method: str, url: str, seen: Any = meanwhile, die: Any = die) -> None:
                seen(method, url)
                if method != "GET":
                    die()

            floor.session.before = request
            floor.store.before = lambda name, args, die=die: die()
            with pytest.raises(Crash):
                enter(floor, signal)
            floor.store.before = lambda name, args: None
            floor.session.before = meanwhile
            if again:
                enter(floor, signal)
            in_order(floor, 2 if again else 6)
            done = within_plan(floor, signal)
            if done:
                guarded(floor, done)


def _effects(open_floor: Callable[..., Floor]) -> int:
    """How many changes one such entry makes, in the store and at the exchange."""
    floor = chasing(open_floor, AWAY)
    signal = begun(floor)
    Meanwhile(floor, 2, fill(floor, "0.001"))
    meanwhile, count = floor.session.before, [0]

    def counted(method: str, url: str) -> None:
        meanwhile(method, url)
        count[0] += method != "GET"

    floor.session.before = counted

    def stored(name: str, args: Any) -> None:
        count[0] += 1

    floor.store.before = stored
    enter(floor, signal)
    floor.store.before = lambda name, args: None
    return count[0]
