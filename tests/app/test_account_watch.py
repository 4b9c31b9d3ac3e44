"""Every open position is watched: a stop that fails is answered within five seconds.

All times are the simulated exchange's own: from the moment at which a stop triggers, is refused or
is gone to the fill that leaves the symbol flat, or to the stop that covers all of it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from desk import ALGO, NOT_FOUND, OPEN_ALGOS, POSITIONS, UNAVAILABLE, Floor
from test_failing_stops import later, opened, refused_at_trigger, stuck
from watched import ALWAYS, GET_ALGO, JUMP, PROMISED, QUIET, Ledger, end, looks, mirrored

from local.exchange.faults import error_answer
from shared.execution import stop_watch, survey
from shared.execution.guardian import confirm_protection, guard

# ---------------------------------------------------------------- stops that fail when reached


@pytest.mark.parametrize("side", ["BUY", "SELL"])
@pytest.mark.parametrize(
    "fail",
    [stuck, refused_at_trigger],
    ids=["triggers and produces no order", "is refused when it triggers"],
)
def test_a_jump_from_the_profit_side_through_a_stop_that_fails(
    open_floor: Any, fail: Callable[[Floor], None], side: str
) -> None:
    """No round of the guardian ever saw that price near its stop."""
    floor = open_floor({"BTCUSDT": JUMP if side == "BUY" else mirrored(JUMP)}, settings=ALWAYS)
    ledger = Ledger(floor)
    floor.trade(side=side)
    floor.run(30)
    assert floor.held()
    fail(floor)
    floor.minutes(4)
    ledger.check("BTCUSDT")
    assert floor.held() == 0
    floor.minutes(2)
    assert [t["exitReason"] for t in floor.trades()] == ["stop failed"]
    assert "stop-failed" in floor.alerts()


def test_a_stop_that_never_triggers_though_the_price_is_through(open_floor: Any) -> None:
    floor = open_floor({"BTCUSDT": JUMP}, settings=ALWAYS)
    floor.trade()
    floor.run(30)
    (stop,) = floor.stops()
    reached: list[int] = []

    def forwards(algo: Any) -> bool:
        reached.append(floor.venue.now)
        return False

    floor.venue.core.forward_trigger = forwards
    floor.run(90)
    while not reached:
        floor.run(1)
    stop.status = "NEW"
    floor.account.open_algos["BTCUSDT"] = {stop.algo_id: stop}
    floor.run(PROMISED / 1000)
    assert floor.held() == 0
    assert "stop-failed" in floor.alerts()


def test_a_healthy_stop_is_left_to_the_exchange(open_floor: Any) -> None:
    floor = open_floor({"BTCUSDT": JUMP}, settings=ALWAYS)
    floor.trade()
    floor.minutes(6)
    assert [t["exitReason"] for t in floor.trades()] == ["stop"]
    assert "stop-failed" not in floor.alerts()


def test_several_at_once(open_floor: Any) -> None:
    symbols = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")
    floor = open_floor(dict.fromkeys(symbols, JUMP), settings=ALWAYS)
    ledger = Ledger(floor)
    for symbol in symbols:
        floor.trade(symbol)
    floor.run(60)
    assert all(floor.held(s) for s in symbols)
    stuck(floor)
    floor.minutes(4)
    ledger.check(*symbols)


@pytest.mark.parametrize(
    "what",
    [OPEN_ALGOS, GET_ALGO],
    ids=["orders cannot be listed", "single ones cannot be looked up"],
)
def test_views_that_fail_do_not_keep_a_reached_stop_from_being_seen(
    open_floor: Any, what: tuple[str, str]
) -> None:
    floor = open_floor({"BTCUSDT": JUMP}, settings=ALWAYS)
    ledger = Ledger(floor)
    floor.trade()
    floor.run(60)
    stuck(floor)
    fault = floor.break_next(what, UNAVAILABLE, times=10**6)
    floor.minutes(3)
    ledger.check("BTCUSDT")
    fault.times = 0
    floor.minutes(2)


def test_without_the_durable_client_the_watch_sees_to_it_itself(open_floor: Any) -> None:
    floor = open_floor({"BTCUSDT": JUMP}, settings=ALWAYS)
    ledger = Ledger(floor)
    floor.trade()
    floor.run(60)
    stuck(floor)
    floor.durable_refuses = lambda request: "stop_watch" in request.target
    floor.minutes(4)
    ledger.check("BTCUSDT")


def test_it_is_met_where_only_the_balances_show_the_position(open_floor: Any) -> None:
    """The positions' own endpoint fails: neither the watch nor the guardian saw anything."""
    floor = open_floor({"BTCUSDT": JUMP}, settings=ALWAYS)
    ledger = Ledger(floor)
    floor.trade()
    floor.run(60)
    stuck(floor)
    floor.break_next(POSITIONS, UNAVAILABLE, times=10**6, seconds=150)
    floor.minutes(4)
    ledger.check("BTCUSDT")
    floor.minutes(2)


