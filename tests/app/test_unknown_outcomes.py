"""Answers that are lost, late or refused, at every request of an entry.

Whatever the venue answers: at most one entry order, a stop within five seconds, nothing leaked.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from desk import (
    ALGO,
    GET_ALGO,
    GET_ORDER,
    LOST,
    NOT_FOUND,
    OPEN_ALGOS,
    ORDER,
    POSITIONS,
    TIMEOUT_1007,
    UNAVAILABLE,
    UNKNOWN_503,
    Crash,
    Floor,
)

from local.exchange.faults import AnswerLost, error_answer
from shared.execution import assess, entry, guardian
from shared.simulation.contracts import DEFAULT_CONTRACTS

D = Decimal
FULL = D("0.004")


def is_leg(leg: str):
    """Chooses requests whose client id is of a leg."""
    return lambda request: f"bq-{leg}-" in request.query or f"bq-{leg}-".encode() in request.body


def assert_protected(floor: Floor, quantity: Decimal = FULL, symbol: str = "BTCUSDT") -> None:
    assert floor.held(symbol) == quantity
    assert [s.quantity for s in floor.stops(symbol)] == [quantity]
    assert len(floor.entries()) == 1


def assert_untouched(floor: Floor) -> None:
    assert not floor.held()
    assert not floor.algos()
    assert floor.leaked() == ({}, [])


LOST_ENTRY = {
    "-1007": TIMEOUT_1007,
    "503 unknown": UNKNOWN_503,
    "time-out": LOST,
    "reset": AnswerLost("reset"),
}


@pytest.mark.parametrize("answer", LOST_ENTRY.values(), ids=LOST_ENTRY.keys())
@pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
def test_lost_answer_to_the_entry(open_floor, answer, executed):
    floor = open_floor()
    floor.break_next(ORDER, answer, executed=executed, where=is_leg("e"))
    signal = floor.trade()
    floor.run(30)
    # It is not sent again: nobody can know that it was not executed, however soon nobody finds it.
    assert floor.outcome(signal)["outcome"] == ("protected" if executed else "unknown")
    assert floor.leaked()[1] == [signal.id]
    if executed:
        assert_protected(floor)
        assert not floor.leaked()[0]
        return
    assert "entry-unknown" in floor.alerts()
    floor.run(200)
    assert_untouched(floor)
    assert floor.entries() == []
    assert "entry-refused" in floor.alerts()


@pytest.mark.parametrize("seconds", [1, 3, 8, 20])
def test_order_not_found_for_a_while_after_it_was_accepted(open_floor, seconds):
    """The look-up lags behind: neither a second entry nor a naked position may follow."""
    floor = open_floor()
    floor.break_next(ORDER, UNKNOWN_503, executed=True, where=is_leg("e"))
    floor.break_next(GET_ORDER, NOT_FOUND, times=1000, seconds=seconds, where=is_leg("e"))
    floor.trade()
    floor.run(seconds + 100)
    assert_protected(floor)
    assert floor.leaked()[0] == {}


FAILED_LOOKUPS = {
    "unavailable": UNAVAILABLE,
    "reset": AnswerLost("reset"),
    "time-out": LOST,
}


@pytest.mark.parametrize("answer", FAILED_LOOKUPS.values(), ids=FAILED_LOOKUPS.keys())
def test_the_order_can_be_looked_up_by_nobody_and_its_position_shows_that_it_has_filled(
    open_floor, answer
):
    """Positions and conditional orders can be reached all the time: its stop does not wait."""
    floor = open_floor()
    floor.break_next(ORDER, UNKNOWN_503, executed=True, where=is_leg("e"))
    floor.break_next(GET_ORDER, answer, times=1000, seconds=40, where=is_leg("e"))
    floor.trade()
    floor.run(10)
    [entered] = floor.entries()
    [stop] = floor.stops()
    assert stop.create_time - entered.update_time < 5_000
    floor.run(140)
    assert_protected(floor)
    assert floor.leaked()[0] == {}


REFUSALS = {
    "margin": error_answer(400, -2019, "Margin is insufficient."),
    "thin book": error_answer(400, -4131, "The counterparty's best price does not meet the filter"),
    "max position": error_answer(400, -2027, "Exceeded the maximum allowable position"),
    "precision": error_answer(400, -1111, "Precision is over the maximum defined for this asset."),
    "notional": error_answer(400, -4164, "Order's notional must be no smaller than 50"),
    "throttled": error_answer(429, -1015, "Too many new orders."),
    "banned": error_answer(418, -1003, "Way too many requests; IP banned."),
    "key": error_answer(401, -2015, "Invalid API-key, IP, or permissions for action."),
    "unavailable": UNAVAILABLE,
}


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS.keys())
def test_refused_entry_leaves_nothing_behind(open_floor, answer):
    floor = open_floor()
    floor.break_next(ORDER, answer, times=100, where=is_leg("e"))
    signal = floor.trade()
    floor.run(20)
    assert floor.outcome(signal)["outcome"] == "rejected"
    assert_untouched(floor)
    assert not floor.entries()
    assert "entry-refused" in floor.alerts()


@pytest.mark.parametrize("path", [("POST", "/fapi/v1/leverage"), ("GET", "/fapi/v1/symbolConfig")])
def test_symbol_that_cannot_be_prepared_leaves_nothing_behind(open_floor, path):
    floor = open_floor()
    floor.break_next(path, error_answer(400, -4161, "Leverage reduction is not supported"), times=9)
    signal = floor.trade()
    floor.run(20)
    assert floor.outcome(signal)["outcome"] == "rejected"
    assert_untouched(floor)
    assert not floor.entries()


def test_partial_fill_is_protected_for_what_was_filled(open_floor):
    """The book offers less than is wanted at the entry's price: it takes what is there."""
    contract = DEFAULT_CONTRACTS["ETHUSDT"]
    thin = {"ETHUSDT": msgspec.structs.replace(contract, depth_per_bps=12.0)}
    floor = open_floor({"ETHUSDT": ()}, contracts=thin)
    signal = floor.trade("ETHUSDT")
    floor.run(10)
    (entry,) = floor.entries()
    filled = entry.executed
    assert D(0) < filled < entry.quantity
    assert_protected(floor, filled, "ETHUSDT")
    assert floor.targets("ETHUSDT")[0].quantity == filled
    assert D(floor.documents("positions")[0]["quantity"]) == filled
    (held,) = floor.services.ledger.read().entries.values()
    assert held.quantity == filled
    assert floor.outcome(signal)["outcome"] == "protected"


