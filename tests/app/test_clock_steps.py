"""The clock of an instance is set while it works, stands still with it, or is another's no more.

NTP steps a clock; a virtual machine that was paused goes on with the time of before. Neither may
have an order sent twice, make old news look fresh, or hold up a stop.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from desk import ALGO, GET_ORDER, OPEN_ALGOS, ORDER, UNAVAILABLE, UNKNOWN_503, Floor
from test_clock_ahead import Ahead
from test_guardian_rounds import FULL, cancel, later, opened
from test_unknown_outcomes import is_leg

from shared.bootstrap import Services
from shared.execution import assess, entry, stop_watch, survey
from shared.execution.books import STORE_MS, Books
from shared.execution.elapsed import Elapsed
from shared.execution.guardian import confirm_protection, guard
from shared.portfolio import positions

D = Decimal


def instance(floor: Floor, ms: int = 0) -> tuple[Services, Ahead]:
    """Another instance of the application, its clock ahead by so much."""
    clock = Ahead(floor.clock, ms)
    services = Services(
        floor.settings, clock=clock, store=floor.store, exchange_session=floor.session
    )
    return services, clock


def before_entry(floor: Floor, act: Callable[[], None]) -> None:
    """Do something just before the entry leaves, once."""

    def before(method: str, url: str) -> None:
        if method.upper() == "POST" and url.split("?")[0].endswith("/v1/order"):
            floor.session.before = lambda method, url: None
            act()

    floor.session.before = before


@pytest.mark.parametrize("seconds", [6, 12, 25])
def test_an_instance_that_was_frozen_with_its_clock_sends_nothing_afterwards(open_floor, seconds):
    """Its request is refused for its time stamp, and must not go again with the right one."""
    floor = open_floor(durable=False)
    services, clock = instance(floor)
    other, _ = instance(floor)
    signal = floor.signal()
    assert assess.assess(services.desk(), "BTCUSDT", signal.id).outcome == "approved"
    outcomes: list[str] = []

    def frozen() -> None:
        floor.clock.sleep(seconds)
        clock.set_by(-1000 * seconds)
        outcomes.append(entry.open_position(other.desk(), "BTCUSDT", signal.id).status)

    before_entry(floor, frozen)
    entry.open_position(services.desk(), "BTCUSDT", signal.id)
    assert outcomes == ["unknown"]
    assert len(floor.entries()) <= 1
    assert floor.held() == 0
    settle_down(floor)
    assert floor.leaked() == ({}, [])


@pytest.mark.parametrize("ahead", [3_000, 8_000, 60_000])
@pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
def test_instances_whose_clocks_disagree_do_not_execute_a_decision_twice(
    open_floor, ahead, executed
):
    """To the one that is ahead the other's request looks too old to be executed any more."""
    floor = open_floor(durable=False)
    services, _ = instance(floor)
    other, _ = instance(floor, ahead)
    signal = floor.signal()
    assert assess.assess(services.desk(), "BTCUSDT", signal.id).outcome == "approved"

    def meanwhile() -> None:
        entry.open_position(other.desk(), "BTCUSDT", signal.id)

    before_entry(floor, meanwhile)
    if not executed:
        floor.break_next(ORDER, UNKNOWN_503, where=is_leg("e"))
    entry.open_position(services.desk(), "BTCUSDT", signal.id)
    assert len(floor.entries()) <= 1
    assert abs(floor.held()) in (D(0), FULL)
    assert [s.quantity for s in floor.stops()] == ([FULL] if floor.held() else [])
    settle_down(floor)
    assert floor.leaked()[0] == {}


def test_a_permit_is_not_given_up_early_by_an_instance_that_is_ahead(open_floor):
    """A stop must wait for the order behind a permit for as long as that can be executed."""
    from shared.execution import permits

    floor = open_floor(durable=False)
    services, _ = instance(floor)
    other, _ = instance(floor, 60_000)
    other.desk().exchange.server_time()
    signal = floor.signal()
    assert assess.assess(services.desk(), "BTCUSDT", signal.id).outcome == "approved"
    unresolved: list[int] = []
    before_entry(floor, lambda: unresolved.append(permits.resolve(other.desk())))
    entry.open_position(services.desk(), "BTCUSDT", signal.id)
    assert unresolved == [1]
    assert permits.resolve(other.desk()) == 0


