"""Stops that fail after they were accepted: how soon the position is closed all the same."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from decimal import Decimal
from itertools import pairwise

import pytest
from desk import OPEN_ALGOS, ORDER, POSITIONS, UNAVAILABLE, Floor

from local.exchange.faults import ApiRequest, error_answer, stuck_triggering
from shared.execution import assess, clearing, emergency, entry, flatten, guardian, stop_watch
from shared.execution.guardian import guard
from shared.portfolio import positions
from shared.simulation.core import VenueEvent
from shared.simulation.orders import NewAlgoOrder

D = Decimal
#: Through the stop at 2 % below within the third minute; a little back afterwards.
FALL = {"BTCUSDT": [(2, 0), (3, -0.03), (40, -0.035)]}
#: Slowly towards the stop, and through it in the eleventh minute.
CREEP = {"BTCUSDT": [(1, 0), (9, -0.019), (20, -0.03)]}


def opened(floor: Floor, symbol: str = "BTCUSDT") -> str:
    signal = floor.signal(symbol)
    assert assess.assess(floor.desk, symbol, signal.id).outcome == "approved"
    assert entry.open_position(floor.desk, symbol, signal.id).status == "protected"
    return signal.id


def later(floor: Floor, seconds: float = 60) -> None:
    floor.clock.sleep(seconds)
    floor.api.advance()


class Times:
    """When the stop triggered and when the position was gone, by the exchange's events."""

    def __init__(self, floor: Floor) -> None:
        self.triggered = self.flat = 0
        self._floor = floor
        floor.venue.on_event(self._see)

    def _see(self, event: VenueEvent) -> None:
        if event.kind == "ALGO" and event.record.status in ("TRIGGERING", "REJECTED"):
            self.triggered = self.triggered or event.time
        held = any(p.quantity for p in self._floor.account.positions.values())
        if event.kind == "ORDER" and self.triggered and not held:
            self.flat = self.flat or event.time


def booked(floor: Floor) -> None:
    """The next rounds write the trade and free everything."""
    for _ in range(2):
        later(floor)
        guard(floor.desk)
    assert len(floor.trades()) == 1
    assert floor.leaked() == ({}, [])


def stuck(floor: Floor) -> None:
    stuck_triggering(floor.venue)


def refused_at_trigger(floor: Floor) -> None:
    """The matching engine turns the triggered order away (status REJECTED)."""
    from shared.simulation import conditional

    def reject(algo):
        conditional.set_status(floor.venue.core, floor.account, algo, "REJECTED")
        return False

    floor.venue.core.forward_trigger = reject


FAILURES = {"stuck": stuck, "refused when it triggers": refused_at_trigger}


@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES)
def test_the_guardian_closes_within_seconds_of_its_look(open_floor, fail):
    floor = open_floor(FALL, durable=False)
    floor.expected = {4}  # nobody looked for a minute
    opened(floor)
    times = Times(floor)
    fail(floor)
    later(floor, 200)
    assert floor.held()
    assert times.triggered
    seen = floor.clock.now_ms()
    guard(floor.desk)
    assert not floor.held()
    assert times.flat - seen <= 5_000
    assert {"stop-failed", "protection-failed"} & set(floor.alerts())
    booked(floor)


def test_the_look_after_an_entry_sees_it_too(open_floor):
    floor = open_floor(FALL, durable=False)
    floor.expected = {4}
    signal = opened(floor)
    times = Times(floor)
    stuck(floor)
    later(floor, 200)
    seen = floor.clock.now_ms()
    assert not guardian.confirm_protection(floor.desk, "BTCUSDT", signal)
    assert not floor.held()
    assert times.flat - seen <= 5_000
    booked(floor)


def test_a_stop_that_does_not_trigger_though_the_price_is_through(open_floor):
    """The venue's engine lost sight of the order: it rests where it was and never triggers."""
    floor = open_floor(FALL, durable=False)
    floor.expected = {4}
    opened(floor)
    later(floor)
    (stop,) = floor.stops()
    floor.venue.core.forward_trigger = lambda algo: False
    later(floor, 140)
    stop.status = "NEW"
    floor.account.open_algos["BTCUSDT"][stop.algo_id] = stop
    assert floor.held()
    guard(floor.desk)
    assert not floor.held()
    assert "stop-failed" in floor.alerts()
    booked(floor)


def test_a_price_that_comes_back_is_no_failure(open_floor):
    """Through the stop between two marks only: the stop is where it was and holds."""
    floor = open_floor({"BTCUSDT": [(60, 0)]}, durable=False)
    opened(floor)
    later(floor)

    def low(request, response):
        rows = json.loads(response.body)
        for row in rows:
            row["markPrice"] = "90000"
        return type(response)(200, response.headers, json.dumps(rows).encode())

    original, looks = floor.faults.after, []

    def after(request, response):
        if (request.method, request.path) == POSITIONS and not looks:
            looks.append(1)
            return low(request, response)
        return original(request, response)

    floor.faults.after = after
    guard(floor.desk)
    assert looks
    assert floor.held()
    assert len(floor.stops()) == 1
    assert "stop-failed" not in floor.alerts()


