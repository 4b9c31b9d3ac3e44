"""The answer to an entry is lost, and every view of the exchange stays behind for two minutes.

What nobody finds may have been executed: it is never sent again, and its symbol and room stay
taken until it must have been seen. The venue refuses an id twice only while its order is open, so a
second request would be a second position.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from desk import LOST, NOT_FOUND, ORDER, START, UNKNOWN_503, Floor
from test_guardian_rounds import FULL, later
from test_unknown_outcomes import is_leg

from local.exchange.faults import ApiRequest, ApiResponse
from shared.execution import assess, entry
from shared.execution.absence import LOST_MS
from shared.execution.guardian import guard
from shared.strategies.signal import signal_id

D = Decimal
MINUTE = 60_000

#: Lists that are empty for whom they are stale.
LISTS = (
    "/fapi/v3/positionRisk",
    "/fapi/v1/userTrades",
    "/fapi/v1/openOrders",
    "/fapi/v1/openAlgoOrders",
)


class Behind:
    """Every view of the account as it was before the entry, for some seconds after it was sent."""

    def __init__(self, floor: Floor, seconds: float) -> None:
        self.floor, self.seconds = floor, seconds
        self.until: int | None = None
        self._account: ApiResponse | None = None
        self._true = floor.faults.after
        self._before = floor.faults.before
        floor.faults.before, floor.faults.after = self.before, self.after

    def before(self, request: ApiRequest) -> ApiResponse | None:
        if (request.method, request.path) == ORDER and self.until is None:
            self.until = request.time + round(self.seconds * 1000)
        return self._before(request)

    def after(self, request: ApiRequest, response: ApiResponse) -> ApiResponse:
        response = self._true(request, response)
        if request.method != "GET" or response.status != 200:
            return response
        if self.until is None or request.time >= self.until:
            if request.path == "/fapi/v3/account":
                self._account = response
            return response
        if request.path in LISTS:
            return ApiResponse(200, response.headers, b"[]")
        if request.path in ("/fapi/v1/order", "/fapi/v1/algoOrder"):
            return NOT_FOUND
        if request.path == "/fapi/v3/account":
            assert self._account is not None
            return self._account
        return response


@pytest.mark.parametrize("lost", [LOST, UNKNOWN_503], ids=["time-out", "503"])
@pytest.mark.parametrize("seconds", [8, 40, 119])
def test_10_an_entry_that_no_view_shows_is_not_sent_again(open_floor, seconds, lost):
    """passivbot#980: 129 s until the fill was seen, the same entry twice, 142 % of the exposure."""
    floor = open_floor(settings={"TIMEFRAMES": "1m,5m", "STOP_WATCH": "always"})
    floor.expected = {4}  # nobody can see the position, so nobody can protect it
    floor.break_next(ORDER, lost, executed=True, where=is_leg("e"))
    behind = Behind(floor, seconds)
    first = floor.trade()
    floor.run(7)
    assert behind.until is not None
    while floor.clock.now_ms() < behind.until:
        # The same entry, delivered again, and the same wish once more, of every minute that closes.
        floor.start(first)
        closed = floor.clock.now_ms() // MINUTE * MINUTE
        wish = {"timeframe": "1m", "bar_open_time": closed - MINUTE, "bar_close_time": closed}
        if closed > START:
            floor.trade(id=signal_id("BTCUSDT", "1m", closed, 1), **wish)
        floor.run(min(25, (behind.until - floor.clock.now_ms()) / 1000 + 0.001))
        assert len(floor.entries()) == 1
    # Seen at last: it has its stop within seconds, whoever looks first.
    floor.run(5)
    assert [s.quantity for s in floor.stops()] == [floor.held()] == [FULL]
    floor.minutes(8)
    assert len(floor.entries()) == 1
    assert [s.quantity for s in floor.stops()] == [floor.held()] == [FULL]
    assert floor.leaked() == ({}, [first.id])
    assert [o["state"] for o in floor.documents("orders") if o["leg"] == "e"] == ["filled"]