@pytest.mark.parametrize("behind", [-30_000, -100_000])
def test_old_news_is_not_fresh_for_a_clock_that_is_behind(open_floor, behind):
    floor = open_floor(durable=False)
    signal = floor.signal()
    age = floor.desk.limits.max_signal_age_ms / 1000
    later(floor, age + 10)
    services, _ = instance(floor, behind)
    decision = assess.assess(services.desk(), "BTCUSDT", signal.id)
    assert decision.outcome == "declined"
    assert decision.reasons[0].startswith("signal_age")


@pytest.mark.parametrize("back", [20_000, 50_000])
def test_an_old_decision_is_not_executed_because_the_clock_was_set_back(open_floor, back):
    floor = open_floor(durable=False)
    services, clock = instance(floor)
    signal = floor.signal()
    assert assess.assess(services.desk(), "BTCUSDT", signal.id).outcome == "approved"
    later(floor, 35)
    clock.set_by(-back)
    assert entry.open_position(services.desk(), "BTCUSDT", signal.id).status != "protected"
    assert floor.entries() == []


def settle_down(floor: Floor) -> None:
    """Rounds of the guardian until whatever is unknown is known."""
    for _ in range(4):
        later(floor)
        guard(floor.desk)


def sets_back(
    floor: Floor, clock: Ahead, what: tuple[str, str], ms: int, nth: int = 1, took: float = 0
) -> list[str]:
    """Have the clock set back at a request of a kind, by default the first; each takes so long."""
    done: list[str] = []
    seen: list[str] = []

    def before(method: str, url: str) -> None:
        if (method.upper(), url.split("?")[0].partition(".invalid")[2]) == what:
            floor.clock.sleep(took)
            seen.append(url)
            if len(seen) == nth:
                done.append(url)
                clock.set_by(-ms)

    floor.session.before = before
    return done


def test_a_stop_that_cannot_be_placed_is_not_tried_for_longer_because_of_it(open_floor):
    floor = open_floor(durable=False)
    services, clock = instance(floor)
    floor.break_next(ALGO, UNAVAILABLE, times=1000)
    done = sets_back(floor, clock, ALGO, 60_000)
    signal = floor.signal()
    assert assess.assess(services.desk(), "BTCUSDT", signal.id).outcome == "approved"
    assert entry.open_position(services.desk(), "BTCUSDT", signal.id).status == "flat"
    assert done
    first, last = floor.fills()[0], floor.fills()[-1]
    assert floor.held() == 0
    assert last.time - first.time < 5_000
    settle_down(floor)


@pytest.mark.parametrize("back", [2_000, 60_000])
def test_the_last_request_for_a_stop_is_not_repeated_for_longer_because_of_it(open_floor, back):
    """Sending again ends with the time that passes, as trying again does."""
    floor = open_floor(durable=False)
    services, clock = instance(floor)
    floor.break_next(ALGO, UNAVAILABLE, times=1000)
    done = sets_back(floor, clock, ALGO, back, nth=9, took=0.06)
    signal = floor.signal()
    assert assess.assess(services.desk(), "BTCUSDT", signal.id).outcome == "approved"
    assert entry.open_position(services.desk(), "BTCUSDT", signal.id).status == "flat"
    assert done
    first, last = floor.fills()[0], floor.fills()[-1]
    assert floor.held() == 0
    assert last.time - first.time < 5_000
    settle_down(floor)