@pytest.mark.parametrize("what", [POSITIONS, OPEN_ALGOS], ids=["positions", "orders"])
def test_views_that_fail_meanwhile_do_not_stop_the_close(open_floor, what):
    floor = open_floor(FALL, durable=False)
    floor.expected = {4}
    opened(floor)
    stuck(floor)
    later(floor, 200)
    record = guardian._records(floor.desk, floor.desk.exchange.positions())["BTCUSDT"]
    floor.break_next(what, UNAVAILABLE, times=1000, seconds=2)
    assert stop_watch.see_through(floor.desk, record) is None
    assert not floor.held()
    booked(floor)


def test_a_stop_stuck_on_an_earlier_position_does_not_close_the_next(open_floor):
    floor = open_floor({"BTCUSDT": [(60, 0)]}, durable=False)
    opened(floor)
    stuck(floor)
    old = floor.venue.place_algo_order(
        floor.account,
        NewAlgoOrder(
            symbol="BTCUSDT",
            side="SELL",
            type="STOP_MARKET",
            quantity=D("0.004"),
            trigger_price=D("99000"),
            working_type="MARK_PRICE",
            reduce_only=True,
            client_algo_id="bq-s-of-another-trade",
        ),
    )
    old.status = "TRIGGERING"
    later(floor)
    guard(floor.desk)
    assert floor.held()
    assert "stop-failed" not in floor.alerts()


def test_a_stop_near_its_price_is_watched_and_closed_within_five_seconds(open_floor):
    """The whole application: the guardian starts the watch, the watch sees the stuck stop."""
    floor = open_floor(CREEP)
    times = Times(floor)
    signal = floor.trade()
    floor.run(30)
    assert floor.held()
    stuck(floor)
    floor.minutes(14)
    assert times.triggered
    assert 0 < times.flat - times.triggered <= 5_000
    assert floor.workflow(f"watch-{signal.id}")["runtimeStatus"] == "Completed"
    floor.minutes(2)
    assert [t["exitReason"] for t in floor.trades()] == ["stop failed"]


def test_a_healthy_stop_near_its_price_is_left_alone(open_floor):
    floor = open_floor(CREEP)
    signal = floor.trade()
    floor.minutes(16)
    assert [t["exitReason"] for t in floor.trades()] == ["stop"]
    assert floor.workflow(f"watch-{signal.id}")["runtimeStatus"] == "Completed"
    assert "stop-failed" not in floor.alerts()


def conditional(floor: Floor, name: str, status: str, *, reduce_only: bool) -> None:
    """A conditional order as it may lie on the account, in a symbol that is flat."""
    algo = floor.venue.place_algo_order(
        floor.account,
        NewAlgoOrder(
            symbol="ETHUSDT",
            side="SELL",
            type="STOP_MARKET",
            quantity=D("0.1"),
            trigger_price=D("2400"),
            working_type="MARK_PRICE",
            client_algo_id=name,
        ),
    )
    # Placed while there was a position, as far as the exchange is concerned.
    algo.reduce_only = reduce_only
    algo.status = status
    algo.update_time = floor.clock.now_ms()


def test_an_emergency_stop_is_flat_though_a_stuck_stop_stays_listed(open_floor):
    """The stop triggered, produced no order and cannot be cancelled: nobody can ever remove it."""
    floor = open_floor(FALL, durable=False)
    floor.expected = {4, 5, 8}  # nobody looked for a minute; what is stuck stays
    opened(floor)
    stuck(floor)
    later(floor, 200)
    guard(floor.desk)
    booked(floor)
    (algo,) = [a for a in floor.account.algos.values() if a.status == "TRIGGERING"]
    # The list of open orders goes on showing it.
    floor.account.open_algos["BTCUSDT"] = {algo.algo_id: algo}
    emergency.latch(floor.desk, "manual", {"reason": "test"}, "stop")
    floor.watch.latched_at = floor.clock.now_ms()
    result = emergency.flatten_account(floor.desk, "stop")
    assert result.flat
    assert algo.client_algo_id in result.stuck
    clearing.clear(
        floor.desk, code=floor.totp(), reason="looked at on the exchange", operator="ada"
    )
    for kind in ("emergency-flat", "kill-switch-cleared"):
        (told,) = [d for d in floor.documents("alerts") if d["kind"] == kind]
        assert algo.client_algo_id in told["text"]


