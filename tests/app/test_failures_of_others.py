"""What other systems' users reported, as scenarios of this application.

The numbers are those of the table in ``docs/safety.md``; the others are in the files beside it and
where the table says.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from desk import GET_ALGO, NOT_FOUND, OPEN_ALGOS, UNAVAILABLE, Floor
from test_guardian_rounds import FULL, later, opened

from local.exchange.faults import error_answer
from shared.bootstrap import Services
from shared.execution import assess, clearing, emergency, entry
from shared.execution.exchange import LIVE_ALGO
from shared.execution.guardian import guard
from shared.execution.reconcile import reconcile
from shared.simulation.deleveraging import deleverage

D = Decimal
ALGO_CANCEL = ("DELETE", "/fapi/v1/algoOrder")
USE_ALGO = error_answer(
    400,
    -4120,
    "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
)


def restarted(floor: Floor) -> Any:
    """The application of a new process: nothing remembered but what is stored."""
    services = Services(
        floor.settings, clock=floor.clock, store=floor.store, exchange_session=floor.session
    )
    floor.services = services
    return services.desk()


def test_1_the_venue_refuses_every_conditional_order_from_one_day_to_the_next(open_floor):
    """freqtrade#12610: all stops failed with -4120, positions stayed open without one."""
    floor = open_floor(durable=False)
    floor.break_next(("POST", "/fapi/v1/algoOrder"), USE_ALGO, times=99)
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    before = floor.clock.now_ms()
    entry.open_position(floor.desk, "BTCUSDT", signal.id)
    assert len(floor.entries()) == 1
    assert floor.held() == 0
    assert floor.clock.now_ms() - before < 5_000
    floor.faults.rules.clear()
    later(floor)
    guard(floor.desk)
    [trade] = floor.trades()
    assert trade["exitReason"] != "stop"
    assert any("protect" in kind for kind in floor.alerts()), floor.alerts()


def test_2_a_restart_finds_the_orders_of_both_books(open_floor):
    """nautilus_trader#3287: after a restart the conditional orders were lost."""
    floor = open_floor(durable=False)
    opened(floor)
    before = {a.client_algo_id for a in floor.algos()}
    assert len(before) == 2
    later(floor)
    desk = restarted(floor)
    round_ = guard(desk)
    assert (round_.unprotected, round_.repaired, round_.orphans) == (0, 0, 0)
    assert {a.client_algo_id for a in floor.algos()} == before
    assert reconcile(desk).differences == ()


@pytest.mark.parametrize("minutes", [2, 10])
def test_5_conditional_orders_are_forgotten_by_queries_for_minutes(open_floor, minutes):
    """freqtrade#12681: -2013 and empty listings for minutes; a new stop was placed each time."""
    floor = open_floor(durable=False)
    opened(floor)
    later(floor)
    guard(floor.desk)
    hidden = minutes * 60
    empty = _empty_list()
    floor.break_next(OPEN_ALGOS, empty, times=999, seconds=hidden)
    floor.break_next(GET_ALGO, NOT_FOUND, times=999, seconds=hidden)
    most = 0
    for _ in range(minutes + 2):
        later(floor)
        guard(floor.desk)
        most = max(most, len(floor.stops()))
        # Not one moment without a stop for all of it, however blind the queries are.
        assert max((s.quantity for s in floor.stops()), default=D(0)) == FULL or not floor.held()
    later(floor)
    guard(floor.desk)
    # The orphans that blindness made are swept once queries see again.
    assert len(floor.stops()) == (1 if floor.held() else 0)
    assert len(floor.entries()) == 1
    assert most <= 2, f"{most} stops at once"


def _empty_list() -> Any:
    from local.exchange.faults import ApiResponse

    return ApiResponse(200, {"content-type": "application/json"}, b"[]")


def test_6_the_stop_of_the_last_trade_is_not_taken_for_the_next_one_s(open_floor):
    """freqtrade#13399: a reversed trade ten seconds later got the old trade's stop fill."""
    floor = open_floor({"BTCUSDT": [(2, 0), (6, -0.03)]}, durable=False)
    first = opened(floor)
    later(floor, 300)
    assert floor.held() == 0
    stopped = list(floor.fills())
    # A new signal of the other side right after; the guardian has looked once in between.
    guard(floor.desk)
    second = floor.signal(side="SELL")
    assert assess.assess(floor.desk, "BTCUSDT", second.id).outcome == "approved"
    entry.open_position(floor.desk, "BTCUSDT", second.id)
    later(floor)
    guard(floor.desk)
    [old] = floor.trades()
    assert old["id"] == first
    fees = sum((t.commission for t in stopped), D(0))
    result = sum((t.realized_pnl for t in stopped), D(0))
    assert D(old["netPnl"]) == result - fees
    assert floor.held() < 0
    assert [s.quantity for s in floor.stops()] == [-floor.held()]


def test_7_the_sibling_of_a_filled_target_never_meets_the_next_position(open_floor):
    """nautilus#4043: no one-cancels-other on USD-M; the orphaned stop fired on the next trade."""
    floor = open_floor({"BTCUSDT": [(2, 0), (6, 0.05)]}, durable=False)
    opened(floor)
    old = {a.client_algo_id for a in floor.algos()}
    later(floor, 390)
    assert floor.held() == 0
    assert len(floor.stops()) == 1  # still armed: the venue does not know they belong together
    floor.break_next(ALGO_CANCEL, UNAVAILABLE, times=3)
    guard(floor.desk)
    later(floor, 220)
    guard(floor.desk)
    second = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", second.id).outcome == "approved"
    assert entry.open_position(floor.desk, "BTCUSDT", second.id).status == "protected"
    assert not old & {a.client_algo_id for a in floor.algos()}
    assert [s.quantity for s in floor.stops()] == [floor.held()]


