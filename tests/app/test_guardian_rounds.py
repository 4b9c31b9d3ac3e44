"""What the guardian finds when it looks: stops gone, strangers, trades that ended unseen."""

from __future__ import annotations

import inspect
from decimal import Decimal

import pytest
from desk import ALGO, UNAVAILABLE, Floor

from local.exchange.faults import error_answer
from shared.execution import assess, entry
from shared.execution.guardian import guard
from shared.execution.reconcile import reconcile
from shared.simulation.orders import NewAlgoOrder

D = Decimal
FULL = D("0.004")


def opened(floor: Floor, symbol: str = "BTCUSDT", side: str = "BUY") -> str:
    """An open, protected position, without the platform."""
    signal = floor.signal(symbol, side)
    assert assess.assess(floor.desk, symbol, signal.id).outcome == "approved"
    assert entry.open_position(floor.desk, symbol, signal.id).status == "protected"
    return signal.id


def cancel(floor: Floor, type_: str, symbol: str = "BTCUSDT") -> None:
    """Somebody cancels our order on the exchange."""
    for algo in floor.algos(symbol, type_):
        floor.venue.cancel_algo_order(floor.account, algo)


def later(floor: Floor, seconds: float = 60) -> None:
    floor.clock.sleep(seconds)
    floor.api.advance()


def test_missing_stop_is_replaced_at_the_same_price(open_floor):
    floor = open_floor(durable=False)
    opened(floor)
    later(floor)
    (before,) = floor.stops()
    for _ in range(3):  # again and again: every one is a new order
        cancel(floor, "STOP_MARKET")
        round_ = guard(floor.desk)
        assert (round_.unprotected, round_.repaired) == (1, 1)
        (stop,) = floor.stops()
        assert (stop.trigger_price, stop.quantity) == (before.trigger_price, FULL)
    assert floor.held() == FULL


def test_missing_target_is_replaced(open_floor):
    floor = open_floor(durable=False)
    opened(floor)
    cancel(floor, "TAKE_PROFIT_MARKET")
    later(floor)
    guard(floor.desk)
    assert [t.quantity for t in floor.targets()] == [FULL]
    guard(floor.desk)
    assert len(floor.targets()) == 1


def test_target_reached_while_there_was_no_order_is_taken(open_floor):
    floor = open_floor({"BTCUSDT": [(2, 0), (4, 0.05)]}, durable=False)
    opened(floor)
    cancel(floor, "TAKE_PROFIT_MARKET")
    later(floor, 400)
    guard(floor.desk)
    later(floor)
    guard(floor.desk)
    assert [t["exitReason"] for t in floor.trades()] == ["take profit"]


def test_enlarged_position_gets_a_stop_for_all_of_it(open_floor):
    floor = open_floor(durable=False)
    floor.expected = {3, 4, 7, 1}
    opened(floor)
    floor.trade_by_hand("BTCUSDT", "BUY", "0.001")
    later(floor)
    guard(floor.desk)
    assert max(s.quantity for s in floor.stops()) == D("0.005")


def test_one_failing_symbol_leaves_none_of_the_others(open_floor):
    floor = open_floor(durable=False)
    floor.expected = {4}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        opened(floor, symbol)
        cancel(floor, "STOP_MARKET", symbol)
    later(floor)
    # Everything about Bitcoin fails: no stop, no close.
    for what in (ALGO, ("POST", "/fapi/v1/order")):
        floor.break_next(
            what, UNAVAILABLE, times=1000, where=lambda r: "BTCUSDT" in r.query + r.body.decode()
        )
    guard(floor.desk)
    assert floor.stops("ETHUSDT")
    assert floor.held("BTCUSDT")
    assert "close-failed" in floor.alerts()
    floor.faults.rules.clear()
    guard(floor.desk)
    assert floor.stops("BTCUSDT")
    # It had been given up: the way out is finished now that it can be.
    for _ in range(2):
        later(floor)
        guard(floor.desk)
    assert [t["exitReason"] for t in floor.trades()] == ["protection failed"]


def test_store_trouble_with_one_symbol_leaves_none_of_the_others(open_floor):
    from shared.errors import StoreUnavailable

    floor = open_floor(durable=False)
    floor.expected = {4}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        opened(floor, symbol)
        cancel(floor, "STOP_MARKET", symbol)
    later(floor)

    def trouble(name, args):
        if args[0] == "orders" and args[1].get("symbol") == "BTCUSDT":
            raise StoreUnavailable("throttled")

    floor.store.before = trouble
    round_ = guard(floor.desk)
    assert floor.stops("ETHUSDT")
    assert [f.split(":")[0] for f in round_.failures] == ["BTCUSDT"]
    assert "guardian-trouble" in floor.alerts()
    floor.store.before = lambda name, args: None
    guard(floor.desk)
    assert floor.stops("BTCUSDT")


def test_orphans_of_ours_are_cancelled_and_those_of_strangers_are_not(open_floor):
    floor = open_floor(durable=False)
    opened(floor, "ETHUSDT")
    for client_id in ("bq-s-" + "0" * 28, "by-hand"):
        floor.venue.place_algo_order(
            floor.account,
            NewAlgoOrder(
                symbol="BTCUSDT",
                side="SELL",
                type="STOP_MARKET",
                quantity=FULL,
                trigger_price=D(90_000),
                client_algo_id=client_id,
            ),
        )
    later(floor)
    assert guard(floor.desk).orphans == 1
    assert [a.client_algo_id for a in floor.algos()] == ["by-hand"]
    report = reconcile(floor.desk)
    assert report.differences == ("order by-hand was not sent by this application",)


