"""One part of the exchange's interface fails for long while the others answer.

The fault simulation loses single requests, or takes the whole venue away for seconds. A venue also
loses one endpoint for an hour: what does not need that one must go on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from desk import ACCOUNT, ALGO, OPEN_ALGOS, ORDER, POSITIONS, UNAVAILABLE, Floor
from test_failures_of_others import restarted
from test_guardian_rounds import FULL, cancel, later, opened

from local.exchange.faults import ApiRequest, ApiResponse, Fault, stuck_triggering
from shared.errors import ExchangeRejected, ExchangeUnavailable
from shared.execution import assess, emergency, entry, stop_watch
from shared.execution.guardian import guard
from shared.execution.reconcile import reconcile
from shared.simulation.orders import NewOrder

D = Decimal
OPEN_ORDERS = ("GET", "/fapi/v1/openOrders")
INSTRUMENTS = ("GET", "/fapi/v1/exchangeInfo")
#: Through the stop at 2 % below within the third minute, and it stays there.
FALL = {"BTCUSDT": [(2, 0), (3, -0.03), (40, -0.035)]}


def gone(floor: Floor, what: tuple[str, str]) -> None:
    """The endpoint answers with 503 from now on."""
    floor.break_next(what, UNAVAILABLE, times=10**6)


@pytest.mark.parametrize("what", [OPEN_ORDERS, OPEN_ALGOS], ids=["plain", "conditional"])
def test_an_emergency_stop_closes_though_orders_cannot_be_listed(open_floor, what):
    floor = open_floor(durable=False)
    opened(floor)
    resting = floor.venue.place_order(
        floor.account,
        NewOrder(
            symbol="ETHUSDT",
            side="BUY",
            type="LIMIT",
            time_in_force="GTC",
            price=D(2000),
            quantity=D("0.1"),
        ),
    )
    floor.expected = {1, 2, 7, 8}  # that one is a stranger's
    later(floor)
    gone(floor, what)
    emergency.latch(floor.desk, "manual", {}, "test")
    began = floor.clock.now_ms()
    result = emergency.flatten_account(floor.desk, "test")
    assert floor.held() == 0
    assert floor.clock.now_ms() - began < 10_000
    assert floor.algos() == []
    assert not resting.is_open
    # Nobody has seen that nothing rests any more.
    assert not result.flat
    floor.faults.rules.clear()
    assert emergency.flatten_account(floor.desk, "test", 1).flat
    assert emergency.settle_all(floor.desk) == 1


def test_a_reached_stop_is_seen_through_though_stops_cannot_be_listed(open_floor):
    """The venue's conditional orders are out of order: they neither trigger nor can be listed."""
    floor = open_floor(FALL, durable=False)
    floor.expected = {4}  # nobody looked for a minute
    opened(floor)
    stuck_triggering(floor.venue)
    later(floor, 200)
    gone(floor, OPEN_ALGOS)
    gone(floor, ALGO)
    round_ = guard(floor.desk)
    assert floor.held() == 0
    assert "stop-failed" in floor.alerts()
    assert round_.closed == 1
    assert any("conditional orders" in f for f in round_.failures)
    floor.faults.rules.clear()
    later(floor)
    guard(floor.desk)
    assert len(floor.trades()) == 1


def test_a_position_above_its_stop_is_left_alone_meanwhile(open_floor):
    floor = open_floor(durable=False)
    opened(floor)
    later(floor)
    gone(floor, OPEN_ALGOS)
    guard(floor.desk)
    assert floor.held() == FULL
    assert "guardian-trouble" in floor.alerts()
    # Its time is up: that needs no list.
    later(floor, 49 * 300)
    guard(floor.desk)
    assert floor.held() == 0
    floor.faults.rules.clear()
    later(floor)
    guard(floor.desk)


