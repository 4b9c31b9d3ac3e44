"""The audit chain is broken: nothing is opened any more, and no exit is refused.

Somebody has put a record into the place of the next one that does not continue the chain, so that
every append fails. Once it is removed the books are written up.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from desk import ALGO, UNAVAILABLE, Floor

from shared.audit.chain import CONTAINER
from shared.audit.record import AuditRecord, record_id, sealed, to_document
from shared.errors import AuditBroken
from shared.execution import assess, emergency, entry, guardian, reconcile

D = Decimal
FULL = D("0.004")


def break_chain(floor: Floor) -> Callable[[], None]:
    """Put a forged record at the end; returns what takes it away again."""
    last = floor.services.audit.head()
    assert last is not None
    forged = sealed(
        AuditRecord(
            account="main",
            seq=last.seq + 1,
            day=last.next_day,
            time=floor.clock.now_ms(),
            kind="operator",
            correlation="",
            key="",
            body={},
            prev_hash="f" * 64,
        )
    )
    floor.store.create(CONTAINER, to_document(forged))
    with pytest.raises(AuditBroken):
        floor.desk.note("incident", {"text": "anything"}, correlation="test")

    def mend() -> None:
        name = record_id("main", forged.seq)
        found = floor.store.get(CONTAINER, forged.day, name)
        floor.store.delete(CONTAINER, forged.day, name, etag=found.etag)

    return mend


def opened(floor: Floor, **fields: Any) -> str:
    signal = floor.signal(**fields)
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    assert entry.open_position(floor.desk, "BTCUSDT", signal.id).status == "protected"
    return signal.id


def later(floor: Floor, seconds: float = 60) -> None:
    floor.clock.sleep(seconds)
    floor.api.advance()


def assert_written_up(floor: Floor) -> None:
    """After the repair the usual rounds bring the books to where they belong."""
    for _ in range(8):
        later(floor)
        guardian.guard(floor.desk)
        reconcile.reconcile(floor.desk)
    told = {body["clientOrderId"] for body in floor.audit("intent")}
    records = {body["id"]: body["state"] for body in floor.documents("orders")}
    for order in [*floor.orders(), *floor.account.algos.values()]:
        name = getattr(order, "client_algo_id", None) or order.client_order_id
        if name.startswith("bq-"):
            assert name in told
            assert records[name] in ("open", "filled", "cancelled")
    assert floor.leaked()[0] == {}


@pytest.mark.parametrize("stops_refused", [False, True])
def test_it_breaks_between_the_fill_and_the_stop(open_floor, stops_refused):
    floor = open_floor(durable=False)
    mend: list[Callable[[], None]] = []

    def after(method: str, url: str) -> None:
        if method.upper() == "POST" and url.split("?")[0].endswith("/fapi/v1/order"):
            floor.session.after = lambda method, url: None
            mend.append(break_chain(floor))

    floor.session.after = after
    if stops_refused:
        floor.break_next(ALGO, UNAVAILABLE, times=1000, seconds=30)
    signal = floor.signal()
    assess.assess(floor.desk, "BTCUSDT", signal.id)
    with pytest.raises(AuditBroken):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    fill = floor.fills()[0]
    if stops_refused:
        assert floor.held() == 0
        assert floor.fills()[1].time - fill.time <= 5_000
    else:
        (stop,) = floor.stops()
        assert stop.quantity == floor.held() == FULL
        assert stop.create_time - fill.time <= 1_500
    mend[0]()
    assert_written_up(floor)
    assert len(floor.trades()) == stops_refused


def test_the_guardian_protects_closes_and_stops_all_the_same(open_floor):
    floor = open_floor(durable=False, settings={"MAX_HOLDING_BARS": "2"})
    floor.expected = {4}  # the stop is taken away for a minute
    opened(floor)
    floor.venue.cancel_all_algo_orders(floor.account, "BTCUSDT")
    later(floor)
    mend = break_chain(floor)
    guardian.guard(floor.desk)
    (stop,) = floor.stops()
    assert stop.quantity == FULL
    later(floor, 600)
    round_ = guardian.guard(floor.desk)
    assert floor.held() == 0
    assert any("AuditBroken" in failure for failure in round_.failures)
    mend()
    assert_written_up(floor)
    assert [t["exitReason"] for t in floor.trades()] == ["time exit"]


def test_a_stop_goes_on_trailing_without_leaving_old_ones_behind(open_floor):
    floor = open_floor({"BTCUSDT": [(3, 0), (40, 0.038)]}, durable=False)
    opened(floor)
    later(floor, 20 * 60)
    mend = break_chain(floor)
    for _ in range(12):
        later(floor)
        guardian.guard(floor.desk)
        assert 1 <= len(floor.stops()) <= 2
    assert floor.stops()[0].trigger_price > D(100_000)
    mend()
    assert_written_up(floor)
    assert len(floor.stops()) == len(floor.targets()) == 1


def test_a_drawdown_latches_tells_people_and_closes(open_floor):
    floor = open_floor({"BTCUSDT": [(3, 0), (4, -0.015)]}, durable=False, deposit="5000")
    opened(floor)
    mend = break_chain(floor)
    ledger = floor.services.ledger
    ledger.update_equity(D(9_000))  # as if equity had been there
    later(floor)
    round_ = guardian.guard(floor.desk)
    assert round_.closing
    assert "kill-switch" in floor.alerts()
    floor.watch.latched_at = floor.clock.now_ms()
    assert emergency.flatten_account(floor.desk, "emergency").closed == ("BTCUSDT",)
    assert floor.held() == 0
    mend()
    assert_written_up(floor)
    assert [t["exitReason"] for t in floor.trades()] == ["emergency stop"]


def test_nothing_is_opened(open_floor):
    floor = open_floor(durable=False)
    first, second = floor.signal("BTCUSDT"), floor.signal("ETHUSDT")
    assert assess.assess(floor.desk, "BTCUSDT", first.id).outcome == "approved"
    mend = break_chain(floor)
    for _ in range(2):
        with pytest.raises(AuditBroken):
            entry.open_position(floor.desk, "BTCUSDT", first.id)
        with pytest.raises(AuditBroken):
            assess.assess(floor.desk, "ETHUSDT", second.id)
    later(floor, 45)
    assert not floor.entries()
    assert not floor.held()
    mend()
    assert entry.open_position(floor.desk, "BTCUSDT", first.id).status != "protected"
    assert not floor.entries()


def test_the_whole_application_closes_and_refuses(open_floor):
    floor = open_floor()
    floor.trade("BTCUSDT")
    floor.run(10)
    assert floor.held() == FULL
    mend = break_chain(floor)
    floor.trade("ETHUSDT")
    floor.run(30)
    assert len(floor.entries()) == 1
    assert floor.http("POST", "/api/emergency-stop", {"operator": "ada"}).status == 202
    floor.watch.latched_at = floor.clock.now_ms()
    floor.run(30)
    assert floor.held() == 0
    assert not floor.algos()
    mend()
    floor.minutes(12)
    assert [t["symbol"] for t in floor.trades()] == ["BTCUSDT"]