@pytest.mark.parametrize("answer", LOST_ENTRY.values(), ids=LOST_ENTRY.keys())
@pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
def test_lost_answer_to_the_stop(open_floor, answer, executed):
    floor = open_floor()
    floor.break_next(ALGO, answer, executed=executed, where=is_leg("s"))
    floor.trade()
    floor.run(20)
    assert_protected(floor)


def test_position_is_closed_when_its_stop_cannot_be_confirmed_in_time(open_floor):
    """Two seconds lost on the entry and two on the stop: no time is left to try again."""
    floor = open_floor()
    floor.break_next(ORDER, LOST, executed=True, where=is_leg("e"))
    floor.break_next(ALGO, LOST, where=is_leg("s"))
    floor.trade()
    floor.run(10)
    assert not floor.held()
    floor.minutes(3)
    assert_untouched(floor)
    assert [t["exitReason"] for t in floor.trades()] == ["protection failed"]


def test_stop_that_is_live_but_not_yet_visible_is_not_placed_twice_nor_given_up(open_floor):
    """The conditional book lags: the taken id proves that the stop is there."""
    floor = open_floor()
    floor.break_next(ALGO, UNKNOWN_503, executed=True, where=is_leg("s"))
    floor.break_next(GET_ALGO, NOT_FOUND, times=1000, seconds=12)
    empty = type(NOT_FOUND)(200, NOT_FOUND.headers, b"[]")
    floor.break_next(OPEN_ALGOS, empty, times=1000, seconds=12)
    floor.trade()
    floor.run(40)
    assert_protected(floor)


STOP_REFUSED = {
    "would trigger at once": error_answer(400, -2021, "Order would immediately trigger."),
    "too many stops": error_answer(400, -4045, "Reach max stop order limit."),
    "down": UNAVAILABLE,
}


