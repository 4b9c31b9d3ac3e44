"""What other systems' users reported about orders and stops, as scenarios of this application.

The numbers are those of the table in ``docs/safety.md``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from desk import (
    ALGO,
    GET_ORDER,
    LOST,
    NOT_FOUND,
    ORDER,
    POSITIONS,
    START,
    TIMEOUT_1007,
    UNAVAILABLE,
    UNKNOWN_503,
    Floor,
)
from test_failures_of_others import ALGO_CANCEL, USE_ALGO
from test_guardian_rounds import FULL, later, opened
from test_partial_fills import thin
from test_unknown_outcomes import is_leg

from local.exchange.faults import AnswerLost, ApiRequest, ApiResponse
from shared.execution import assess, emergency, entry
from shared.execution.guardian import guard
from shared.strategies.signal import signal_id

D = Decimal
MINUTE = 60_000
EMPTY = ApiResponse(200, {"content-type": "application/json"}, b"[]")
FILLS = ("GET", "/fapi/v1/userTrades")
OPEN_ORDERS = ("GET", "/fapi/v1/openOrders")
GATEWAY_504 = ApiResponse(
    504, {"content-type": "text/html"}, b"<html><title>504 Gateway Time-out</title></html>"
)


class Exposure:
    """From now on: the longest time, in ms, that the position was without a stop for all of it."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.since: int | None = None
        self.longest = 0
        floor.venue.on_event(lambda event: self.look(event.time))

    def look(self, at: int) -> None:
        held = sum((p.quantity for p in self.floor.account.positions.values()), D(0))
        covered = sum((s.quantity for s in self.floor.stops() if s.status == "NEW"), D(0))
        if self.since is not None:
            self.longest = max(self.longest, at - self.since)
        if abs(held) <= covered:
            self.since = None
        elif self.since is None:
            self.since = at


def slow_stops(floor: Floor) -> None:
    """Every request for a conditional order takes two seconds to arrive."""

    def before(method: str, url: str) -> None:
        if method.upper() == "POST" and "algoOrder" in url:
            floor.clock.sleep(2)

    floor.session.before = before


#: How no stop comes to be: what the venue does to every request for a conditional order.
NO_STOPS: dict[str, Callable[[Floor], Any]] = {
    "refused": lambda floor: floor.break_next(ALGO, USE_ALGO, times=1000),
    "unavailable": lambda floor: floor.break_next(ALGO, UNAVAILABLE, times=1000),
    "time-outs": lambda floor: floor.break_next(ALGO, LOST, times=1000),
    "slow": slow_stops,
}


@pytest.mark.parametrize("how", ["at once", *NO_STOPS])
def test_4_no_stop_can_precede_its_position_so_the_naked_moment_is_bounded(open_floor, how):
    """sieblyio/binance#609, nofx#1208, ccxt#27474: no batch of conditional orders, no bound."""
    floor = open_floor()
    exposure = Exposure(floor)
    if how != "at once":
        NO_STOPS[how](floor)
    signal = floor.trade()
    floor.run(30)
    exposure.look(floor.clock.now_ms())
    # Of exchange time; with an exchange that answers, a few requests.
    assert exposure.longest <= (5_000 if how != "at once" else 500)
    assert len(floor.entries()) == 1
    if how in ("at once", "slow"):
        assert [s.quantity for s in floor.stops()] == [floor.held()] == [FULL]
        first, second = sorted(floor.algos(), key=lambda a: a.create_time)
        assert (first.type, second.type) == ("STOP_MARKET", "TAKE_PROFIT_MARKET")
        return
    assert floor.held() == 0
    assert floor.outcome(signal)["outcome"] == "flat"
    # Told, and booked for what it was.
    assert floor.alerts().count("protection-failed") == 1
    floor.minutes(2)
    [trade] = floor.trades()
    assert trade["exitReason"] == "protection failed"
    assert floor.leaked() == ({}, [])


