"""A close that could not be sent while the store fails goes out under another id, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from desk import ALGO, ORDER, UNAVAILABLE, UNKNOWN_503, Crash
from outage import (
    FULL,
    assert_all_recorded,
    assert_the_dead_stayed_dead,
    closes,
    down_from_fill,
    floor_with,
    opened,
)
from test_clock_ahead import Ahead

from shared.bootstrap import Services
from shared.errors import StoreUnavailable
from shared.execution import emergency, flatten, guardian, reconcile
from shared.execution.books import Books
from shared.portfolio import positions


def test_a_close_whose_answer_is_lost_is_found_again_without_the_store(open_floor):
    floor, outage = floor_with(open_floor)
    down_from_fill(floor, outage, 6)
    floor.break_next(ALGO, UNAVAILABLE, times=1000, seconds=30)
    floor.break_next(
        ORDER, UNKNOWN_503, executed=True, where=lambda r: b"reduceOnly=true" in r.body
    )
    floor.trade()
    floor.run(150)
    assert floor.held() == 0
    assert len(floor.orders()) == 2
    assert_all_recorded(floor)


def test_a_close_that_could_not_be_sent_is_sent_under_another_id(open_floor):
    floor, outage = floor_with(open_floor)
    # Neither stop nor close is accepted for that long.
    floor.expected = {4}
    down_from_fill(floor, outage, 6.3)
    floor.break_next(ALGO, UNAVAILABLE, times=1000, seconds=30)
    floor.break_next(ORDER, UNAVAILABLE, times=5, where=closes)
    floor.trade()
    floor.run(150)
    assert floor.held() == 0
    assert len(floor.orders()) == 2, "closed once"
    assert_the_dead_stayed_dead(floor)
    assert_all_recorded(floor)
    assert len(floor.trades()) == 1
    assert floor.leaked() == ({}, [])


def test_a_close_that_could_not_be_sent_does_not_hide_the_one_that_was(open_floor):
    """The store took the record of the first, then not the position's, and the rest was lost.

    Found in `outage` 2026.1613: the record said for ever that the order had not been sent.
    """
    floor, outage = floor_with(open_floor, durable=False)
    opened(floor, "BTCUSDT")
    found = positions.load(floor.desk.store, floor.desk.account, "BTCUSDT")
    assert found is not None
    outage.concerns = lambda container, *rest: container == "positions"
    outage.fails = lambda: True
    floor.break_next(ORDER, UNAVAILABLE, times=5, where=closes)
    with pytest.raises(StoreUnavailable):
        flatten.close_position(floor.desk, found[0], "test")
    assert floor.held() == 0
    outage.fails = lambda: False
    floor.clock.sleep(120)
    guardian.guard(floor.desk)
    assert len(floor.trades()) == 1
    assert_the_dead_stayed_dead(floor)
    assert_all_recorded(floor)


def test_a_close_that_was_written_off_is_sent_under_another_id_by_the_next_run(open_floor):
    """Found in `storm` 2026.1919: the store was away for both, and could be written to between."""
    floor, outage = floor_with(open_floor, durable=False)
    opened(floor, "BTCUSDT")
    found = positions.load(floor.desk.store, floor.desk.account, "BTCUSDT")
    assert found is not None
    floor.break_next(ORDER, UNAVAILABLE, times=1000, seconds=60, where=closes)
    for last in (False, True):
        if last:
            floor.faults.rules.clear()
        outage.fails = lambda: True
        books = Books(floor.clock)
        books.give_up()
        assert flatten.close_position(floor.desk, found[0], "test", books, attempts=1) == last
        outage.fails = lambda: False
        books.catch_up()
    assert floor.held() == 0
    assert_the_dead_stayed_dead(floor)
    floor.clock.sleep(120)
    guardian.guard(floor.desk)
    assert_all_recorded(floor)


def test_what_a_stop_could_not_send_is_sent_under_another_id_once_the_store_is_away(open_floor):
    """Of a stranger's position: its close was written off, and then the store did not answer."""
    floor, outage = floor_with(open_floor, durable=False)
    floor.expected = {1, 2, 3, 4, 7, 8}
    floor.trade_by_hand("XRPUSDT", "BUY", "100")
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.watch.latched_at = floor.clock.now_ms()
    floor.break_next(ORDER, UNAVAILABLE, times=1000, seconds=1.2, where=closes)
    known = outage._inner
    outage.fails = lambda: any(
        d.body["state"] == "not_sent" for d in known.query("orders", "main").documents
    )
    emergency.flatten_account(floor.desk, "stop")
    assert not floor.held("XRPUSDT")
    outage.fails = lambda: False
    assert emergency.flatten_account(floor.desk, "stop", 1).flat
    assert_the_dead_stayed_dead(floor)


@pytest.mark.parametrize("back", [0, 400], ids=["its clock goes on", "its clock is set back"])
def test_a_run_that_was_frozen_before_its_close_spares_the_next_trade(open_floor, back):
    floor, outage = floor_with(open_floor, durable=False)
    opened(floor, "BTCUSDT")
    clock = Ahead(floor.clock, 0)
    frozen_one = Services(
        floor.settings, clock=clock, store=floor.store, exchange_session=floor.session
    )
    record, _ = positions.load(floor.store, "main", "BTCUSDT")
    frozen = []

    def freezes() -> bool:
        """Between the change of the record and the intent: another run closes, and trades again."""
        if not frozen:
            frozen.append(True)
            flatten.close_position(floor.desk, record, "time exit")
            guardian.guard(floor.desk)
            floor.clock.sleep(400)
            floor.api.advance()
            opened(floor, "BTCUSDT")
            clock.set_by(-1000 * back)
        return False

    outage.fails = freezes
    outage.concerns = lambda *arguments: False
    create = outage.create

    def created(container: str, body: Any, **named: Any) -> Any:
        if container == "orders":
            freezes()
        return create(container, body, **named)

    outage.create = created
    flatten.close_position(frozen_one.desk(), record, "by hand")
    assert frozen
    assert floor.held() == FULL, "the next trade goes on"


@pytest.mark.parametrize("dies", [False, True], ids=["frozen", "dies"])
def test_a_close_that_another_run_has_not_sent_is_not_waited_for(open_floor, dies):
    """Between the intent of its close and the request; somebody else closes meanwhile."""
    floor, outage = floor_with(open_floor, durable=False)
    opened(floor, "BTCUSDT")
    record, _ = positions.load(floor.store, "main", "BTCUSDT")
    create, took = outage.create, []

    def created(container: str, body: Any, **named: Any) -> Any:
        made = create(container, body, **named)
        if container == "orders" and not took:
            began = floor.clock.now_ms()
            took.append(0)
            flatten.close_position(floor.desk, record, "by another")
            took[0] = floor.clock.now_ms() - began
            assert not floor.held()
            if dies:
                raise Crash
        return made

    outage.create = created
    if dies:
        with pytest.raises(Crash):
            flatten.close_position(floor.desk, record, "time exit")
    else:
        assert flatten.close_position(floor.desk, record, "time exit")
    assert took[0] < 1_000
    closes = [o for o in floor.orders() if o.reduce_only and o.executed]
    assert [o.executed for o in closes] == [FULL]
    guardian.guard(floor.desk)
    for _ in range(2):
        floor.clock.sleep(310)
        floor.api.advance()
        reconcile.reconcile(floor.desk)
    assert {b["state"] for b in floor.documents("orders") if b["leg"] == "x"} == {
        "filled",
        # Reduce-only, and nothing left to reduce; or never sent at all.
        "not_sent" if dies else "rejected",
    }
    assert len(floor.trades()) == 1
