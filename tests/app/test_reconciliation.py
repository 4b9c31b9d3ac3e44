"""The exchange is believed, however its views lag, vanish or repeat themselves meanwhile.

Rounds of guardian and reconciliation in any order, any of them twice, killed or with views that
are empty for a while; afterwards the book is the exchange's, and every trade is booked once.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from desk import (
    ACCOUNT,
    GET_ALGO,
    GET_ORDER,
    NOT_FOUND,
    OPEN_ALGOS,
    POSITIONS,
    UNAVAILABLE,
    Crash,
    Floor,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.exchange.faults import ApiResponse
from shared.errors import BorsaError
from shared.execution import assess, entry, orders
from shared.execution.guardian import guard
from shared.execution.reconcile import reconcile

D = Decimal
EMPTY = ApiResponse(200, {"content-type": "application/json"}, b"[]")
OPEN_ORDERS = ("GET", "/fapi/v1/openOrders")
TRADES = ("GET", "/fapi/v1/userTrades")
INCOME = ("GET", "/fapi/v1/income")

#: Views that may be behind for a while: which, and what they then show.
LAGS: dict[str, tuple[tuple[str, str], ApiResponse]] = {
    "positions": (POSITIONS, EMPTY),
    "conditional orders": (OPEN_ALGOS, EMPTY),
    "open orders": (OPEN_ORDERS, EMPTY),
    "an order": (GET_ORDER, NOT_FOUND),
    "a conditional order": (GET_ALGO, NOT_FOUND),
    "fills": (TRADES, EMPTY),
}
ROUNDS = {"guard": guard, "reconcile": reconcile}

step = st.tuples(
    st.sampled_from(sorted(ROUNDS)),
    st.sets(st.sampled_from(sorted(LAGS)), max_size=2),
    st.integers(1, 2),
    st.none() | st.integers(0, 12),
)
#: Where the price goes after the entry: to the stop, to the target, nowhere.
ENDS = {"stop": -0.025, "target": 0.045, "nowhere": 0.001}


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(sorted(ENDS)), st.lists(step, min_size=1, max_size=8))
def test_views_that_lag_and_rounds_that_die(
    end: str, steps: list[tuple[str, set[str], int, int | None]]
) -> None:
    moves = {"BTCUSDT": [(1, 0), (4, ENDS[end]), (900, ENDS[end])]}
    floor = Floor(moves, durable=False)
    try:
        floor.expected = {4}  # a stop that triggers while nobody is allowed to see it
        signal = floor.signal()
        assess.assess(floor.desk, "BTCUSDT", signal.id)
        assert entry.open_position(floor.desk, "BTCUSDT", signal.id).status == "protected"
        for name, lags, times, dies_at in steps:
            floor.clock.sleep(60)
            floor.api.advance()
            for lag in lags:
                what, answer = LAGS[lag]
                floor.break_next(what, answer, times=1000, seconds=20)
            for _ in range(times):
                _round(floor, ROUNDS[name], dies_at)
            floor.faults.rules.clear()
        settled(floor)
    finally:
        floor.close()


def _round(floor: Floor, round_: Any, dies_at: int | None) -> None:
    """One round; killed at its n-th change if so wished. Trouble is told, never fatal."""
    left = [-1 if dies_at is None else dies_at]

    def die(name: str, args: Any) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise Crash

    if dies_at is not None:
        floor.store.before = die
    try:
        round_(floor.desk)
    except (Crash, BorsaError):
        pass
    finally:
        floor.store.before = lambda name, args: None


def settled(floor: Floor) -> None:
    """After quiet rounds our book is the exchange's."""
    for minute in range(7):
        floor.clock.sleep(60)
        floor.api.advance()
        guard(floor.desk)
        if minute % 5 == 4:
            reconcile(floor.desk)
    entries = floor.entries()
    assert len(entries) == 1
    held = floor.held()
    records = {d["id"]: d for d in floor.documents("positions") if d["state"] != "closed"}
    if held:
        assert D(records["BTCUSDT"]["quantity"]) == held
        assert [s.quantity for s in floor.stops()] == [held]
        assert len(floor.targets()) == 1
        assert not floor.trades()
    else:
        assert not records
        assert not floor.algos()
        assert floor.leaked() == ({}, [])
        (trade,) = floor.trades()
        # Booked once, and to the cent what the wallet has lost or won.
        wallet = floor.account.wallet_balance() - D(5000)
        assert D(trade["netPnl"]) == wallet
        assert floor.services.ledger.read().day_realized_pnl == wallet
    ours = {d["id"]: d["state"] for d in floor.documents("orders")}
    for order in floor.orders():
        if order.client_order_id in ours and not order.algo_id:
            assert ours[order.client_order_id] == ("filled" if order.executed else "cancelled")
    assert not [i for i, state in ours.items() if state in ("intent", "unknown") and "-e-" in i]