def as_cancelled(floor: Floor, seen: str, seconds: float) -> list[str]:
    """For some seconds every answer about an entry that has filled says: cancelled, ``seen`` of it.

    Returns the answers that were given so.
    """
    told: list[str] = []
    true_answer = floor.faults.after
    until: list[int] = []

    def after(request: ApiRequest, response: ApiResponse) -> ApiResponse:
        response = true_answer(request, response)
        if request.path != "/fapi/v1/order" or not is_leg("e")(request) or response.status != 200:
            return response
        body = json.loads(response.body)
        if body["status"] != "FILLED":
            return response
        until[:] = until or [request.time + round(seconds * 1000)]
        if request.time > until[0]:
            return response
        told.append(request.method)
        body |= {"status": "EXPIRED" if body["timeInForce"] == "IOC" else "CANCELED"}
        body |= {"executedQty": seen, "cumQty": seen}
        return ApiResponse(response.status, response.headers, json.dumps(body).encode())

    floor.faults.after = after
    return told


@pytest.mark.parametrize("seen", ["0.001", "0"], ids=["partly filled", "not filled"])
def test_8_an_order_that_is_reported_as_cancelled_had_filled_and_is_not_sent_again(
    open_floor, seen
):
    """freqtrade#11461: "cancelled on exchange, partially filled"; created again, filled again."""
    floor = open_floor()
    told = as_cancelled(floor, seen, 20)
    floor.trade()
    floor.run(30)
    assert told
    assert len(floor.entries()) == 1
    floor.minutes(10)
    # Whatever the order was said to be, the position counts, and is covered in full.
    assert len(floor.entries()) == 1
    assert floor.held() == FULL
    assert [s.quantity for s in floor.stops()] == [FULL]
    assert floor.leaked()[0] == {}


@pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
@pytest.mark.parametrize("how", ["timeout", "reset"])
def test_9_a_time_out_is_no_failure_and_the_next_wish_doubles_nothing(open_floor, how, executed):
    """hummingbot#493, #601: taken for failed, the order was created again; both were live."""
    floor = open_floor(durable=False, settings={"TIMEFRAMES": "1m,5m"})
    lost = AnswerLost(how)
    floor.break_next(ORDER, lost, executed=executed, where=is_leg("e"))
    floor.break_next(GET_ORDER, lost, where=is_leg("e"))
    first = floor.signal()
    wish = {"timeframe": "1m", "bar_open_time": START - MINUTE}
    second = floor.signal(id=signal_id("BTCUSDT", "1m", START, 1), **wish)
    outcomes: list[str] = []

    def meanwhile(method: str, url: str) -> None:
        """While nobody knows what became of it: another signal, and the same one once more."""
        if method.upper() == "GET" and url.split("?")[0].endswith("/v1/order"):
            floor.session.before = lambda method, url: None
            outcomes.append(assess.assess(floor.desk, "BTCUSDT", second.id).outcome)
            outcomes.append(entry.open_position(floor.desk, "BTCUSDT", first.id).status)

    assert assess.assess(floor.desk, "BTCUSDT", first.id).outcome == "approved"
    floor.session.before = meanwhile
    status = "protected" if executed else "unknown"
    assert entry.open_position(floor.desk, "BTCUSDT", first.id).status == status
    assert outcomes == ["declined", status]
    if not executed:
        for _ in range(4):
            guard(floor.desk)
            assert floor.leaked()[1] == [first.id]
            later(floor, 35)
        later(floor, 30)
        guard(floor.desk)
        assert floor.leaked() == ({}, [])
        assert floor.entries() == []
        return
    # The bars that follow, once its outcome is known.
    for _ in range(3):
        later(floor, 300 - floor.clock.now_ms() / 1000 % 300 + 2)
        guard(floor.desk)
        assert assess.assess(floor.desk, "BTCUSDT", floor.signal().id).outcome == "declined"
    assert len(floor.entries()) == 1
    assert floor.held() == FULL
    assert [s.quantity for s in floor.stops()] == [FULL]


#: Views that stay behind for as long as passivbot's loop took.
STALE = {
    "positions": [(POSITIONS, EMPTY)],
    "fills": [(FILLS, EMPTY)],
    "orders": [(GET_ORDER, NOT_FOUND), (OPEN_ORDERS, EMPTY)],
    "everything": [
        (POSITIONS, EMPTY),
        (FILLS, EMPTY),
        (GET_ORDER, NOT_FOUND),
        (OPEN_ORDERS, EMPTY),
    ],
}


