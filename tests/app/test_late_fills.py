"""What an entry fills after its record was closed: ours, closed, and booked as a trade."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from chased import DIP, FLAT, D, begun, chasing, die_at_look, enter, fill, in_order, stop_now
from desk import GET_ORDER, LOST, NOT_FOUND, ORDER, UNAVAILABLE, Floor

from local.exchange.faults import ApiResponse
from shared.errors import StoreUnavailable
from shared.execution import emergency
from shared.execution.guardian import guard
from shared.execution.reconcile import reconcile


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