def test_14_an_account_in_hedge_mode_is_not_traded(open_floor):
    """hummingbot#6609: two stops and -2022 in hedge mode."""
    floor = open_floor(durable=False)
    floor.venue.set_hedge(floor.account, True)
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    result = entry.open_position(floor.desk, "BTCUSDT", signal.id)
    assert result.status == "rejected"
    assert "one-way mode" in result.reason
    assert floor.orders() == []
    assert sorted(floor.alerts()) == ["entries-halted", "entry-refused"]
    assert floor.leaked() == ({}, [])
    # The guardian says what to do, once an hour, until it is done. The mode is not ours to change.
    for _ in range(20):
        later(floor)
        guard(floor.desk)
    assert floor.alerts().count("hedge-mode") == 1
    assert floor.account.hedge
    floor.venue.set_hedge(floor.account, False)
    for _ in range(70):
        later(floor)
        guard(floor.desk)
    assert floor.alerts().count("hedge-mode") == 1
    # Whoever has set it right says so.
    reason = {"reason": "set to one-way mode", "operator": "ada"}
    clearing.clear(floor.desk, code=floor.totp(), **reason)
    again = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", again.id).outcome == "approved"
    assert entry.open_position(floor.desk, "BTCUSDT", again.id).status == "protected"


def test_15_a_position_that_was_turned_by_hand_while_the_application_was_down(open_floor):
    """nautilus#3104: the local book said 75, the venue -65. The venue is right."""
    floor = open_floor(durable=False)
    floor.expected = {1, 2, 3, 4, 7, 8}
    opened(floor)
    later(floor)
    floor.trade_by_hand("BTCUSDT", "SELL", "0.010")
    assert floor.held() == D("-0.006")
    later(floor)
    guard(restarted(floor))
    later(floor)
    guard(floor.desk)
    # In a symbol of ours a position of the wrong side is closed, by exactly what the venue shows.
    assert floor.held() == 0
    [close] = [o for o in floor.orders() if o.client_order_id.startswith("bq-x-")]
    assert (close.side, close.quantity, close.reduce_only) == ("BUY", D("0.006"), True)
    assert floor.algos() == []
    assert floor.leaked() == ({}, [])
    [trade] = floor.trades()
    assert trade["exitReason"] == "wrong side"
    income = [i.amount for i in floor.venue.ledger().income if i.kind != "TRANSFER"]
    assert D(trade["netPnl"]) == sum(income, D(0))


def test_16_a_position_in_a_symbol_nobody_here_has_heard_of(open_floor):
    """nautilus#3775: an event of an unknown instrument was dropped."""
    floor = open_floor(
        {"BTCUSDT": (), "XRPUSDT": ()}, settings={"SYMBOLS": "BTCUSDT"}, durable=False
    )
    floor.expected = {1, 2, 3, 4, 7, 8}
    floor.trade_by_hand("XRPUSDT", "BUY", "30")
    guard(floor.desk)
    assert floor.alerts().count("foreign-position") == 1
    emergency.latch(floor.desk, "manual", {}, "test")
    assert emergency.flatten_account(floor.desk, "test").flat
    assert floor.held("XRPUSDT") == 0


def test_17_no_decision_leans_on_a_stream_that_can_fall_silent(open_floor):
    """nautilus#3861: the listen key expired and fills were missed without a word."""
    floor = open_floor({"BTCUSDT": [(2, 0), (6, -0.03)]}, durable=False)
    asked = []
    floor.session.before = lambda method, url: asked.append(url)
    opened(floor)
    later(floor, 3600)
    assert guard(floor.desk).settled == 1
    assert asked
    assert not [url for url in asked if "listenKey" in url]


def test_18_the_exchange_s_clock_jumps_while_a_position_is_closed(open_floor):
    """hummingbot#7098: -1021 stopped the bot while it was closing."""
    floor = open_floor(durable=False)
    opened(floor)
    later(floor)
    floor.api.clock_skew_ms = 8_000
    emergency.latch(floor.desk, "manual", {}, "test")
    assert emergency.flatten_account(floor.desk, "test").flat
    emergency.settle_all(floor.desk)
    assert floor.held() == 0
    # What it sold, it sold once.
    assert len([t for t in floor.fills() if t.side == "SELL"]) == 1


@pytest.mark.parametrize("how", ["liquidated", "deleveraged"])
def test_22_what_the_venue_does_to_a_position_is_noticed(open_floor, how):
    """freqtrade#9205: a liquidation on the exchange went unnoticed."""
    floor = open_floor(durable=False)
    floor.expected = {7}  # the venue's own order has no intent of ours
    opened(floor)
    later(floor)
    if how == "deleveraged":
        deleverage(floor.venue.core, floor.account, "BTCUSDT", floor.held())
    else:
        from shared.simulation.liquidation import liquidate_isolated

        [position] = floor.account.positions.values()
        liquidate_isolated(floor.venue.core, floor.account, position)
    assert floor.held() == 0
    later(floor)
    guard(floor.desk)
    [trade] = floor.trades()
    income = [i for i in floor.venue.ledger().income if i.kind != "TRANSFER"]
    assert D(trade["netPnl"]) == sum((i.amount for i in income), D(0))
    assert not [a for a in floor.algos() if a.status in LIVE_ALGO]
    assert floor.leaked() == ({}, [])
    assert floor.alerts()
