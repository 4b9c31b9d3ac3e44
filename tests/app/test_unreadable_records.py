"""A document that this version cannot decode (a rollback, a hand in the store) costs its own
symbol's looking after, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from chased import CANCEL
from desk import GET_ORDER, OPEN_ALGOS, Floor
from test_guardian_rounds import FULL, cancel, later, opened
from test_reconciliation import EMPTY

from local.exchange.faults import error_answer
from shared.errors import StoreError
from shared.execution import assess, emergency
from shared.execution.guardian import guard
from shared.execution.reconcile import reconcile
from shared.simulation.orders import NewOrder

D = Decimal


def spoil(floor: Floor, container: str, partition: str, id_: str, **fields: Any) -> None:
    found = floor.store.get(container, partition, id_)
    floor.store.replace(container, {**found.body, **fields}, etag=found.etag)


def two(open_floor: Any) -> Floor:
    floor = open_floor(durable=False)
    opened(floor)
    opened(floor, "ETHUSDT")
    later(floor)
    return floor


@pytest.fixture
def spoiled(open_floor) -> Floor:
    floor = two(open_floor)
    before = floor.store.get("positions", "main", "BTCUSDT").body
    spoil(floor, "positions", "main", "BTCUSDT", side="UP")
    yield floor
    # What a person does in the end.
    spoil(floor, "positions", "main", "BTCUSDT", **before)
    floor.services.kill_switch.ensure()
    emergency.settle_all(floor.desk)


@pytest.mark.parametrize("minute", range(5))
def test_the_other_positions_are_looked_after(spoiled, minute):
    """In rounds that read each record by itself, and in those that ask for all."""
    floor = spoiled
    later(floor, 60 * minute)
    cancel(floor, "STOP_MARKET", "ETHUSDT")
    round_ = guard(floor.desk)
    assert floor.stops("ETHUSDT")
    # It keeps its stop, is not taken for a stranger's, and somebody is told.
    assert [s.quantity for s in floor.stops("BTCUSDT")] == [FULL]
    assert [f for f in round_.failures if "BTCUSDT" in f and "cannot" not in f]
    assert "guardian-trouble" in floor.alerts()
    assert "foreign-position" not in floor.alerts()
    reconcile(floor.desk)
    assert floor.stops("BTCUSDT")


def test_an_emergency_stop_closes_it_as_well(spoiled):
    floor = spoiled
    emergency.latch(floor.desk, "manual", {}, "test")
    assert emergency.flatten_account(floor.desk, "test").flat
    assert floor.held() == floor.held("ETHUSDT") == 0
    assert emergency.settle_all(floor.desk) == 1


@pytest.mark.parametrize("what", ["kill-switch", "risk-ledger"])
def test_positions_are_protected_without_switch_or_ledger(open_floor, what):
    floor = two(open_floor)
    before = floor.store.get("control", "main", what).body
    spoil(floor, "control", "main", what, outstanding="none", entries="none")
    cancel(floor, "STOP_MARKET")
    with pytest.raises(StoreError, match=what):
        guard(floor.desk)
    assert [s.quantity for s in floor.stops()] == [FULL]
    found = floor.store.get("control", "main", what)
    floor.store.replace("control", dict(before), etag=found.etag)


def test_one_order_leaves_the_others_reconciled(open_floor):
    floor = two(open_floor)
    (stop,) = floor.stops()
    (other,) = floor.targets("ETHUSDT")
    good = floor.store.get("orders", "main", stop.client_algo_id).body
    spoil(floor, "orders", "main", stop.client_algo_id, quantity="much")
    cancel(floor, "TAKE_PROFIT_MARKET", "ETHUSDT")
    later(floor)
    with pytest.raises(StoreError, match=stop.client_algo_id):
        reconcile(floor.desk)
    known = floor.store.get("orders", "main", other.client_algo_id).body
    assert known["state"] == "cancelled"
    spoil(floor, "orders", "main", stop.client_algo_id, **good)
    guard(floor.desk)


def test_the_trigger_works_though_the_stage_document_cannot_be_read(open_floor):
    floor = open_floor(durable=False)
    floor.expected = {2, 7, 8}
    later(floor, 60 * 5)
    guard(floor.desk)
    for n in range(3):
        floor.venue.place_order(
            floor.account,
            NewOrder(
                symbol="ETHUSDT",
                side="BUY",
                type="LIMIT",
                time_in_force="GTC",
                price=D(2000 + n),
                quantity=D("0.1"),
            ),
        )
    floor.expected.add(1)
    spoil(floor, "control", "main", "stage", runs="none")
    reconcile(floor.desk)
    for _ in range(5):
        later(floor)
        guard(floor.desk)
    assert floor.services.kill_switch.ensure().trigger == "suspicious_activity"
    emergency.flatten_account(floor.desk, "test")


def test_one_order_keeps_nothing_from_being_told(open_floor):
    """Comparing ends with its trouble every time; what it has found goes to the hubs all the same:
    only so the tracker of violations hears of a stranger's order."""
    floor = open_floor()
    floor.expected = {1, 2, 7, 8}
    floor.trade()
    floor.run(60)
    (stop,) = floor.stops()
    good = floor.store.get("orders", "main", stop.client_algo_id).body
    spoil(floor, "orders", "main", stop.client_algo_id, quantity="much")
    order = NewOrder(
        symbol="XRPUSDT",
        side="BUY",
        type="LIMIT",
        time_in_force="GTC",
        quantity=D(100),
        price=D("1.9"),
    )
    theirs = floor.venue.place_order(floor.account, order)
    floor.run(330)
    assert [v["kind"] for v in floor.documents("violations")] == ["foreign-order"]
    assert theirs.is_open
    spoil(floor, "orders", "main", stop.client_algo_id, **good)