@pytest.mark.parametrize("views", STALE)
def test_10_an_entry_whose_fill_is_not_ingested_is_not_posted_again(open_floor, views):
    """passivbot#980: 129 s until the fill was seen, the same entry twice, 142 % of the exposure."""
    floor = open_floor(settings={"TIMEFRAMES": "1m,5m"})
    for what, answer in STALE[views]:
        floor.break_next(what, answer, times=10_000, seconds=129)
    first = floor.trade()
    floor.run(20)
    # The same entry, delivered again, and the same wish once more, from every minute that closes.
    for minute in range(1, 3):
        floor.run(60 - floor.clock.now_ms() / 1000 % 60 + 1)
        closed = floor.clock.now_ms() // MINUTE * MINUTE
        floor.start(first)
        wish = {"timeframe": "1m", "bar_open_time": closed - MINUTE, "bar_close_time": closed}
        again = floor.trade(id=signal_id("BTCUSDT", "1m", closed, 1), **wish)
        floor.run(20)
        assert floor.outcome(again)["outcome"] == "declined", minute
        assert floor.held() == FULL
    floor.minutes(6)
    assert len(floor.entries()) == 1
    assert floor.held() == FULL
    assert [s.quantity for s in floor.stops()] == [FULL]
    assert floor.leaked() == ({}, [first.id])


DOUBTFUL = {"-1007": TIMEOUT_1007, "503": UNKNOWN_503, "504": GATEWAY_504}


def asked(floor: Floor) -> list[tuple[str, str, int]]:
    """From now on: method, client id and time of every request about an entry."""
    requests: list[tuple[str, str, int]] = []
    answer = floor.faults.before

    def before(request: ApiRequest) -> ApiResponse | None:
        if request.path == "/fapi/v1/order" and is_leg("e")(request):
            sent = request.query + "&" + request.body.decode()
            id_ = next(p.partition("=")[2] for p in sent.split("&") if "=bq-e-" in p)
            requests.append((request.method, id_, request.time))
        return answer(request)

    floor.faults.before = before
    return requests


@pytest.mark.parametrize("executed", [True, False], ids=["executed", "not executed"])
@pytest.mark.parametrize("answer", DOUBTFUL)
def test_11_an_unknown_execution_status_is_asked_for_and_the_same_id_never_sent_again(
    open_floor, answer, executed
):
    """sieblyio/binance#580, binance-java-api#55: -1007 and 504 tell nothing of the execution."""
    floor = open_floor()
    requests = asked(floor)
    floor.break_next(ORDER, DOUBTFUL[answer], executed=executed, where=is_leg("e"))
    signal = floor.trade()
    floor.run(30)
    assert floor.outcome(signal)["outcome"] == ("protected" if executed else "unknown")
    assert floor.held() == (FULL if executed else 0)
    floor.run(200)
    assert {id_ for _, id_, _ in requests} == {floor.entry_id(signal)}
    posts = [i for i, (method, _, _) in enumerate(requests) if method == "POST"]
    assert posts[0] == 0
    assert requests[1][0] == "GET"
    assert posts == [0]
    assert floor.leaked() == ({}, [signal.id] if executed else [])


@pytest.mark.parametrize("way", ["guardian", "forced"])
def test_12_what_a_partly_filled_stop_leaves_is_what_the_next_orders_are_for(open_floor, way):
    """freqtrade#8374, #8526: the next stop had the old amount, a forced exit was impossible."""
    floor = open_floor({"ETHUSDT": [(1, 0), (3, -0.03), (60, -0.03)]}, durable=False)
    floor.expected = {4}  # between the stop's rest expiring and the next round it is bare
    opened(floor, "ETHUSDT")
    full = floor.held("ETHUSDT")
    later(floor, 50)
    thin(floor, "ETHUSDT", 40, "0.0003")
    later(floor, 150)
    rest = floor.held("ETHUSDT")
    assert D(0) < rest < full
    assert floor.stops("ETHUSDT") == []
    wanted: list[tuple[Decimal, Decimal]] = []

    def note(event: Any) -> None:
        order = event.record
        plain = event.kind == "ORDER" and event.execution == "NEW"
        stop = event.kind == "ALGO" and (order.status, order.create_time) == ("NEW", event.time)
        if plain or stop:
            wanted.append((order.quantity, _position(floor, "ETHUSDT")))

    floor.venue.on_event(note)
    if way == "guardian":
        for _ in range(3):  # the book stays thin: each attempt takes what there is
            guard(floor.desk)
            later(floor)
        thin(floor, "ETHUSDT", 1e6, "0.05")
        guard(floor.desk)
    else:
        emergency.latch(floor.desk, "manual", {}, "test")
        thin(floor, "ETHUSDT", 1e6, "0.05")
        assert emergency.flatten_account(floor.desk, "test").flat
        emergency.settle_all(floor.desk)
    assert wanted
    assert all(quantity == held for quantity, held in wanted), wanted
    assert floor.held("ETHUSDT") == 0
    later(floor)
    guard(floor.desk)
    [trade] = floor.trades()
    assert D(trade["quantity"]) == full
    assert sum((f.quantity for f in floor.fills("ETHUSDT") if f.side == "SELL"), D(0)) == full
    assert floor.leaked() == ({}, [])