@pytest.mark.parametrize("answer", STOP_REFUSED.values(), ids=STOP_REFUSED.keys())
def test_position_that_cannot_be_protected_is_closed(open_floor, answer):
    floor = open_floor()
    floor.break_next(ALGO, answer, times=1000, where=is_leg("s"))
    signal = floor.trade()
    floor.run(10)
    assert floor.outcome(signal)["outcome"] == "flat"
    assert not floor.held()
    assert "protection-failed" in floor.alerts()
    floor.minutes(3)
    assert_untouched(floor)
    (trade,) = floor.trades()
    assert trade["exitReason"] == "protection failed"


def test_refused_target_is_put_back_by_the_guardian(open_floor):
    floor = open_floor()
    floor.break_next(ALGO, STOP_REFUSED["too many stops"], where=is_leg("t"))
    floor.trade()
    floor.run(10)
    assert_protected(floor)
    assert not floor.targets()
    assert "take-profit-failed" in floor.alerts()
    floor.minutes(2)
    assert [t.quantity for t in floor.targets()] == [FULL]


@pytest.mark.parametrize(
    "answer",
    [UNAVAILABLE, LOST, error_answer(401, -2015, "Invalid API-key")],
    ids=["unavailable", "time-out", "key refused"],
)
def test_positions_that_cannot_be_read_after_the_fill_do_not_leave_it_naked(open_floor, answer):
    """The stop is then sized from the fill."""
    floor = open_floor()
    signal = floor.signal()
    # Before the entry positions are read by assess and by the last look; after it they fail.
    floor.break_next(POSITIONS, answer, times=4, where=lambda request: bool(floor.entries()))
    floor.start(signal)
    floor.run(20)
    assert_protected(floor)


def test_position_not_shown_yet_after_the_fill_is_protected_from_the_fill(open_floor):
    floor = open_floor()
    signal = floor.signal()
    empty = type(NOT_FOUND)(200, NOT_FOUND.headers, b"[]")
    floor.break_next(
        POSITIONS, empty, times=1000, seconds=10, where=lambda request: bool(floor.entries())
    )
    floor.start(signal)
    floor.run(15)
    assert_protected(floor)
    assert floor.outcome(signal)["outcome"] == "protected"


def test_look_up_refused_while_the_entry_settles_is_not_taken_for_never_sent(open_floor):
    """A bare NEW in the answer, then a key that is refused: the order is there all the same."""
    floor = open_floor()

    def bare(request, response):
        import json

        body = json.loads(response.body)
        body |= {"status": "NEW", "executedQty": "0", "cumQty": "0"}
        return type(response)(200, response.headers, json.dumps(body).encode())

    original = floor.faults.after

    def after(request, response):
        if (request.method, request.path) == ORDER and is_leg("e")(request):
            return bare(request, response)
        return original(request, response)

    floor.faults.after = after
    floor.break_next(GET_ORDER, error_answer(401, -2015, "Invalid API-key"), times=2)
    floor.trade()
    floor.run(120)
    assert_protected(floor)
    assert floor.leaked()[0] == {}


def test_exchange_down_while_assessing(open_floor):
    floor = open_floor()
    floor.break_next(("GET", "/fapi/v1/premiumIndex"), UNAVAILABLE, times=1000, seconds=30)
    signal = floor.trade()
    floor.run(20)
    assert floor.outcome(signal)["outcome"] == "undecided"
    assert_untouched(floor)
    assert not floor.entries()
    assert "snapshot-failed" in [e["kind"] for e in floor.events("risk")]


def slow_preparation(floor: Floor, seconds: float = 5.0) -> None:
    """Setting the leverage takes so long."""

    def before(method: str, url: str) -> None:
        if method.upper() == "POST" and url.split("?")[0].endswith("/v1/leverage"):
            floor.session.before = lambda method, url: None
            floor.clock.sleep(seconds)

    floor.session.before = before


