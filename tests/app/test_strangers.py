"""Orders and positions that are not ours: seen, told, closed only by an emergency stop."""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import Floor

from shared.compliance.violations import keep
from shared.execution import assess, emergency, entry
from shared.execution.guardian import guard
from shared.execution.reconcile import reconcile
from shared.simulation.orders import NewAlgoOrder, NewOrder

D = Decimal


def by_hand(floor: Floor) -> None:
    """Somebody else on the account: a resting order, a conditional one, and a position."""
    floor.trade_by_hand("XRPUSDT", "BUY", "100")
    floor.venue.place_order(
        floor.account,
        NewOrder(
            symbol="ETHUSDT",
            side="BUY",
            type="LIMIT",
            time_in_force="GTC",
            quantity=D("0.1"),
            price=D("2400"),
            client_order_id="web_resting",
        ),
    )
    floor.venue.place_algo_order(
        floor.account,
        NewAlgoOrder(
            symbol="XRPUSDT",
            side="SELL",
            type="STOP_MARKET",
            quantity=D("10"),
            trigger_price=D("1.5"),
            working_type="MARK_PRICE",
            reduce_only=True,
            client_algo_id="web_stop",
        ),
    )


def rounds(floor: Floor, count: int = 11) -> tuple[list[dict], list[dict]]:
    """Guardian and reconciliation as time passes; every event they told the hubs, once a round."""
    compliance: list[dict] = []
    for minute in range(count):
        floor.clock.sleep(60)
        floor.api.advance()
        desk = floor.desk
        guard(desk)
        if minute % 5 == 4:
            reconcile(desk)
        compliance += desk.outbox.compliance
        for event in desk.outbox.compliance:
            keep(desk, event)
    return compliance, floor.documents("violations")


@pytest.fixture
def floor(open_floor) -> Floor:
    made = open_floor(durable=False)
    made.expected = {1, 3, 4, 7, 8}  # what the other one does is not ours to answer for
    return made


def test_seen_told_once_and_left_alone(floor):
    signal = floor.signal("BTCUSDT")
    assess.assess(floor.desk, "BTCUSDT", signal.id)
    assert entry.open_position(floor.desk, "BTCUSDT", signal.id).status == "protected"
    by_hand(floor)
    before = (
        [o.client_order_id for o in floor.account.working_orders("ETHUSDT")],
        [a.client_algo_id for a in floor.account.working_algos("XRPUSDT")],
        floor.held("XRPUSDT"),
    )
    _, violations = rounds(floor)
    assert before == (
        [o.client_order_id for o in floor.account.working_orders("ETHUSDT")],
        [a.client_algo_id for a in floor.account.working_algos("XRPUSDT")],
        floor.held("XRPUSDT"),
    )
    assert sorted(v["kind"] for v in violations) == [
        "foreign-order",
        "foreign-order",
        "foreign-position",
    ]
    assert {v["symbol"] for v in violations} == {"ETHUSDT", "XRPUSDT"}
    assert "web_resting" in " ".join(v["text"] for v in violations)
    assert floor.alerts().count("foreign-order") == 2
    assert floor.alerts().count("foreign-position") == 1
    # Our own orders are none of it.
    assert len(floor.stops("BTCUSDT")) == len(floor.targets("BTCUSDT")) == 1


def test_a_position_opened_again_at_the_same_price_is_another_one(floor):
    """Found by the long search (strangers 2026.17): the second one was never told."""
    floor.trade_by_hand("XRPUSDT", "BUY", "100")
    rounds(floor, 2)
    price = floor.account.position("XRPUSDT").entry_price
    floor.trade_by_hand("XRPUSDT", "SELL", "100")
    rounds(floor, 2)
    floor.trade_by_hand("XRPUSDT", "BUY", "100")
    assert floor.account.position("XRPUSDT").entry_price == price
    rounds(floor, 2)
    assert floor.alerts().count("foreign-position") == 2


def test_a_foreign_conditional_order_is_seen_within_a_minute(floor):
    by_hand(floor)
    _, violations = rounds(floor, 1)
    assert {v["kind"] for v in violations} == {"foreign-order", "foreign-position"}


def test_an_emergency_stop_closes_them_and_says_so(floor):
    by_hand(floor)
    evidence = {"operator": "t", "reason": "t", "at": floor.clock.now_ms()}
    emergency.latch(floor.desk, "manual", evidence, "emergency-1")
    results = [emergency.flatten_account(floor.desk, "emergency-1", n) for n in range(2)]
    assert results[-1].flat
    assert not floor.held("XRPUSDT")
    assert not floor.account.working_orders("ETHUSDT")
    assert not floor.account.working_algos("XRPUSDT")
    told = [text for result in results for text in result.foreign]
    assert sorted(told) == [
        "order web_resting on ETHUSDT",
        "order web_stop on XRPUSDT",
        "position of 100 XRPUSDT",
    ]
    assert "emergency-foreign" in floor.alerts()
    assert floor.audit("emergency")[0]["foreign"]


def test_an_emergency_stop_of_our_own_things_speaks_of_nobody_else(floor):
    signal = floor.signal("BTCUSDT")
    assess.assess(floor.desk, "BTCUSDT", signal.id)
    entry.open_position(floor.desk, "BTCUSDT", signal.id)
    evidence = {"operator": "t", "reason": "t", "at": floor.clock.now_ms()}
    emergency.latch(floor.desk, "manual", evidence, "emergency-1")
    assert emergency.flatten_account(floor.desk, "emergency-1").foreign == ()
    assert "emergency-foreign" not in floor.alerts()
    emergency.settle_all(floor.desk)
