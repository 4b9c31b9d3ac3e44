"""A difference between the books that is there again, or still, is one of that day too."""

from __future__ import annotations

from decimal import Decimal

from desk import MIDNIGHT, Floor

from shared.clock import iso
from shared.execution import assess, entry, reconcile
from shared.market.timeframe import DAY_MS, MINUTE_MS
from shared.portfolio import positions
from shared.simulation.orders import NewOrder

D = Decimal


def at(floor: Floor, ms: int) -> str:
    floor.clock.advance_to(ms)
    floor.api.advance()
    return iso(floor.clock.now_ms())


def told_since(floor: Floor, time: str) -> int:
    found = floor.documents("alerts")
    return sum(a["kind"] == "reconciliation" and a["time"] >= time for a in found)


def incidents(floor: Floor) -> int:
    return sum("difference" in body for body in floor.audit("incident"))


def test_the_same_difference_on_the_next_day_is_told_and_counts_again(open_floor):
    """No difference for seven days is asked for before a stage is promoted."""
    floor = open_floor(durable=False)
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    assert entry.open_position(floor.desk, "BTCUSDT", signal.id).status == "protected"
    for n, ms in enumerate((MIDNIGHT + DAY_MS - 60 * MINUTE_MS, MIDNIGHT + DAY_MS + MINUTE_MS)):
        since = at(floor, ms)
        record, _ = positions.load(floor.store, "main", "BTCUSDT")
        wrong = positions.change(floor.store, record, quantity=D("0.008"), updated_at=ms - DAY_MS)
        assert wrong.quantity != floor.held()
        assert reconcile.reconcile(floor.desk).differences
        assert told_since(floor, since) == 1
        assert incidents(floor) == n + 1


def test_an_order_by_hand_that_rests_for_days_is_a_difference_of_each(open_floor):
    floor = open_floor(durable=False)
    floor.expected = {1, 7, 8}
    order = NewOrder(
        symbol="XRPUSDT",
        side="BUY",
        type="LIMIT",
        quantity=D(100),
        price=D("1.5"),
        client_order_id="web-1",
    )
    floor.venue.place_order(floor.account, order)
    for n, ms in enumerate((MIDNIGHT + DAY_MS - 60 * MINUTE_MS, MIDNIGHT + DAY_MS + MINUTE_MS)):
        since = at(floor, ms)
        for _ in range(3):
            reconcile.reconcile(floor.desk)
        assert told_since(floor, since) == 1
        assert incidents(floor) == n + 1
