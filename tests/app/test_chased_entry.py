"""Entering post-only: resting, moved along, filled in parts, interrupted at every step.

The books of the exchange decide: never more than the plan, never unprotected, nothing left over.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from desk import (
    ALGO,
    GET_ALGO,
    GET_ORDER,
    LOST,
    NOT_FOUND,
    OPEN_ALGOS,
    ORDER,
    UNAVAILABLE,
    UNKNOWN_503,
    Crash,
    Floor,
)

from local.exchange.faults import ApiResponse, error_answer
from shared import settings
from shared.errors import StoreUnavailable
from shared.execution import assess, chase, emergency, entry
from shared.execution.entry import EntryResult
from shared.execution.guardian import guard
from shared.execution.ids import client_id
from shared.execution.reconcile import reconcile
from shared.execution.tally import Tally
from shared.portfolio import positions
from shared.simulation.orders import Order
from shared.simulation.settlement import settle

D = Decimal
CANCEL = ("DELETE", "/fapi/v1/order")
FLAT = [(60, 0.0)]
#: A dip that reaches a resting purchase within seconds, and back.
DIP = [(1, -0.004), (2, 0.0), (60, 0.0)]
#: Away from a resting purchase, but within the 0.2 % that the plan allows.
AWAY = [(1, 0.003), (60, 0.003)]
#: Beyond it.
GONE = [(1, 0.05), (60, 0.05)]


def chasing(open_floor: Callable[..., Floor], knots: Any, **settings: str) -> Floor:
    floor = open_floor(
        {"BTCUSDT": knots}, settings={"ENTRY_STYLE": "post_only", **settings}, durable=False
    )
    # The exchange moves the price of such a bar in its second third.
    floor.clock.sleep(20)
    floor.api.advance()
    return floor


def begun(floor: Floor, side: str = "BUY") -> str:
    """A decision, not executed yet."""
    signal = floor.signal("BTCUSDT", side)
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    return signal.id


def enter(floor: Floor, signal: str) -> EntryResult:
    return entry.open_position(floor.desk, "BTCUSDT", signal)


def planned(floor: Floor, signal: str) -> Decimal:
    decision = assess.load(floor.desk, "BTCUSDT", signal)
    assert decision is not None
    assert decision[1].plan is not None
    return decision[1].plan.quantity


def within_plan(floor: Floor, signal: str) -> Decimal:
    """What the entry's orders executed; together never more than was planned, never two open."""
    done = sum((o.executed for o in floor.entries()), D(0))
    assert done <= planned(floor, signal)
    assert not [o for o in floor.entries() if o.is_open]
    return done


def guarded(floor: Floor, quantity: Decimal) -> None:
    assert floor.held() == quantity
    assert sum(s.quantity for s in floor.stops()) >= quantity


def in_order(floor: Floor, rounds: int = 2) -> None:
    """After some rounds nothing is held for the entry but the position itself."""
    for _ in range(rounds):
        floor.clock.sleep(60)
        floor.api.advance()
        guard(floor.desk)
    reconcile(floor.desk)
    assert floor.services.kill_switch.outstanding_permits() == {}
    assert len(floor.services.ledger.read().entries) == bool(floor.held())
    assert len(floor.stops()) == bool(floor.held())


class Meanwhile:
    """Something happens to the account while an entry rests, at a request of the chase."""

    def __init__(self, floor: Floor, at: int, act: Callable[[Order], None]) -> None:
        self.looks = 0
        self.done = False

        def before(method: str, url: str) -> None:
            resting = list(floor.account.working_orders("BTCUSDT"))
            if method == "GET" and "/fapi/v1/order" in url and resting and not self.done:
                self.looks += 1
                if self.looks == at:
                    self.done = True
                    floor.api.advance()
                    act(resting[0])

        floor.session.before = before


