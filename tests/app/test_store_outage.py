"""The state store fails while a position is being protected: the exchange is dealt with first.

A stop or a close that leaves before its record is written down afterwards, exactly once, by
whoever sent it, or, if that process died, by whoever meets the order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from desk import (
    ACCOUNT,
    ALGO,
    GET_ORDER,
    NOT_FOUND,
    ORDER,
    POSITIONS,
    TIMEOUT_1007,
    UNAVAILABLE,
    UNKNOWN_503,
    Crash,
    Floor,
)
from hypothesis import given
from hypothesis import strategies as st
from test_clock_ahead import Ahead

from local.clock import VirtualClock
from local.exchange.faults import ApiRequest, error_answer
from shared.bootstrap import Services
from shared.errors import InvalidInput, OutcomeUnknown, StoreUnavailable
from shared.execution import (
    emergency,
    entry,
    flatten,
    guardian,
    orphans,
    reconcile,
    unrecorded,
    watch,
)
from shared.execution.books import STORE_MS, Books
from shared.execution.exchange import OrderRequest
from shared.portfolio import positions
from shared.simulation.orders import NewOrder
from shared.simulation.settlement import settle
from shared.storage.patience import patience
from shared.storage.sqlite import SqliteStore
from shared.storage.store import Store

D = Decimal
FULL = D("0.004")
CANCEL_ALGO = ("DELETE", "/fapi/v1/algoOrder")
CANCEL_ALL_ALGOS = ("DELETE", "/fapi/v1/algoOpenOrders")


class Outage:
    """A state store of which operations fail: those for which ``fails`` says so."""

    OPERATIONS = frozenset({"get", "query", "create", "replace", "patch", "delete"})

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._inner: Store = SqliteStore(":memory:", clock=clock)
        self.fails: Callable[[], bool] = lambda: False
        #: Which of the operations, by their arguments.
        self.concerns: Callable[..., bool] = lambda *arguments: True
        #: Called once an operation is done, before it is answered.
        self.after: Callable[[str, tuple[Any, ...]], None] = lambda name, arguments: None

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name not in self.OPERATIONS:
            return value

        def operation(*arguments: Any, **named: Any) -> Any:
            if self.fails() and self.concerns(*arguments):
                raise StoreUnavailable("the store is down")
            result = value(*arguments, **named)
            self.after(name, arguments)
            return result

        return operation


def floor_with(open_floor: Any, **named: Any) -> tuple[Floor, Outage]:
    made: list[Outage] = []

    def store(clock: VirtualClock) -> Any:
        made.append(Outage(clock))
        return made[0]

    return open_floor(store=store, **named), made[0]


def down_from_fill(floor: Floor, outage: Outage, seconds: float) -> None:
    """Once the entry is executed nothing of the store works for some seconds."""

    def after(method: str, url: str) -> None:
        if (method, "order") == (method.upper(), url.split("?")[0].rsplit("/", 1)[-1]) and (
            floor.fills() and method.upper() == "POST"
        ):
            until = floor.clock.now_ms() + round(seconds * 1000)
            outage.fails = lambda: floor.clock.now_ms() < until
            floor.session.after = lambda method, url: None

    floor.session.after = after


def intents(floor: Floor) -> Counter[str]:
    return Counter(body["clientOrderId"] for body in floor.audit("intent"))


def assert_all_recorded(floor: Floor) -> None:
    """Each order of ours has one record and one intent, whenever they came."""
    told = intents(floor)
    records = {body["id"]: body for body in floor.documents("orders")}
    seen = [o.client_order_id for o in floor.orders()]
    seen += [a.client_algo_id for a in floor.account.algos.values()]
    assert seen
    for id_ in seen:
        assert told[id_] == 1, id_
        assert records[id_]["state"] in ("open", "filled", "cancelled")


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


def closes(request: ApiRequest) -> bool:
    return b"reduceOnly=true" in request.body


def assert_the_dead_stayed_dead(floor: Floor) -> None:
    """No order has an id of which our records say that it was never executed."""
    assert "order-contradiction" not in floor.alerts()
    dead = [
        body["id"]
        for body in floor.documents("orders")
        if body["leg"] == "x" and body["state"] in ("not_sent", "rejected")
    ]
    assert dead, "a close could not be sent, and that was written down"
    assert not {o.client_order_id for o in floor.orders()}.intersection(dead)


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


@pytest.mark.parametrize("gone", [False, True], ids=["written down", "seen later"])
def test_a_target_that_was_refused_and_is_placed_without_the_store_is_open_in_the_books(
    open_floor, gone
):
    """Its id stays the same: it is looked up before, and covers no more than there is."""
    floor, outage = floor_with(open_floor, durable=False)
    refused = error_answer(400, -4164, "Order's notional must be no smaller than 5.")
    floor.break_next(ALGO, refused, times=50, where=lambda r: b"TAKE_PROFIT" in r.body)
    opened(floor, "BTCUSDT")
    assert [b["state"] for b in floor.documents("orders") if b["leg"] == "t"] == ["rejected"]
    floor.faults.rules.clear()
    floor.clock.sleep(60)
    floor.api.advance()
    outage.concerns = lambda container, *rest: container == "orders"
    outage.fails = lambda: gone or len(floor.algos()) < 2
    guardian.guard(floor.desk)
    assert len(floor.algos()) == 2
    outage.fails = lambda: False
    reconcile.reconcile(floor.desk)
    assert_all_recorded(floor)
    assert "order-contradiction" not in floor.alerts()


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


def test_who_died_before_the_record_finds_his_stop_when_he_runs_again(open_floor):
    floor, outage = floor_with(open_floor, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    down_from_fill(floor, outage, 3600)
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    (stop,) = floor.stops()
    assert stop.client_algo_id not in intents_of(floor, outage)
    outage.fails = lambda: False
    result = entry.open_position(floor.desk, "BTCUSDT", signal.id)
    assert result.status == "protected"
    assert floor.stops() == [stop], "the same one, not another"
    assert_all_recorded(floor)


def test_a_close_that_nobody_wrote_down_is_adopted_when_the_trade_is_settled(open_floor):
    floor, outage = floor_with(open_floor, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    floor.break_next(ALGO, UNAVAILABLE, times=1000, seconds=60)
    down_from_fill(floor, outage, 3600)
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    assert floor.held() == 0
    outage.fails = lambda: False
    floor.clock.sleep(120)
    guardian.guard(floor.desk)
    (trade,) = floor.trades()
    assert trade["exitReason"] == "closed"
    assert_all_recorded(floor)


@pytest.mark.parametrize("who", ["settlement", "reconciliation"])
def test_a_close_of_which_only_the_intent_was_written_down_is_audited_later(open_floor, who):
    """Its sender died between the record of the intent and the note in the audit."""
    floor, outage = floor_with(open_floor, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    floor.break_next(ALGO, UNAVAILABLE, times=1000, seconds=60)
    down_from_fill(floor, outage, 3600)

    def concerns(container: str, *rest: Any) -> bool:
        closed = len(floor.orders()) > 1
        return not closed or (container == "audit" and "bq-x-" in str(rest))

    outage.concerns = concerns
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    close = floor.orders()[-1].client_order_id
    outage.fails = lambda: False
    assert intents(floor)[close] == 0
    assert {b["id"]: b["state"] for b in floor.documents("orders")}[close] == "intent"
    floor.clock.sleep(120)
    if who == "reconciliation":
        reconcile.reconcile(floor.desk)
        assert intents(floor)[close] == 1
    guardian.guard(floor.desk)
    assert len(floor.trades()) == 1
    assert_all_recorded(floor)


@pytest.mark.parametrize("lost", ["orders", "audit"])
def test_a_close_whose_reason_is_written_down_is_adopted_as_well(open_floor, lost):
    """Its sender dies before the order's record, or between the record and its audit."""
    floor, outage = floor_with(open_floor, durable=False)
    opened(floor, "BTCUSDT")
    record, _ = positions.load(floor.store, "main", "BTCUSDT")
    outage.fails = lambda: True
    outage.concerns = partial(concerning, lost)
    with pytest.raises(StoreUnavailable):
        flatten.close_position(floor.desk, record, "time exit")
    assert floor.held() == 0
    outage.fails = lambda: False
    floor.clock.sleep(120)
    guardian.guard(floor.desk)
    reconcile.reconcile(floor.desk)
    (trade,) = floor.trades()
    assert trade["exitReason"] == "time exit"
    assert_all_recorded(floor)