def test_nor_does_it_stop_a_sweep_if_fields_are_missing(open_floor):
    """Read as it is stored, such an order was a KeyError: of the guardian, and of every entry."""
    floor = two(open_floor)
    (sent,) = floor.entries()[:1]
    found = floor.store.get("orders", "main", sent.client_order_id)
    bare = {k: found.body[k] for k in ("id", "account", "updatedAt")}
    floor.store.replace("orders", bare, etag=found.etag)
    signal = floor.signal("XRPUSDT")
    assert assess.assess(floor.desk, "XRPUSDT", signal.id).checks
    for _ in range(5):
        later(floor)
        guard(floor.desk)
    found_now = floor.store.get("orders", "main", sent.client_order_id)
    floor.store.replace("orders", dict(found.body), etag=found_now.etag)


def test_one_position_leaves_the_orphans_of_others_cancelled(open_floor):
    end = [(1, 0), (4, 0.045), (900, 0.045)]
    floor = open_floor({"BTCUSDT": end, "ETHUSDT": end}, durable=False)
    opened(floor)
    opened(floor, "ETHUSDT")
    later(floor, 400)
    floor.break_next(OPEN_ALGOS, EMPTY, times=1000)
    guard(floor.desk)
    floor.faults.rules.clear()
    assert len(floor.trades()) == len(floor.stops("BTCUSDT") + floor.stops("ETHUSDT")) == 2
    before = floor.store.get("positions", "main", "BTCUSDT").body
    spoil(floor, "positions", "main", "BTCUSDT", side="UP")
    later(floor)
    with pytest.raises(StoreError, match="BTCUSDT"):
        reconcile(floor.desk)
    assert floor.stops("BTCUSDT")
    assert not floor.stops("ETHUSDT")
    spoil(floor, "positions", "main", "BTCUSDT", **before)
    reconcile(floor.desk)
    assert not floor.algos()