def test_foreign_position_is_reported_and_never_touched(open_floor):
    floor = open_floor()
    floor.expected = {1, 2, 3, 4, 7, 8}
    floor.trade_by_hand("ETHUSDT", "SELL", "0.1")
    floor.minutes(3)
    assert floor.held("ETHUSDT") == D("-0.1")
    assert not floor.algos("ETHUSDT")
    assert floor.alerts().count("foreign-position") == 1
    (violation,) = floor.documents("violations")
    assert violation["kind"] == "foreign-position"


@pytest.mark.parametrize("move", [-0.03, 0.05], ids=["stopped", "target reached"])
def test_trade_that_ended_while_the_application_was_down(open_floor, move):
    floor = open_floor({"BTCUSDT": [(2, 0), (6, move)]}, durable=False)
    opened(floor)
    later(floor, 3600)
    assert not floor.held()
    round_ = guard(floor.desk)
    assert round_.settled == 1
    (trade,) = floor.trades()
    assert (D(trade["netPnl"]) > 0) == (move > 0)
    assert not floor.algos()
    assert floor.leaked() == ({}, [])
    assert guard(floor.desk).settled == 0


def test_trailing_places_the_new_stop_before_the_old_one_goes(open_floor):
    floor = open_floor({"BTCUSDT": [(2, 0), (12, 0.035)]}, durable=False)
    opened(floor)
    fewest = []
    floor.venue.on_event(lambda event: fewest.append(len(floor.stops())))
    prices = [floor.stops()[0].trigger_price]
    for _ in range(12):
        later(floor)
        guard(floor.desk)
        prices.append(floor.stops()[0].trigger_price)
    assert prices == sorted(prices)
    assert prices[-1] > D(100_000) > prices[0]
    assert min(fewest) >= 1
    assert len(floor.stops()) == 1


def test_new_stop_that_is_refused_leaves_the_old_one(open_floor):
    floor = open_floor({"BTCUSDT": [(2, 0), (8, 0.03)]}, durable=False)
    opened(floor)
    (before,) = floor.stops()
    later(floor, 600)
    floor.break_next(ALGO, error_answer(400, -2021, "Order would immediately trigger."), times=9)
    assert guard(floor.desk).trailed == 0
    assert floor.stops() == [before]
    floor.faults.rules.clear()
    later(floor)
    assert guard(floor.desk).trailed == 1


def test_interrupted_entry_is_found_out_about_and_never_sent(open_floor):
    """The intent was stored, then the process died: the guardian asks, nothing is sent."""
    from desk import Crash

    floor = open_floor(durable=False)
    signal = floor.signal()
    assess.assess(floor.desk, "BTCUSDT", signal.id)

    def die(method, url):
        if method == "POST" and "/order" in url:
            raise Crash

    floor.session.before = die
    with pytest.raises(Crash):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    floor.session.before = lambda method, url: None
    assert floor.leaked()[0]
    for _ in range(3):
        later(floor)
        guard(floor.desk)
    assert not floor.entries()
    assert floor.leaked() == ({}, [])


def test_guardian_says_when_it_cannot_see(open_floor):
    floor = open_floor()
    floor.trade()
    floor.run(5)
    floor.break_next(("GET", "/fapi/v3/account"), UNAVAILABLE, times=1000, seconds=150)
    floor.minutes(3)
    assert floor.alerts().count("guardian-blind") == 1
    assert "guardian-blind" in [e["kind"] for e in floor.events("risk")]


def test_alert_that_was_lost_with_its_function_is_sent_again(open_floor):
    """Stored, and then the function died before its outputs were sent."""
    floor = open_floor()
    floor.desk.alert("critical", "lost", "a title", "a text", correlation="somewhere")
    floor.minutes(8)
    assert [e["kind"] for e in floor.events("risk")].count("lost") == 1
    (stored,) = floor.documents("alerts")
    assert stored["state"] == "stored", "by this floor without a channel nobody is told"


def test_settlement_when_the_venue_has_forgotten_the_entry_order(open_floor):
    """Old orders are not found any more; our own record of it is enough."""
    from desk import GET_ORDER, NOT_FOUND

    floor = open_floor({"BTCUSDT": [(2, 0), (6, -0.03)]}, durable=False)
    opened(floor)
    later(floor, 3600)
    floor.break_next(GET_ORDER, NOT_FOUND, times=1000)
    guard(floor.desk)
    assert [t["exitReason"] for t in floor.trades()] == ["stop"]
    assert floor.leaked() == ({}, [])


def test_a_slow_settlement_does_not_take_the_stop_of_the_next_trade(open_floor):
    """Frozen before it looks for what is left of its bracket: meanwhile another run has settled
    the trade, and the next one has begun in the same symbol."""
    floor = open_floor({"BTCUSDT": [(2, 0), (6, -0.03), (60, -0.03)]}, durable=False)
    first = opened(floor)
    later(floor, 600)
    assert not floor.held()
    began: list[str] = []

    def before(method: str, url: str) -> None:
        if method.upper() == "GET" and "openAlgoOrders" in url and floor.trades() == []:
            frames = {frame.function for frame in inspect.stack()}
            if "cancel_leftovers" in frames and not began:
                began.append("")
                guard(floor.desk)
                began[0] = opened(floor)

    floor.session.before = before
    guard(floor.desk)
    assert began != []
    assert began[0] != first
    assert [t["id"] for t in floor.trades()] == [first]
    assert floor.held() == sum(s.quantity for s in floor.stops()) > 0
    assert len(floor.targets()) == 1