def test_the_watch_sees_a_reached_stop_through_as_well(open_floor):
    floor = open_floor(FALL, durable=False)
    floor.expected = {4}
    signal = opened(floor)
    later(floor, 60)
    gone(floor, OPEN_ALGOS)
    # Not at its stop, which is known by its id: whoever looks at all of them goes on.
    assert not stop_watch.look(floor.desk, "BTCUSDT", signal)
    assert len(floor.stops()) == 1
    stuck_triggering(floor.venue)
    later(floor, 140)
    assert not stop_watch.look(floor.desk, "BTCUSDT", signal)
    assert floor.held() == 0
    floor.faults.rules.clear()
    later(floor)
    guard(floor.desk)


def test_a_drawdown_in_such_an_outage_is_acted_upon(open_floor):
    """The round goes on, so that what it has latched is flattened."""
    floor = open_floor({"BTCUSDT": (), "XRPUSDT": [(2, 0), (3, -0.3)]})
    floor.expected = {1, 2, 3, 4, 6, 7, 8}
    floor.trade_by_hand("XRPUSDT", "BUY", "2000")
    gone(floor, OPEN_ALGOS)
    floor.minutes(5)
    assert floor.services.kill_switch.ensure().trigger == "max_drawdown"
    assert floor.held("XRPUSDT") == 0
    floor.faults.rules.clear()
    floor.minutes(2)


def test_a_missing_stop_is_placed_though_balances_cannot_be_read(open_floor):
    floor = open_floor(durable=False)
    opened(floor)
    later(floor)
    cancel(floor, "STOP_MARKET")
    gone(floor, ACCOUNT)
    with pytest.raises(ExchangeUnavailable):
        guard(floor.desk)
    assert [s.quantity for s in floor.stops()] == [FULL]


def test_a_missing_stop_is_placed_though_the_instruments_cannot_be_read(open_floor):
    floor = open_floor(durable=False)
    opened(floor)
    later(floor)
    (before,) = floor.stops()
    cancel(floor, "STOP_MARKET")
    desk = restarted(floor)
    gone(floor, INSTRUMENTS)
    guard(desk)
    assert [(s.quantity, s.trigger_price) for s in floor.stops()] == [(FULL, before.trigger_price)]


def test_nothing_is_opened_by_an_instance_that_cannot_read_the_instruments(open_floor):
    """A person's approval reaches another instance than the one that decided."""
    floor = open_floor(durable=False)
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    desk = restarted(floor)
    gone(floor, INSTRUMENTS)
    result = entry.open_position(desk, "BTCUSDT", signal.id)
    assert result.status == "rejected"
    assert floor.entries() == []
    assert floor.leaked() == ({}, [])


def test_an_entry_that_has_filled_gets_its_planned_stop_without_them(open_floor):
    """The instance died after the fill; another one takes it up and cannot read the instruments."""
    floor = open_floor(durable=False)
    floor.expected = {4}  # nobody was there for a minute
    signal = floor.signal()
    decision = assess.assess(floor.desk, "BTCUSDT", signal.id)
    calls = floor.session.after

    def dies(method: str, url: str) -> None:
        if method == "POST" and url.endswith("/fapi/v1/order"):
            raise RuntimeError("the process ends")

    floor.session.after = dies
    with pytest.raises(RuntimeError):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    floor.session.after = calls
    later(floor)
    desk = restarted(floor)
    gone(floor, INSTRUMENTS)
    guard(desk)
    assert [s.quantity for s in floor.stops()] == [floor.held()] == [FULL]
    assert floor.stops()[0].trigger_price == decision.plan.stop_price
    floor.faults.rules.clear()
    later(floor)
    guard(desk)
    assert floor.leaked()[0] == {}


def _without(symbol: str) -> Callable[[Any, ApiResponse], ApiResponse]:
    """exchangeInfo does not list a symbol any more."""

    def after(request: Any, response: ApiResponse) -> ApiResponse:
        if request.path != INSTRUMENTS[1]:
            return response
        body = json.loads(response.body)
        body["symbols"] = [s for s in body["symbols"] if s["symbol"] != symbol]
        return ApiResponse(response.status, response.headers, json.dumps(body).encode())

    return after