def _position(floor: Floor, symbol: str) -> Decimal:
    """What is held, without moving time."""
    held = [p.quantity for p in floor.account.positions.values() if p.symbol == symbol]
    return abs(sum(held, D(0)))


@pytest.mark.parametrize("side", ["SELL", "BUY"], ids=["short", "long"])
def test_13_a_position_that_was_added_to_has_a_stop_for_all_of_it(open_floor, side):
    """jesse#599: adding to a short left a stop for the old quantity."""
    floor = open_floor(durable=False)
    floor.expected = {1, 3, 4, 7}  # somebody adds by hand, past every limit
    opened(floor, side=side)
    other = "BUY" if side == "SELL" else "SELL"
    whole = FULL + D("0.001")
    floor.trade_by_hand("BTCUSDT", side, "0.001")
    # The old stop cannot be cancelled at first: never is there less than needed.
    floor.break_next(ALGO_CANCEL, UNAVAILABLE, times=6)
    for _ in range(3):
        later(floor)
        guard(floor.desk)
        assert max(s.quantity for s in floor.stops()) == whole == _position(floor, "BTCUSDT")
    assert [(s.side, s.quantity) for s in floor.stops()] == [(other, whole)]
    assert [(t.side, t.quantity) for t in floor.targets()] == [(other, whole)]


def test_13_an_entry_that_fills_in_parts_has_a_stop_for_all_of_them(open_floor):
    """The only way in which this application itself adds to a position."""
    from chased import FLAT, Meanwhile, begun, chasing, enter, fill, planned

    floor = chasing(open_floor, FLAT)
    exposure = Exposure(floor)
    signal = begun(floor, "SELL")
    part = planned(floor, signal) / 4
    Meanwhile(floor, 2, fill(floor, str(part)))
    assert enter(floor, signal).status == "protected"
    held = _position(floor, "BTCUSDT")
    assert part < held <= planned(floor, signal)
    assert exposure.longest <= 5_000
    assert max(s.quantity for s in floor.stops()) == held
    later(floor)
    guard(floor.desk)
    assert [(s.side, s.quantity) for s in floor.stops()] == [("BUY", held)]


@pytest.mark.parametrize("how", ["timeout", "reset"])
def test_9_nor_does_its_position_wait_for_an_order_that_cannot_be_looked_up(open_floor, how):
    """Positions and conditional orders answer all the time: the stop is there within seconds."""
    floor = open_floor(durable=False)
    floor.expected = {4} if how == "timeout" else set()
    exposure = Exposure(floor)
    lost = AnswerLost(how)
    floor.break_next(ORDER, lost, executed=True, where=is_leg("e"))
    floor.break_next(GET_ORDER, lost, times=1000, seconds=20, where=is_leg("e"))
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    assert entry.open_position(floor.desk, "BTCUSDT", signal.id).status == "protected"
    exposure.look(floor.clock.now_ms())
    # Two requests that hang for two seconds each are no time in which anybody could act.
    assert exposure.longest <= (7_000 if how == "timeout" else 2_000)
    assert len(floor.entries()) == 1


def test_8_a_resting_order_that_is_reported_as_cancelled_had_filled(open_floor):
    """The same with the entry that does send further orders for one decision."""
    from chased import AWAY, Meanwhile, begun, chasing, enter, fill, planned

    floor = chasing(open_floor, AWAY)
    told = as_cancelled(floor, "0", 3)
    signal = begun(floor)
    Meanwhile(floor, 2, fill(floor, str(planned(floor, signal))))
    enter(floor, signal)
    assert told
    assert sum((o.executed for o in floor.entries()), D(0)) <= planned(floor, signal)
    assert entry.open_position(floor.desk, "BTCUSDT", signal).status == "protected"
