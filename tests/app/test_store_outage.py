"""The state store fails while a position is being protected: the exchange is dealt with first.

A stop or a close that leaves before its record is written down afterwards, exactly once, by
whoever sent it, or, if that process died, by whoever meets the order.
"""

from __future__ import annotations

import pytest
from desk import ALGO, UNAVAILABLE
from outage import FULL, D, approve, assert_all_recorded, down_from_fill, floor_with, opened

from local.exchange.faults import error_answer
from shared.errors import InvalidInput, StoreUnavailable
from shared.execution import entry, guardian, unrecorded
from shared.execution.exchange import OrderRequest
from shared.simulation.settlement import settle
from shared.storage.patience import patience


@pytest.mark.parametrize("seconds", [0.5, 3, 12, 40])
def test_the_stop_does_not_wait_for_the_store(open_floor, seconds):
    floor, outage = floor_with(open_floor)
    down_from_fill(floor, outage, seconds)
    floor.trade()
    # Reconciliation, every five minutes, is what learns the end of an entry nobody recorded.
    floor.run(max(90, seconds + 320 * (seconds > 30)))
    (fill,) = floor.fills()
    (stop,) = floor.stops()
    assert stop.quantity == floor.held() == FULL
    assert stop.create_time - fill.time < 1_500
    assert len(floor.targets()) == 1
    assert_all_recorded(floor)
    assert floor.leaked()[0] == {}


@pytest.mark.parametrize("seconds", [3, 12])
def test_nor_does_the_close_when_no_stop_can_be_placed(open_floor, seconds):
    floor, outage = floor_with(open_floor)
    down_from_fill(floor, outage, seconds)
    floor.break_next(ALGO, UNAVAILABLE, times=1000, seconds=30)
    floor.trade()
    floor.run(seconds + 150)
    assert floor.held() == 0
    opened, closed = floor.fills()
    assert closed.time - opened.time <= 5_000
    assert len(floor.orders()) == 2, "closed once"
    assert_all_recorded(floor)
    (trade,) = floor.trades()
    assert trade["exitReason"] == "protection failed" or seconds == 12
    assert floor.leaked() == ({}, [])


@pytest.mark.parametrize("what", ["alerts", "audit", "positions", "orders", "control"])
@pytest.mark.parametrize("refused", [True, False], ids=["refused", "not reached"])
def test_no_single_record_keeps_a_position_open_whose_stop_was_refused(open_floor, what, refused):
    """Found in storm 5.21: the alert came before the close, and every retry had a new deadline."""
    floor, outage = floor_with(open_floor)
    outage.concerns = lambda container, *rest: container == what
    down_from_fill(floor, outage, 20)
    answer = (
        error_answer(400, -2021, "Order would immediately trigger.") if refused else UNAVAILABLE
    )
    floor.break_next(ALGO, answer, times=1000, seconds=30)
    floor.trade()
    floor.run(200)
    assert floor.held() == 0
    opened, closed = floor.fills()
    assert closed.time - opened.time <= 5_000
    assert len(floor.orders()) == 2, "closed once"
    assert_all_recorded(floor)
    assert floor.leaked() == ({}, [])


@pytest.mark.parametrize("at", range(1, 26))
def test_any_one_operation_of_the_store_may_fail_after_the_fill(open_floor, at):
    floor, outage = floor_with(open_floor)
    count = 0

    def fails() -> bool:
        nonlocal count
        count += bool(floor.fills())
        return count == at

    outage.fails = fails
    floor.trade()
    floor.run(90)
    outage.fails = lambda: False
    (fill,) = floor.fills()
    assert [s.quantity for s in floor.stops()] == [FULL]
    assert floor.stops()[0].create_time - fill.time < 1_500
    assert_all_recorded(floor)