@pytest.mark.parametrize(
    ("status", "reduce_only", "seconds", "flat"),
    [
        ("TRIGGERING", True, 11, True),
        ("TRIGGERING", True, 2, False),  # it may still be at work
        ("TRIGGERING", False, 600, False),  # it may still open something
        ("TRIGGERED", True, 600, False),  # it has an order: that is what has to be gone
    ],
)
def test_only_what_is_stuck_and_harmless_is_overlooked(
    open_floor, status, reduce_only, seconds, flat
):
    floor = open_floor(durable=False)
    floor.expected = {5, 8}
    conditional(floor, "somebody", status, reduce_only=reduce_only)
    later(floor, seconds)
    emergency.latch(floor.desk, "manual", {"reason": "test"}, "stop")
    floor.watch.latched_at = floor.clock.now_ms()
    result = emergency.flatten_account(floor.desk, "stop")
    assert result.flat is flat
    assert bool(result.remaining) is not flat
    assert ("somebody" in result.stuck) is flat


def test_a_price_that_stays_near_its_stop_is_looked_at_without_a_gap(open_floor):
    """Whatever a look takes: none ends just after the guardian has found it running."""
    floor = open_floor({"BTCUSDT": [(1, 0), (4, -0.019), (20, -0.019)]})
    looks: list[int] = []

    def slow(method: str, url: str) -> None:
        floor.clock.sleep(0.06)

    floor.platform.host.on_invocation.append(
        lambda i: looks.append(i.started_ms) if i.function == "watch_stop" else None
    )
    floor.trade()
    floor.run(300)
    floor.session.before = slow
    looks.clear()
    floor.minutes(5)
    assert floor.held()
    assert len(looks) > 100
    assert max(b - a for a, b in pairwise(looks)) < 5_000


def test_a_position_far_beyond_its_stop_goes_on_being_closed(open_floor):
    """The stop failed and the market order after it is refused for a thin book (-4131): the price
    is not near the stop any more, and nobody looked again for a minute."""
    floor = open_floor({"BTCUSDT": [(2, 0), (2.5, -0.06), (40, -0.06)]})
    floor.expected = {4}
    floor.trade()
    floor.run(60)
    assert floor.held()
    stuck(floor)
    refused = error_answer(400, -4131, "The counterparty's best price does not meet the limit.")
    fault = floor.break_next(
        ORDER, refused, times=10**6, where=lambda r: b"reduceOnly=true" in r.body
    )
    floor.run(160)  # the guardian has just looked, at twenty seconds past
    assert floor.held()
    fault.times = 0
    floor.run(5)
    assert not floor.held()
    floor.minutes(3)
    assert len(floor.trades()) == 1


def test_positions_that_cannot_be_closed_leave_weight_for_the_exits_of_others(open_floor):
    """Each was waited for and tried four times at every look, 1,200 of 2,400 a minute for one; a
    minute that was used up left the guardian blind."""
    symbols = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")
    floor = open_floor({s: [(2, 0), (2.5, -0.06), (40, -0.06)] for s in symbols})
    floor.expected = {4}
    for symbol in symbols:
        floor.trade(symbol)
    floor.run(60)
    assert all(floor.held(s) for s in symbols)
    stuck(floor)
    refused = error_answer(400, -4131, "The counterparty's best price does not meet the limit.")
    fault = floor.break_next(
        ORDER, refused, times=10**6, where=lambda r: b"reduceOnly=true" in r.body
    )
    spent: Counter[int] = Counter()
    spend = floor.api.limits.spend

    def counted(ip: str, weight: int, now: int) -> int:
        spent[now // 60_000] += weight
        return spend(ip, weight, now)

    floor.api.limits.spend = counted
    floor.run(200)
    assert max(spent.values()) < 1_200
    fault.times = 0
    floor.run(6)
    assert not any(floor.held(s) for s in symbols)
    floor.minutes(3)
    assert len(floor.trades()) == len(symbols)


def test_a_short_pause_that_the_exchange_asks_for_costs_a_close_no_more_than_that(open_floor):
    """The look before a close is answered 429 for a second."""
    floor = open_floor(durable=False)
    opened(floor)
    record, _ = positions.load(floor.store, "main", "BTCUSDT") or pytest.fail("no record")
    asked: list[int] = []

    def looked(request: ApiRequest) -> bool:
        asked.append(request.time)
        return True

    pause = error_answer(429, -1003, "Too many requests.")
    pause = dataclasses.replace(pause, headers={**pause.headers, "retry-after": "1"})
    floor.break_next(POSITIONS, pause, where=looked)
    assert flatten.close_position(floor.desk, record, "time exit")
    _, close = floor.fills()
    assert floor.held() == 0
    assert asked[0] + 1_000 <= close.time < asked[0] + 1_300
    booked(floor)