def fill(floor: Floor, quantity: str) -> Callable[[Order], None]:
    """Part of a resting order executes."""

    def act(order: Order) -> None:
        core, account = floor.venue.core, floor.account
        settle(core, account, order, order.price, D(quantity), maker=True)

    return act


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


# ---------------------------------------------------------------------- stopped in the middle


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


def test_it_may_be_used_on_production_and_is_not_the_default():
    values = {"BINANCE_ENVIRONMENT": "production", "TRADING_STAGE": "limited"}
    assert settings.load(values).entry_style == "ioc"
    assert settings.load(values | {"ENTRY_STYLE": "post_only"}).entry_style == "post_only"


# ---------------------------------------------------------------------- others at the same time


class Dead(Exception):
    """The process of the chase ends here."""


def stop_now(floor: Floor, *, closing: bool = True) -> None:
    evidence = {"operator": "t", "reason": "t", "at": floor.clock.now_ms()}
    emergency.latch(floor.desk, "manual", evidence, "emergency-1", closing=closing)


def die_at_look(floor: Floor, signal: str, at: int, part: str = "") -> None:
    """The chase's process ends at a look at its resting order; ``part`` had filled before."""
    looks = [0]

    def before(method: str, url: str) -> None:
        resting = list(floor.account.working_orders("BTCUSDT"))
        if method == "GET" and "/fapi/v1/order" in url and resting:
            looks[0] += 1
            if looks[0] == 2 and part:
                floor.api.advance()
                fill(floor, part)(resting[0])
            if looks[0] == at:
                raise Dead

    floor.session.before = before
    with pytest.raises(Dead):
        enter(floor, signal)
    floor.session.before = lambda method, url: None


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


def filled_late(open_floor: Callable[..., Floor]) -> tuple[Floor, str]:
    """The order was sent, nobody could find it for long enough, and then it filled."""
    floor = chasing(open_floor, FLAT, ENTRY_CHASE_SECONDS="10")
    signal = begun(floor)
    floor.break_next(ORDER, LOST, executed=True)
    die_at_look(floor, signal, 1)
    (order,) = floor.entries()
    floor.break_next(GET_ORDER, NOT_FOUND, times=1000, seconds=180)
    floor.clock.sleep(160)
    guard(floor.desk)
    assert floor.leaked() == ({}, [])
    floor.clock.sleep(30)
    floor.api.advance()
    fill(floor, "0.002")(order)
    return floor, signal


def booked_late(floor: Floor, signal: str) -> None:
    """Like any other trade: the trades, the day's result and the wallet agree."""
    assert not floor.held()
    (trade,) = floor.trades()
    assert trade["id"].startswith(f"{signal}-late-")
    assert trade["exitReason"] == "filled after its trade was over"
    gained = floor.account.wallet_balance() - D(5000)
    assert D(trade["netPnl"]) == gained == floor.services.ledger.read().day_realized_pnl != 0
    assert floor.documents("positions")[0]["state"] == "closed"
    assert "late-fill" in floor.alerts()
    assert floor.leaked() == ({}, [])


def test_what_an_entry_opens_after_its_record_was_closed_is_closed_not_taken_for_a_stranger(
    open_floor,
):
    floor, signal = filled_late(open_floor)
    floor.expected = {1, 4, 8}  # the fill is ours to invent: the order there says nothing of it
    seen = guard(floor.desk)
    assert (seen.closed, seen.foreign) == (1, 0)
    assert not floor.held()
    floor.clock.sleep(60)
    guard(floor.desk)
    booked_late(floor, signal)