def test_a_symbol_that_is_not_listed_any_more_leaves_the_others_looked_after(open_floor):
    floor = open_floor(durable=False)
    opened(floor)
    opened(floor, "ETHUSDT")
    later(floor)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        cancel(floor, "STOP_MARKET", symbol)
    floor.faults.after = _without("BTCUSDT")  # type: ignore[method-assign]
    desk = restarted(floor)
    guard(desk)
    assert floor.stops("ETHUSDT")
    assert floor.stops("BTCUSDT")
    round_ = guard(desk)
    assert round_.unprotected == 0
    assert [f for f in round_.failures if "does not list BTCUSDT" in f]
    signal = floor.signal()
    with pytest.raises(ExchangeRejected, match="does not list BTCUSDT"):
        assess.snapshot(desk, signal)


def test_a_stuck_stop_that_stays_listed_keeps_no_trade_from_being_booked(open_floor):
    """It triggered, produced no order and cannot be cancelled (-2011): nobody waits for it."""
    floor = open_floor(FALL, durable=False)
    floor.expected = {4, 8}
    opened(floor)
    stuck_triggering(floor.venue)
    later(floor, 200)
    (algo,) = [a for a in floor.account.algos.values() if a.status == "TRIGGERING"]
    for _ in range(4):
        # Whatever else happens, the list of open orders goes on showing it.
        floor.account.open_algos.setdefault("BTCUSDT", {})[algo.algo_id] = algo
        round_ = guard(floor.desk)
        reconcile(floor.desk)
        later(floor)
    assert floor.held() == 0
    assert len(floor.trades()) == 1
    assert floor.leaked() == ({}, [])
    assert round_.failures == ()
    assert floor.alerts().count("stuck-order") == 1


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_an_emergency_stop_closes_though_positions_have_no_answer(open_floor, side):
    """The balances' endpoint lists them as well."""
    floor = open_floor(durable=False)
    opened(floor, side=side)
    later(floor)
    (shown,) = floor.desk.exchange.positions()
    (told,) = floor.desk.exchange.account_positions()
    assert (told.quantity, told.position_side) == (shown.quantity, "BOTH")
    assert abs(told.mark_price / shown.mark_price - 1) < D("0.0001")
    assert abs(told.entry_price / shown.entry_price - 1) < D("0.0001")
    gone(floor, POSITIONS)
    emergency.latch(floor.desk, "manual", {}, "test")
    began = floor.clock.now_ms()
    known: list[list[str]] = []

    def looks(request: ApiRequest) -> bool:
        if (request.method, request.path) == ORDER:
            known.append([body["clientOrderId"] for body in floor.audit("intent")])
        return False

    floor.faults.add(Fault(matches=looks, answer=UNAVAILABLE))
    assert not emergency.flatten_account(floor.desk, "test").flat
    assert floor.held() == 0
    assert floor.clock.now_ms() - began < 10_000
    (close,) = [f for f in floor.fills() if f.side != side]
    # The store is well: the order was written down before it left.
    (before,) = known
    assert close.client_order_id in before
    assert floor.algos() == []
    floor.faults.rules.clear()
    assert emergency.flatten_account(floor.desk, "test", 1).flat
    assert emergency.settle_all(floor.desk) == 1


def test_a_position_without_a_stop_is_closed_though_positions_cannot_be_read(open_floor):
    """No stop can be placed either: what the balances list is closed all the same.

    A second later than otherwise, which the endpoint that fails is asked for.
    """
    floor = open_floor()
    floor.expected = {4}
    floor.break_next(ALGO, UNAVAILABLE, times=1000, seconds=40)

    def after(method: str, url: str) -> None:
        if method.upper() == "POST" and url.split("?")[0].endswith("/v1/order"):
            floor.session.after = lambda method, url: None
            floor.break_next(POSITIONS, UNAVAILABLE, times=1000, seconds=30)

    floor.session.after = after
    floor.trade()
    floor.run(20)
    opened, closed = floor.fills()
    assert closed.time - opened.time <= 6_500
    floor.run(100)
    assert len(floor.orders()) == 2, "closed once"
    [trade] = floor.trades()
    assert trade["exitReason"] == "protection failed"