@pytest.mark.parametrize("seconds", [3, 40])
def test_a_resting_entry_that_fills_while_the_store_fails_has_its_stop(open_floor, seconds):
    """And what rests of it is ended: it is not left to fill alone."""
    floor, outage = floor_with(open_floor, settings={"ENTRY_STYLE": "post_only"}, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    looks = 0

    def before(method: str, url: str) -> None:
        nonlocal looks
        resting = list(floor.account.working_orders("BTCUSDT"))
        if resting and method == "GET" and "/fapi/v1/order" in url:
            looks += 1
            if looks == 2:
                until = floor.clock.now_ms() + seconds * 1000
                outage.fails = lambda: floor.clock.now_ms() < until
                floor.api.advance()
                settle(
                    floor.venue.core,
                    floor.account,
                    resting[0],
                    resting[0].price,
                    D("0.001"),
                    maker=True,
                )

    floor.session.before = before
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    assert [s.quantity for s in floor.stops()] == [floor.held()] == [D("0.001")]
    assert floor.stops()[0].create_time - floor.fills()[0].time < 1_500
    assert not list(floor.account.working_orders("BTCUSDT"))
    floor.clock.sleep(seconds)
    assert entry.open_position(floor.desk, "BTCUSDT", signal.id).status == "protected"
    for _ in range(2):
        floor.clock.sleep(60)
        floor.api.advance()
        guardian.guard(floor.desk)
    assert_all_recorded(floor)
    assert floor.leaked()[0] == {}


def test_a_store_that_hangs_keeps_no_resting_entry_without_its_stop(open_floor):
    """It fills in two parts, two seconds apart, while every operation takes its ten seconds."""
    floor, outage = floor_with(open_floor, settings={"ENTRY_STYLE": "post_only"}, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    parts: list[int] = []
    asked: list[str] = []

    def hangs() -> bool:
        limit = patience()
        floor.clock.sleep(10 if limit is None else min(limit, 10))
        return True

    def before(method: str, url: str) -> None:
        resting = list(floor.account.working_orders("BTCUSDT"))
        asked.extend("look" for _ in resting if method == "GET" and "/fapi/v1/order" in url)
        now = floor.clock.now_ms()
        if resting and len(asked) >= 2 and (not parts or now - parts[0] > 2_000):
            parts.append(now)
            outage.fails = hangs
            floor.api.advance()
            quantity = D("0.001") if len(parts) == 1 else D("0.002")
            settle(
                floor.venue.core, floor.account, resting[0], resting[0].price, quantity, maker=True
            )

    floor.session.before = before
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    floor.session.before = lambda method, url: None
    assert not list(floor.account.working_orders("BTCUSDT"))
    fills = floor.fills()
    held = sum((f.quantity for f in fills), D(0))
    assert held == floor.held()
    first, last = floor.stops()[0], floor.stops()[-1]
    assert first.create_time - fills[0].time < 4_000
    assert last.create_time - fills[-1].time < 4_000
    assert last.quantity == held
    outage.fails = lambda: False
    assert entry.open_position(floor.desk, "BTCUSDT", signal.id).status == "protected"
    for _ in range(2):
        floor.clock.sleep(60)
        floor.api.advance()
        guardian.guard(floor.desk)
    assert_all_recorded(floor)


def test_nothing_that_could_open_leaves_without_its_record(open_floor):
    floor = open_floor(durable=False)
    order = OrderRequest(
        symbol="BTCUSDT", side="BUY", type="MARKET", quantity=FULL, client_order_id="bq-x-1"
    )
    with pytest.raises(InvalidInput, match="intent comes first"):
        unrecorded.send(floor.desk, order)
    assert not floor.orders()


@pytest.mark.parametrize("unread", ["kill-switch", "risk-ledger"])
def test_the_guardian_protects_although_ledger_or_switch_cannot_be_read(open_floor, unread):
    floor, outage = floor_with(open_floor, durable=False)
    floor.expected = {4}
    opened(floor, "BTCUSDT")
    for stop in floor.stops():
        floor.venue.cancel_algo_order(floor.account, stop)
    floor.clock.sleep(60)
    floor.api.advance()
    outage.fails = lambda: True
    outage.concerns = lambda *arguments: unread in arguments
    with pytest.raises(StoreUnavailable):
        guardian.guard(floor.desk)
    assert [s.quantity for s in floor.stops()] == [FULL]