@pytest.mark.parametrize("end", ["stop", "target"])
def test_the_other_half_of_the_bracket_goes_though_the_list_lagged(open_floor, end):
    """Settled while the list of conditional orders was empty: what is left is found later."""
    moves = {"BTCUSDT": [(1, 0), (4, ENDS[end]), (900, ENDS[end])]}
    floor = open_floor(moves, durable=False)
    signal = floor.signal()
    assess.assess(floor.desk, "BTCUSDT", signal.id)
    entry.open_position(floor.desk, "BTCUSDT", signal.id)
    floor.clock.sleep(400)
    floor.api.advance()
    assert not floor.held()
    floor.break_next(OPEN_ALGOS, EMPTY, times=1000)
    guard(floor.desk)
    assert len(floor.trades()) == 1
    assert len(floor.algos()) == 1
    floor.faults.rules.clear()
    floor.clock.sleep(60)
    reconcile(floor.desk)
    assert not floor.algos()
    states = {d["id"]: d["state"] for d in floor.documents("orders") if d["leg"] in ("s", "t")}
    assert sorted(states.values()) == ["cancelled", "filled"]


@pytest.mark.parametrize("round_", ROUNDS.values(), ids=ROUNDS)
def test_a_quiet_round_changes_nothing(open_floor, round_):
    """Idempotent: the second of two rounds writes nothing and sends nothing but queries."""
    floor = open_floor({"BTCUSDT": [(60, 0)]}, durable=False)
    signal = floor.signal()
    assess.assess(floor.desk, "BTCUSDT", signal.id)
    entry.open_position(floor.desk, "BTCUSDT", signal.id)
    floor.clock.sleep(120)
    floor.api.advance()
    round_(floor.desk)
    changed: list[str] = []
    floor.store.before = lambda name, args: changed.append(name)
    floor.session.before = lambda method, url: changed.append(url) if method != "GET" else None
    round_(floor.desk)
    assert changed == []


def test_positions_come_first(open_floor):
    """What is held is read before what is open: an order that fills between counts once."""
    floor = open_floor(durable=False)
    asked: list[str] = []
    floor.session.before = lambda method, url: asked.append(url.split("/fapi/")[-1])
    reconcile(floor.desk)
    views = ("v3/positionRisk", "v1/openAlgoOrders", "v1/openOrders")
    seen = [a.split("?")[0] for a in asked]
    assert [a for a in seen if a in views] == list(views)


def test_the_exchange_s_quantity_wins(open_floor):
    floor = open_floor({"BTCUSDT": [(60, 0)]}, durable=False)
    floor.expected = {1, 7, 8}
    signal = floor.signal()
    assess.assess(floor.desk, "BTCUSDT", signal.id)
    entry.open_position(floor.desk, "BTCUSDT", signal.id)
    floor.trade_by_hand("BTCUSDT", "SELL", "0.001")
    floor.clock.sleep(60)
    floor.api.advance()
    report = reconcile(floor.desk)
    assert report.differences
    assert D(floor.documents("positions")[0]["quantity"]) == floor.held()
    assert reconcile(floor.desk).differences == ()
    assert any("difference" in b for b in floor.audit("incident"))


def test_an_order_that_is_not_found_stays_what_it_is(open_floor):
    floor = open_floor({"BTCUSDT": [(60, 0)]}, durable=False)
    signal = floor.signal()
    assess.assess(floor.desk, "BTCUSDT", signal.id)
    entry.open_position(floor.desk, "BTCUSDT", signal.id)
    before = {d["id"]: d["state"] for d in floor.documents("orders")}
    for lag in LAGS.values():
        floor.break_next(lag[0], lag[1], times=1000, seconds=300)
    for _ in range(3):
        floor.clock.sleep(40)
        floor.api.advance()
        reconcile(floor.desk)
    assert {d["id"]: d["state"] for d in floor.documents("orders")} == before
    floor.faults.rules.clear()
    assert orders.load(floor.desk, floor.entry_id(signal))[0].state == "filled"


def test_account_view_is_needed_for_a_round(open_floor):
    """Without it nothing is judged: no drawdown, no settlement, no guess."""
    floor = open_floor(durable=False)
    floor.break_next(ACCOUNT, ApiResponse(503, {}, b"Service Unavailable."), times=1000)
    with pytest.raises(BorsaError):
        guard(floor.desk)


def test_a_difference_is_an_incident_whatever_fails_afterwards(open_floor):
    """The record was mended first, so the next comparison had nothing to tell."""
    floor = open_floor({"BTCUSDT": [(60, 0)], "ETHUSDT": [(60, 0)]}, durable=False)
    floor.expected = {1, 7, 8}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        signal = floor.signal(symbol)
        assess.assess(floor.desk, symbol, signal.id)
        entry.open_position(floor.desk, symbol, signal.id)
    floor.trade_by_hand("BTCUSDT", "SELL", "0.001")
    (target,) = floor.targets("ETHUSDT")
    floor.venue.cancel_algo_order(floor.account, target)
    floor.clock.sleep(60)
    floor.api.advance()
    floor.break_next(GET_ALGO, UNAVAILABLE, times=1000, seconds=30)
    with pytest.raises(BorsaError):
        reconcile(floor.desk)
    assert [b["difference"] for b in floor.audit("incident") if "BTCUSDT" in b["difference"]]
    assert floor.alerts().count("reconciliation") == 1