@pytest.mark.parametrize("reason", ["", "time exit"])
def test_a_close_that_nobody_wrote_down_is_adopted_though_the_venue_hides_it_at_first(
    open_floor, reason
):
    """Simulation, storm 2026.2129: its fills were there before it could be asked for."""
    floor, outage = floor_with(open_floor, durable=False)
    opened(floor, "BTCUSDT")
    record, _ = positions.load(floor.store, "main", "BTCUSDT")
    if reason:
        record = positions.change(floor.store, record, exit_reason=reason)
    outage.fails = lambda: True
    with pytest.raises(StoreUnavailable):
        flatten.close_position(floor.desk, record, reason or "drawdown")
    close = floor.orders()[-1].client_order_id
    outage.fails = lambda: False
    asked = floor.break_next(
        GET_ORDER, NOT_FOUND, times=1000, seconds=5, where=lambda r: "&orderId=" in f"&{r.query}"
    )
    guardian.guard(floor.desk)
    assert asked.times < 1000
    assert floor.trades() == []
    floor.clock.sleep(60)
    floor.api.advance()
    guardian.guard(floor.desk)
    assert len(floor.trades()) == 1
    assert close in {o["id"] for o in floor.documents("orders")}
    assert_all_recorded(floor)


def test_a_fill_whose_order_is_never_shown_is_settled_a_minute_later(open_floor):
    """One of somebody else's, of which the venue says nothing more."""
    floor = open_floor(durable=False)
    floor.expected = {1, 7}  # somebody trades past the application
    opened(floor, "BTCUSDT")
    floor.trade_by_hand("BTCUSDT", "SELL", str(floor.held()))
    floor.break_next(
        GET_ORDER, NOT_FOUND, times=1000, seconds=600, where=lambda r: "&orderId=" in f"&{r.query}"
    )
    guardian.guard(floor.desk)
    assert floor.trades() == []
    floor.clock.sleep(70)
    floor.api.advance()
    guardian.guard(floor.desk)
    (trade,) = floor.trades()
    assert trade["exitReason"] == "liquidated or closed by hand"