# ---------------------------------------------------------------- stops that are gone


def test_one_that_vanishes_is_back_where_only_the_balances_show_the_position(
    open_floor: Any,
) -> None:
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    ledger = Ledger(floor)
    floor.run(22)  # the guardian has just been there
    floor.trade()
    floor.run(5)
    floor.break_next(POSITIONS, UNAVAILABLE, times=10**6, seconds=90)
    floor.run(5)
    end(floor, "EXPIRED")
    floor.run(10)
    ledger.check("BTCUSDT")
    floor.run(100)


@pytest.mark.parametrize("status", ["EXPIRED", "CANCELED", "REJECTED"])
def test_a_stop_that_vanishes_is_back_within_seconds(open_floor: Any, status: str) -> None:
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    ledger = Ledger(floor)
    floor.trade()
    floor.run(65)  # the guardian comes in fifteen seconds
    before = floor.stops()[0].trigger_price
    end(floor, status)
    floor.run(10)
    ledger.check("BTCUSDT")
    assert [s.trigger_price for s in floor.stops()] == [before]
    assert floor.held()


@pytest.mark.parametrize(
    "answer",
    [error_answer(400, -4045, "Reach max stop order limit."), UNAVAILABLE],
    ids=["refused", "conditional orders are out of order"],
)
def test_a_stop_that_vanishes_and_cannot_be_placed_again(open_floor: Any, answer: Any) -> None:
    floor = open_floor({"BTCUSDT": QUIET}, settings=ALWAYS)
    ledger = Ledger(floor)
    at = looks(floor)
    floor.trade()
    floor.run(65)
    seen = len(at)
    while len(at) == seen:
        floor.run(0.1)  # at the worst moment: somebody has just looked
    floor.break_next(ALGO, answer, times=10**6)
    end(floor, "EXPIRED")
    floor.run(10)
    ledger.check("BTCUSDT")
    assert floor.held() == 0
    assert "protection-failed" in floor.alerts()
    floor.minutes(2)


@pytest.mark.parametrize("who", ["the guardian", "the look after an entry"])
def test_whoever_finds_it_gone_has_what_is_left_of_the_five_seconds(
    open_floor: Any, who: str
) -> None:
    """It may have gone just after the last look; the next position waits for the one before it."""
    floor = open_floor({"BTCUSDT": QUIET, "ETHUSDT": QUIET}, durable=False)
    signals = {symbol: opened(floor, symbol) for symbol in ("BTCUSDT", "ETHUSDT")}
    floor.clock.sleep(70)
    ledger = Ledger(floor)
    floor.break_next(ALGO, UNAVAILABLE, times=10**6)
    gone = ("BTCUSDT", "ETHUSDT") if who == "the guardian" else ("BTCUSDT",)
    for symbol in gone:
        end(floor, "REJECTED", symbol)
    floor.clock.sleep(survey.SURVEY_EVERY - 0.5)
    if who == "the guardian":
        guard(floor.desk)
    else:
        assert not confirm_protection(floor.desk, "BTCUSDT", signals["BTCUSDT"])
    took = ledger.took()
    assert sorted(took) == sorted(gone)
    assert max(took.values()) <= PROMISED, took
    for _ in range(2):
        later(floor)
        guard(floor.desk)
    assert len(floor.trades()) == len(gone)


def test_looking_for_a_stop_reads_one_symbol_s_list(open_floor: Any) -> None:
    """That of all symbols weighs forty times as much, and look-ups that lag ask again and again."""
    floor = open_floor(durable=False)
    signal = opened(floor)
    end(floor, "EXPIRED")
    asked: list[str] = []
    whole = floor.faults.before

    def before(request: Any) -> Any:
        asked.append(f"{request.path}?{request.query}")
        return whole(request)

    floor.faults.before = before
    floor.break_next(GET_ALGO, NOT_FOUND, times=3)
    assert stop_watch.look(floor.desk, "BTCUSDT", signal)
    lists = [url for url in asked if "openAlgoOrders" in url]
    assert len(lists) > 1
    assert all("symbol=BTCUSDT" in url for url in lists)


def test_one_of_several_vanishes_while_another_fails(open_floor: Any) -> None:
    """Whoever sees one through keeps nobody from looking at the others."""
    floor = open_floor({"BTCUSDT": JUMP, "ETHUSDT": QUIET, "XRPUSDT": QUIET}, settings=ALWAYS)
    ledger = Ledger(floor)
    for symbol in ("BTCUSDT", "ETHUSDT", "XRPUSDT"):
        floor.trade(symbol)
    floor.run(60)
    stuck(floor)
    while "BTCUSDT" not in ledger.failed:
        floor.run(0.5)
    end(floor, "EXPIRED", "XRPUSDT")
    floor.minutes(1)
    ledger.check("BTCUSDT", "XRPUSDT")
    assert floor.held("ETHUSDT")