def test_10_one_that_was_never_executed_is_given_up_after_two_and_a_half_minutes(open_floor):
    floor = open_floor(settings={"TIMEFRAMES": "1m,5m"})
    floor.break_next(ORDER, LOST, where=is_leg("e"))
    first = floor.trade()
    floor.run(100)
    assert floor.leaked()[1] == [first.id]
    closed = floor.clock.now_ms() // MINUTE * MINUTE
    wish = {"timeframe": "1m", "bar_open_time": closed - MINUTE, "bar_close_time": closed}
    again = floor.trade(id=signal_id("BTCUSDT", "1m", closed, 1), **wish)
    floor.run(10)
    assert floor.outcome(again)["outcome"] == "declined"
    floor.run(LOST_MS / 1000)
    assert floor.entries() == []
    assert floor.leaked() == ({}, [])
    assert floor.alerts().count("entry-refused") == 1
    # The symbol is free again.
    closed = floor.clock.now_ms() // MINUTE * MINUTE
    wish = {"timeframe": "1m", "bar_open_time": closed - MINUTE, "bar_close_time": closed}
    floor.trade(id=signal_id("BTCUSDT", "1m", closed, 1), **wish)
    floor.run(10)
    assert [s.quantity for s in floor.stops()] == [floor.held()] == [FULL]


def test_10_an_emergency_stop_meanwhile_closes_what_shows_up_afterwards(open_floor):
    floor = open_floor()
    floor.expected = {4, 5}  # as above: what nobody sees cannot be closed
    floor.break_next(ORDER, LOST, executed=True, where=is_leg("e"))
    Behind(floor, 100)
    floor.trade()
    floor.run(10)
    assert floor.http("POST", "/api/emergency-stop", {}).status == 202
    floor.run(190)
    assert len(floor.entries()) == 1
    assert floor.held() == 0
    floor.minutes(10)
    assert floor.leaked() == ({}, [])
    assert len(floor.trades()) == 1


def test_a_process_that_died_before_it_could_send_is_not_taken_up_by_sending(open_floor):
    """From the record nobody can tell whether the request has left."""
    floor = open_floor(durable=False)

    class Dies(Exception):
        pass

    def dies(method: str, url: str) -> None:
        if method.upper() == "POST" and url.split("?")[0].endswith("/v1/order"):
            raise Dies

    floor.session.before = dies
    signal = floor.signal()
    assert assess.assess(floor.desk, "BTCUSDT", signal.id).outcome == "approved"
    with pytest.raises(Dies):
        entry.open_position(floor.desk, "BTCUSDT", signal.id)
    floor.session.before = lambda method, url: None
    later(floor, 2)
    assert entry.open_position(floor.desk, "BTCUSDT", signal.id).status == "unknown"
    for _ in range(4):
        later(floor, 60)
        guard(floor.desk)
    assert entry.open_position(floor.desk, "BTCUSDT", signal.id).status == "rejected"
    assert floor.entries() == []
    assert floor.leaked() == ({}, [])


@pytest.mark.parametrize("seconds", [3, 40])
def test_the_store_goes_away_with_the_answer_and_the_stop_waits_for_neither(open_floor, seconds):
    from outage import floor_with

    floor, outage = floor_with(open_floor)
    floor.break_next(ORDER, UNKNOWN_503, executed=True, where=is_leg("e"))

    def after(method: str, url: str) -> None:
        if method.upper() == "POST" and url.split("?")[0].endswith("/v1/order"):
            until = floor.clock.now_ms() + seconds * 1000
            outage.fails = lambda: floor.clock.now_ms() < until
            floor.session.after = lambda method, url: None

    floor.session.after = after
    floor.trade()
    floor.run(10)
    [fill] = floor.fills()
    [stop] = floor.stops()
    assert stop.create_time - fill.time < 5_000
    floor.run(400)
    assert [s.quantity for s in floor.stops()] == [floor.held()] == [FULL]
    assert floor.leaked()[0] == {}