@pytest.mark.parametrize("nth", [1, 3])
def test_what_looking_for_an_entry_took_is_not_given_to_its_stop_because_of_it(open_floor, nth):
    floor = open_floor(durable=False)
    services, clock = instance(floor)
    services.desk().exchange.server_time()
    floor.break_next(ORDER, UNKNOWN_503, executed=True, where=is_leg("e"))
    floor.break_next(GET_ORDER, UNAVAILABLE, times=1000, seconds=10)
    floor.break_next(ALGO, UNAVAILABLE, times=1000)
    done = sets_back(floor, clock, GET_ORDER, 4_000, nth)
    signal = floor.signal()
    assert assess.assess(services.desk(), "BTCUSDT", signal.id).outcome == "approved"
    assert entry.open_position(services.desk(), "BTCUSDT", signal.id).status == "flat"
    assert done
    first, last = floor.fills()[0], floor.fills()[-1]
    assert floor.held() == 0
    assert last.time - first.time < 5_000
    settle_down(floor)


def test_a_stop_that_was_found_missing_is_not_tried_for_longer_because_of_it(open_floor):
    floor = open_floor(durable=False)
    floor.expected = {4}
    signal_id = opened(floor)
    services, clock = instance(floor)
    services.desk().exchange.server_time()
    cancel(floor, "STOP_MARKET")
    gone = floor.clock.now_ms()
    later(floor, 2)
    floor.break_next(ALGO, UNAVAILABLE, times=1000)
    done = sets_back(floor, clock, OPEN_ALGOS, 10_000)
    assert not confirm_protection(services.desk(), "BTCUSDT", signal_id)
    assert done
    assert floor.held() == 0
    assert floor.fills()[-1].time - gone < 5_000
    settle_down(floor)


def test_a_stop_that_has_failed_is_not_given_a_minute_because_of_it(open_floor):
    floor = open_floor({"BTCUSDT": [(1, 0), (3, -0.03), (60, -0.03)]}, durable=False)
    floor.expected = {4}
    opened(floor)
    services, clock = instance(floor)
    floor.venue.core.forward_trigger = lambda algo: False
    later(floor, 180)
    assert floor.held()
    record, _ = positions.load(floor.store, "main", "BTCUSDT")
    done: list[int] = []

    def before(method: str, url: str) -> None:
        if "positionRisk" in url and len(done) < 2:
            done.append(floor.clock.now_ms())
            clock.set_by(-30_000 * (len(done) == 2))

    floor.session.before = before
    began = floor.clock.now_ms()
    assert stop_watch.see_through(services.desk(), record) is None
    assert floor.held() == 0
    assert floor.clock.now_ms() - began < 5_000
    settle_down(floor)


def test_the_watch_over_the_account_does_not_wait_for_a_minute_because_of_it(open_floor):
    floor = open_floor(durable=False)
    services, clock = instance(floor)
    desk = services.desk()
    looked = Elapsed(desk.clock)
    clock.set_by(-60_000)
    assert survey.pause(looked) == survey.SURVEY_EVERY


def test_the_store_gets_no_more_time_because_of_it(open_floor):
    floor = open_floor(durable=False)
    _, clock = instance(floor)
    books = Books(clock)

    def slow() -> None:
        floor.clock.sleep(0.3)
        clock.set_by(-60_000)

    for _ in range(3):
        books.write(slow, None)
    assert books._left_ms == STORE_MS - 900
    books.write(slow, None)
    assert books.late


def test_a_decision_of_an_instance_that_is_right_again_counts_by_the_exchange_s_time(open_floor):
    """Set forwards and back within a decision: it is as old as the exchange says."""
    floor = open_floor(durable=False)
    services, clock = instance(floor, 40_000)
    signal = floor.signal()
    decision = assess.assess(services.desk(), "BTCUSDT", signal.id)
    assert decision.outcome == "approved"
    assert abs(decision.decided_at - floor.clock.now_ms()) < 3_000
    clock.set_by(-40_000)
    later(floor, 5)
    assert entry.open_position(services.desk(), "BTCUSDT", signal.id).status == "protected"
    assert [s.quantity for s in floor.stops()] == [floor.held()] == [FULL]