def test_a_stop_whose_audit_is_missing_gets_it_from_reconciliation(open_floor):
    floor, outage = floor_with(open_floor, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    outage.fails = lambda: True
    outage.concerns = lambda container, *arguments: (
        container == "audit" and "'leg': 's'" in str(arguments)
    )
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    outage.fails = lambda: False
    for _ in range(2):
        floor.clock.sleep(60)
        floor.api.advance()
        reconcile.reconcile(floor.desk)
        assert_all_recorded(floor)


def concerning(container: str, first: object, *arguments: object) -> bool:
    return first == container


def test_a_stop_that_nobody_wrote_down_is_adopted_by_reconciliation(open_floor):
    floor, outage = floor_with(open_floor, durable=False)
    signal = floor.signal()
    approve(floor, signal)
    down_from_fill(floor, outage, 3600)
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    outage.fails = lambda: False
    reconcile.reconcile(floor.desk)
    told = intents(floor)
    for algo in floor.algos():
        assert told[algo.client_algo_id] == 1
    reconcile.reconcile(floor.desk)
    entry.open_position(floor.desk, "BTCUSDT", signal.id)
    assert_all_recorded(floor)


def approve(floor: Floor, signal: Any) -> None:
    from shared.execution import assess

    assert assess.assess(floor.desk, signal.symbol, signal.id).outcome == "approved"


def intents_of(floor: Floor, outage: Outage) -> Counter[str]:
    """The audit as it is, although the store is down for the application."""
    fails, outage.fails = outage.fails, lambda: False
    try:
        return intents(floor)
    finally:
        outage.fails = fails


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


def test_nothing_that_could_open_leaves_without_its_record(open_floor):
    floor = open_floor(durable=False)
    order = OrderRequest(
        symbol="BTCUSDT", side="BUY", type="MARKET", quantity=FULL, client_order_id="bq-x-1"
    )
    with pytest.raises(InvalidInput, match="intent comes first"):
        unrecorded.send(floor.desk, order)
    assert not floor.orders()


# ---------------------------------------------------------------------- stop and guardian


def opened(floor: Floor, *symbols: str) -> None:
    for symbol in symbols:
        signal = floor.signal(symbol)
        approve(floor, signal)
        assert entry.open_position(floor.desk, symbol, signal.id).status == "protected"


def assert_nothing_open(floor: Floor) -> None:
    for symbol in floor.venue.symbols:
        assert not floor.held(symbol)
        assert not floor.algos(symbol)


@pytest.mark.parametrize("after", range(0, 16, 3), ids=lambda n: f"after {n} operations")
def test_an_emergency_stop_closes_while_the_store_fails(open_floor, after):
    """Latched, and then the store is gone, at once or in the middle; a stranger's is closed too."""
    floor, outage = floor_with(open_floor, durable=False)
    floor.expected = {1, 2, 3, 4, 7, 8}
    opened(floor, "BTCUSDT", "ETHUSDT")
    floor.trade_by_hand("XRPUSDT", "BUY", "100")
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.watch.latched_at = floor.clock.now_ms()
    operations = 0

    def fails() -> bool:
        nonlocal operations
        operations += 1
        return operations > after

    outage.fails = fails
    first = emergency.flatten_account(floor.desk, "stop")
    assert not first.flat, "permits cannot be ruled out"
    assert_nothing_open(floor)
    assert len(floor.fills("BTCUSDT")) == 2
    assert not emergency.flatten_account(floor.desk, "stop", 1).flat

    outage.fails = lambda: False
    assert emergency.flatten_account(floor.desk, "stop", 2).flat
    emergency.settle_all(floor.desk)
    floor.clock.sleep(120)
    floor.api.advance()
    guardian.guard(floor.desk)
    reconcile.reconcile(floor.desk)
    assert "emergency-flat" in floor.alerts()
    assert sorted(t["symbol"] for t in floor.trades()) == ["BTCUSDT", "ETHUSDT"]
    assert floor.leaked() == ({}, [])


@pytest.mark.parametrize("after", [0, 2, 4, 6, 8], ids=lambda n: f"after {n} operations")
def test_an_emergency_stop_waits_seconds_for_a_store_that_hangs(open_floor, after):
    """Every operation ends with the ten seconds of its own time-out, or when its caller says."""
    floor, outage = floor_with(open_floor, durable=False)
    opened(floor, "BTCUSDT", "ETHUSDT")
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.watch.latched_at = floor.clock.now_ms()
    began, operations = floor.clock.now_ms(), 0

    def hangs() -> bool:
        nonlocal operations
        operations += 1
        if operations > after:
            limit = patience()
            floor.clock.sleep(10 if limit is None else min(limit, 10))
        return operations > after

    outage.fails = hangs
    emergency.flatten_account(floor.desk, "stop")
    closes = [o for o in floor.orders() if o.reduce_only]
    assert len(closes) == 2
    assert max(o.time for o in closes) - began < 4_000
    outage.fails = lambda: False
    assert emergency.flatten_account(floor.desk, "stop", 1).flat
    emergency.settle_all(floor.desk)
    assert_all_recorded(floor)


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


def test_an_outage_of_a_second_loses_no_record_of_a_stop(open_floor):
    """The store fails when the stop begins and answers again before the run is over."""
    floor, outage = floor_with(open_floor, durable=False)
    opened(floor, "BTCUSDT", "ETHUSDT")
    emergency.latch(floor.desk, "manual", {"operator": "ada"}, "stop")
    floor.watch.latched_at = floor.clock.now_ms()
    until = floor.clock.now_ms() + 100
    outage.fails = lambda: floor.clock.now_ms() < until
    emergency.flatten_account(floor.desk, "stop")
    assert emergency.flatten_account(floor.desk, "stop", 1).flat
    emergency.settle_all(floor.desk)
    assert {t["exitReason"] for t in floor.trades()} == {"emergency stop"}
    assert_all_recorded(floor)


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


# ---------------------------------------------------------------------- short pages


class ShortPages:
    """Cosmos DB ends a page when it likes, whatever limit was asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def query(self, *arguments: Any, **named: Any) -> Any:
        return self._store.query(*arguments, **{**named, "limit": 1})


def unknown_again(floor: Floor) -> list[str]:
    """The entries as they would be, had nobody learned how they ended."""
    entries = [o.client_order_id for o in floor.entries()]
    for id_ in entries:
        found = floor.store.get("orders", "main", id_)
        floor.store.replace("orders", {**found.body, "state": "unknown"}, etag=found.etag)
    return entries


def test_reconciliation_learns_the_end_of_every_order(open_floor):
    floor = open_floor(
        durable=False, store=lambda clock: ShortPages(SqliteStore(":memory:", clock=clock))
    )
    opened(floor, "BTCUSDT", "ETHUSDT", "XRPUSDT")
    entries = unknown_again(floor)
    floor.clock.sleep(120)
    floor.api.advance()
    reconcile.reconcile(floor.desk)
    states = [floor.store.get("orders", "main", id_).body["state"] for id_ in entries]
    assert states == ["filled"] * 3


def test_what_looks_suspicious_is_counted_to_the_end(open_floor):
    floor = open_floor(
        durable=False,
        store=lambda clock: ShortPages(SqliteStore(":memory:", clock=clock)),
    )
    floor.expected = {8}
    opened(floor, "BTCUSDT", "ETHUSDT", "XRPUSDT")
    unknown_again(floor)
    counts = watch._counts(floor.desk, floor.services.kill_switch.ensure())
    assert counts["unknown_outcomes"] == 3


# ---------------------------------------------------------------------- the books themselves


@given(st.lists(st.sampled_from(["ok", "fails", "slow"]), max_size=12))
def test_every_step_is_done_once_and_in_its_order(kinds: list[str]) -> None:
    """However the store behaves, after catching up the steps are what was asked for."""
    clock = VirtualClock(0)
    books = Books(clock)
    done: list[int] = []
    tried: Counter[int] = Counter()
    down = True

    def step(number: int, kind: str) -> int:
        tried[number] += 1
        if kind == "fails" and down:
            raise StoreUnavailable("down")
        if kind == "slow" and tried[number] == 1:
            limit = patience()
            clock.sleep(0.6 if limit is None else min(limit, 0.6))
        done.append(number)
        return number

    for number, kind in enumerate(kinds):
        late = books.late
        result = books.write(partial(step, number, kind), otherwise=-1)
        assert result == (-1 if late or (kind == "fails") else number)
        assert clock.now_ms() <= STORE_MS
    down = False
    books.catch_up()
    assert done == list(range(len(kinds)))
    assert not books.late


def test_what_cannot_be_caught_up_is_said(open_floor) -> None:
    clock = VirtualClock(0)
    books = Books(clock)

    def step() -> None:
        raise StoreUnavailable("down")

    books.write(step, None)
    with pytest.raises(StoreUnavailable):
        books.catch_up()


def test_a_process_that_dies_is_not_kept_by_its_books() -> None:
    clock = VirtualClock(0)
    books = Books(clock)

    def step() -> None:
        raise Crash

    with pytest.raises(Crash):
        books.write(step, None)
    assert not books.late


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "answer lost"])
def test_what_a_stop_cancels_while_the_store_is_away_is_written_down_when_it_is_back(
    open_floor, lost
):
    """Placed and cancelled within one outage: afterwards the exchange lists it nowhere."""
    floor, outage = floor_with(open_floor)
    down_from_fill(floor, outage, 60)
    floor.trade()
    floor.run(10)
    assert len(floor.algos()) == 2
    if lost:
        floor.break_next(CANCEL_ALL_ALGOS, TIMEOUT_1007, executed=True)
    assert floor.http("POST", "/api/emergency-stop", {}).status == 503
    floor.run(30)
    assert floor.held() == 0
    assert floor.algos() == []
    floor.run(400)
    assert_all_recorded(floor)
    assert floor.leaked() == ({}, [])


def test_a_stop_goes_on_while_exchange_and_store_are_away_at_once(open_floor):
    """Nobody can be told that the exchange does not answer: it is asked again all the same."""
    floor, outage = floor_with(open_floor)
    floor.trade()
    floor.run(5)
    for what in (POSITIONS, ACCOUNT):
        floor.break_next(what, UNAVAILABLE, times=10_000, seconds=20)
    assert floor.http("POST", "/api/emergency-stop", {}).status == 202
    outage.fails = lambda: True
    floor.run(10)
    assert floor.held()
    floor.run(20)
    assert floor.held() == 0
    assert floor.algos() == []
    # Nor does the store's absence keep the trade from being booked by that workflow.
    floor.run(60)
    outage.fails = lambda: False
    floor.run(20)
    assert len(floor.trades()) == 1
    assert "emergency-flat" in floor.alerts()
    floor.run(320)
    assert_all_recorded(floor)
    assert floor.leaked() == ({}, [])


def test_a_stop_whose_run_breaks_is_taken_up_by_the_next(open_floor):
    """By an error that nobody has foreseen: within seconds, not with the guardian's next round."""
    floor, outage = floor_with(open_floor)
    floor.trade()
    floor.run(5)
    assert floor.http("POST", "/api/emergency-stop", {}).status == 202
    breaks = [RuntimeError("a defect"), RuntimeError("a defect")]

    def fails() -> bool:
        if breaks:
            raise breaks.pop()
        return False

    outage.fails = fails
    floor.run(12)
    assert not breaks
    assert floor.held() == 0
    floor.run(10)
    assert "emergency-flat" in floor.alerts()


def leftover(floor: Floor, decision: str) -> None:
    flatten.cancel_leftovers(floor.desk, "BTCUSDT", decision)


def orphaned(floor: Floor, decision: str) -> None:
    found = positions.load(floor.desk.store, "main", "BTCUSDT")
    if found is not None and found[0].state != "closed":
        positions.change(floor.desk.store, found[0], state="closed")
    orphans.cancel(floor.desk, floor.desk.exchange.open_algo_orders(), (), ())


@pytest.mark.parametrize("cancels", [leftover, orphaned])
def test_a_cancel_whose_answer_is_lost_leaves_a_record(open_floor, cancels):
    """Of an order that nobody wrote down when it was placed, and that is in no list any more."""
    floor, outage = floor_with(open_floor, durable=False)
    floor.expected = {1, 2, 3, 7, 8}  # closed by hand, and the books taken apart
    signal = floor.signal()
    approve(floor, signal)
    down_from_fill(floor, outage, 3600)
    with pytest.raises(StoreUnavailable):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    outage.fails = lambda: False
    close = NewOrder(symbol="BTCUSDT", side="SELL", type="MARKET", quantity=FULL, reduce_only=True)
    floor.venue.place_order(floor.account, close)
    floor.break_next(CANCEL_ALGO, TIMEOUT_1007, times=2, executed=True)
    placed = {algo.client_algo_id for algo in floor.algos()}
    while floor.algos():
        with pytest.raises(OutcomeUnknown):
            cancels(floor, signal.id)
    told = intents(floor)
    assert len(placed) == 2
    assert [told[id_] for id_ in placed] == [1, 1]