def test_a_decision_under_limits_that_are_no_longer_allowed(open_floor):
    """A ceiling of the code was lowered since: its entry waits, the others are looked after."""
    floor = two(open_floor)
    id_ = floor.store.get("positions", "main", "BTCUSDT").body["decisionId"]
    key = assess.decision_key(id_)
    before = floor.store.get("signals", "BTCUSDT", key).body["inputs"]
    loose = {**before, "limits": {**before["limits"], "max_drawdown": "0.5"}}
    spoil(floor, "signals", "BTCUSDT", key, inputs=loose)
    with pytest.raises(StoreError, match="max_drawdown"):
        assess.load(floor.desk, "BTCUSDT", id_)
    spoil(floor, "positions", "main", "BTCUSDT", state="opening")
    later(floor, 600)
    cancel(floor, "STOP_MARKET", "ETHUSDT")
    guard(floor.desk)
    assert floor.stops("ETHUSDT")
    reconcile(floor.desk)
    spoil(floor, "positions", "main", "BTCUSDT", state="open")
    spoil(floor, "signals", "BTCUSDT", key, inputs=before)


@pytest.mark.parametrize("where", ["store", "exchange", "exchange, where it would rest"])
def test_an_emergency_stop_ends_though_the_order_behind_a_permit_cannot_be_read(open_floor, where):
    """Its permit was never resolved: the account was never flat, and could not be cleared."""
    floor = two(open_floor)
    sent = floor.entries()[0].client_order_id
    floor.services.kill_switch.acquire_permit(sent)
    good = floor.store.get("orders", "main", sent).body
    if where == "store":
        spoil(floor, "orders", "main", sent, quantity="much")
    else:
        # Claimed again just now, as who asks for a permit does first.
        force = "GTX" if "rest" in where else "IOC"
        claimed_at = floor.desk.exchange.now_ms()
        spoil(floor, "orders", "main", sent, sentAt=claimed_at, timeInForce=force)
        gone = error_answer(400, -1121, "Invalid symbol.")
        for what in (GET_ORDER, CANCEL):
            floor.break_next(what, gone, times=1000, where=lambda r: sent in f"{r.query}{r.body}")
    emergency.latch(floor.desk, "manual", {}, "test")
    # It may still be on its way.
    assert not emergency.flatten_account(floor.desk, "test").flat
    assert floor.held() == floor.held("ETHUSDT") == 0
    later(floor, 10)
    assert emergency.flatten_account(floor.desk, "test", 1).flat
    floor.faults.rules.clear()
    spoil(floor, "orders", "main", sent, **good)
    emergency.settle_all(floor.desk)
    assert len(floor.trades()) == 2


def test_one_trade_keeps_no_other_from_being_booked_after_a_stop(open_floor):
    """Whether something of it was in no trade is asked for first."""
    floor = open_floor(durable=False)
    spoiled_id = opened(floor)
    later(floor)
    emergency.latch(floor.desk, "manual", {}, "test")
    assert emergency.flatten_account(floor.desk, "test").flat
    emergency.settle_all(floor.desk)
    found = floor.store.get("trades", "main", spoiled_id)
    bare = {k: v for k, v in found.body.items() if k != "closedAt"}
    floor.store.replace("trades", bare, etag=found.etag)
    assert emergency.settle_all(floor.desk) == 0
    later(floor)
    reconcile(floor.desk)
    etag = floor.store.get("trades", "main", spoiled_id).etag
    floor.store.replace("trades", dict(found.body), etag=etag)


def test_a_stop_is_taken_up_again_without_the_ledger(open_floor):
    """Its workflow was lost, and the guardian's round ends with what cannot be read."""
    floor = open_floor()
    floor.trade()
    floor.run(60)
    before = floor.store.get("control", "main", "risk-ledger").body
    spoil(floor, "control", "main", "risk-ledger", entries="none")
    emergency.latch(floor.desk, "manual", {}, "test")
    floor.expected = {5}  # nobody was at it for a minute
    floor.minutes(1.5)
    assert not floor.held()
    etag = floor.store.get("control", "main", "risk-ledger").etag
    floor.store.replace("control", dict(before), etag=etag)
    floor.minutes(2)
    assert len(floor.trades()) == 1