@pytest.mark.parametrize("trouble", ["refused", "unanswered", "no store", "no store later"])
def test_a_late_fill_that_cannot_be_closed_or_recorded_at_once_is_taken_up_again(
    open_floor, trouble
):
    floor, signal = filled_late(open_floor)
    floor.expected = {1, 4, 8}  # the fill is ours to invent: the order there says nothing of it
    if trouble == "refused":
        floor.break_next(ORDER, UNAVAILABLE, times=1000, seconds=10)
    elif trouble == "unanswered":
        floor.break_next(ORDER, LOST, executed=True)
    else:
        first = "positions" if trouble == "no store" else "orders"
        until: list[int] = []

        def fail(name: str, arguments: tuple[Any, ...]) -> None:
            if not until and arguments[0] == first:
                until.append(floor.clock.now_ms() + 1_000)
            if until and floor.clock.now_ms() < until[0]:
                raise StoreUnavailable("down")

        floor.store.before = fail
    guard(floor.desk)
    floor.store.before = lambda name, args: None
    for _ in range(4):
        floor.clock.sleep(60)
        floor.api.advance()
        guard(floor.desk)
        reconcile(floor.desk)
    booked_late(floor, signal)


FILLS = ("GET", "/fapi/v1/userTrades")


@pytest.mark.parametrize(
    "trouble", ["", "refused", "unanswered", "no store", "no fills", "no fills yet", "dead"]
)
def test_a_late_fill_that_an_emergency_stop_closes_is_a_trade_like_any_other(open_floor, trouble):
    """Closing comes first; whose it was is found out afterwards, whatever hinders that."""
    floor, signal = filled_late(open_floor)
    floor.expected = {1, 4, 8}  # the fill is ours to invent: the order there says nothing of it
    if trouble == "refused":
        floor.break_next(ORDER, UNAVAILABLE, times=1000, seconds=10)
    elif trouble == "unanswered":
        floor.break_next(ORDER, LOST, executed=True)
    elif trouble == "no fills":
        floor.break_next(FILLS, UNAVAILABLE, times=1000, seconds=90)
    elif trouble == "no fills yet":
        floor.break_next(FILLS, ApiResponse(200, {}, b"[]"), times=1000, seconds=90)
    stop_now(floor)
    if trouble == "no store":
        until = floor.clock.now_ms() + 8_000

        def fail(name: str, arguments: tuple[Any, ...]) -> None:
            if floor.clock.now_ms() < until:
                raise StoreUnavailable("down")

        floor.store.before = fail
    attempt, flat = 0, False
    while not flat and attempt < 20:
        flat = emergency.flatten_account(floor.desk, "emergency-1", attempt).flat
        attempt += 1
        floor.clock.sleep(2)
    assert flat
    assert not floor.held()
    if trouble != "dead":
        emergency.settle_all(floor.desk)
    for _ in range(3):
        floor.clock.sleep(60)
        floor.api.advance()
        guard(floor.desk)
        reconcile(floor.desk)
    booked_late(floor, signal)
    emergency.settle_all(floor.desk)
    booked_late(floor, signal)


def test_what_an_emergency_stop_closes_of_somebody_else_is_no_trade_of_ours(open_floor):
    floor = chasing(open_floor, DIP)
    floor.expected = {1, 4, 7, 8}
    signal = begun(floor)
    enter(floor, signal)
    floor.trade_by_hand("BTCUSDT", "SELL", str(floor.held()))
    in_order(floor)
    floor.trade_by_hand("BTCUSDT", "BUY", "0.002")
    stop_now(floor)
    assert emergency.flatten_account(floor.desk, "emergency-1").flat
    emergency.settle_all(floor.desk)
    reconcile(floor.desk)
    (trade,) = floor.trades()
    assert trade["id"] == signal
    assert "late-fill" not in floor.alerts()


def test_what_somebody_buys_by_hand_after_a_trade_stays_a_stranger_s(open_floor):
    floor = chasing(open_floor, DIP)
    floor.expected = {1, 4, 7, 8}
    signal = begun(floor)
    enter(floor, signal)
    floor.trade_by_hand("BTCUSDT", "SELL", str(floor.held()))
    in_order(floor)
    floor.trade_by_hand("BTCUSDT", "BUY", "0.002")
    seen = guard(floor.desk)
    assert (seen.closed, seen.foreign) == (0, 1)
    assert floor.held() == D("0.002")


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