def test_a_late_sale_looks_at_the_price_again(open_floor):
    """A sale that fills better than it was sized for is larger than what the limits allowed."""
    floor = open_floor({"XRPUSDT": [(0.0, 0.0), (1.0, 0.05), (9.0, 0.05)]})
    floor.run(25)
    slow_preparation(floor)
    signal = floor.trade("XRPUSDT", "SELL")
    floor.run(60)
    assert floor.outcome(signal)["outcome"] == "expired"
    assert "the price has moved" in floor.outcome(signal)["reason"]
    assert not floor.entries()
    assert floor.leaked() == ({}, [])


@pytest.mark.parametrize(
    ("rise", "status"),
    [pytest.param(0.001, "protected", id="little"), pytest.param(0.019, "expired", id="most")],
)
def test_a_late_sale_leaves_room_for_what_the_price_does_on_its_way(open_floor, rise, status):
    """Within the 0.2 % that the plan has, but too little of them left for a slow request."""
    floor = open_floor({"XRPUSDT": [(0.0, 0.0), (1.0, rise), (9.0, rise)]})
    floor.run(25)
    slow_preparation(floor)
    signal = floor.trade("XRPUSDT", "SELL")
    floor.run(60)
    assert floor.outcome(signal)["outcome"] == status
    assert len(floor.entries()) == (status == "protected")


def slow_entry(floor: Floor, seconds: float = 1.5) -> None:
    """The first entry order takes so long to the venue."""

    def before(method: str, url: str) -> None:
        if method.upper() == "POST" and url.split("?")[0].endswith("/v1/order"):
            floor.session.before = lambda method, url: None
            floor.clock.sleep(seconds)

    floor.session.before = before


@pytest.mark.parametrize("dies", [False, True], ids=["runs on", "dies after the fill"])
def test_a_sale_that_fills_beyond_its_plan_is_closed(open_floor, dies):
    """The price rises by half a percent while the order is on its way: no order can bound that."""
    floor = open_floor({"XRPUSDT": [(0.0, 0.0), (1.0, 0.2), (9.0, 0.2)]}, durable=False)
    floor.expected = {3, 4} if dies else {3}
    floor.clock.sleep(25)
    floor.api.advance()
    signal = floor.signal("XRPUSDT", "SELL")
    assert assess.assess(floor.desk, "XRPUSDT", signal.id).outcome == "approved"
    slow_entry(floor)
    if dies:
        floor.session.after = die_after_order(floor)
        with pytest.raises(Crash):
            entry.open_position(floor.desk, "XRPUSDT", signal.id)
        floor.session.after = lambda method, url: None
        floor.clock.sleep(60)
        floor.api.advance()
        guardian.guard(floor.desk)
    else:
        assert entry.open_position(floor.desk, "XRPUSDT", signal.id).status == "flat"
    (sale,) = floor.entries()
    plan = assess.load(floor.desk, "XRPUSDT", signal.id)[1].plan
    assert sale.executed == plan.quantity
    assert sale.quote > plan.worst_notional > plan.quantity * plan.reference_price
    assert not floor.held("XRPUSDT")
    close = floor.orders()[-1]
    assert close.reduce_only
    assert dies or close.time - sale.time < 1_000
    floor.clock.sleep(60)
    floor.api.advance()
    guardian.guard(floor.desk)
    (trade,) = floor.trades()
    assert trade["exitReason"] == "filled beyond its plan"
    assert "filled-beyond-plan" in floor.alerts()
    assert floor.leaked() == ({}, [])


def die_after_order(floor: Floor) -> Callable[[str, str], None]:
    def after(method: str, url: str) -> None:
        if method.upper() == "POST" and url.split("?")[0].endswith("/v1/order"):
            raise Crash

    return after


def test_a_purchase_on_its_way_while_the_price_rises_buys_nothing(open_floor):
    floor = open_floor({"XRPUSDT": [(0.0, 0.0), (1.0, 0.2), (9.0, 0.2)]}, durable=False)
    floor.clock.sleep(25)
    floor.api.advance()
    signal = floor.signal("XRPUSDT", "BUY")
    assert assess.assess(floor.desk, "XRPUSDT", signal.id).outcome == "approved"
    slow_entry(floor)
    assert entry.open_position(floor.desk, "XRPUSDT", signal.id).status == "rejected"
    assert not floor.held("XRPUSDT")
    assert floor.leaked() == ({}, [])
