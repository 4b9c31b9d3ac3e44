"""The rate budget: local refusal before the venue's, bans, and who goes first."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.errors import ExchangeHalted, ExchangeThrottled
from shared.execution.binance.budget import SHARE, LocalRateBudget
from shared.execution.binance.endpoints import Priority
from shared.execution.exchange import OrderRequest
from tests.binance.scripted import START_MS, Bench, Reply, Sent, refusal
from tests.binance.test_binance_answers import INFO, ORDER_POST

POSITIONS = "/fapi/v3/positionRisk"
BOOK = "/fapi/v1/ticker/bookTicker"
ORDER = "/fapi/v1/order"
ENTRY = OrderRequest(
    symbol="BTCUSDT", side="SELL", type="MARKET", quantity=D("10"), client_order_id="e-1"
)
EXIT = OrderRequest(
    symbol="BTCUSDT", side="SELL", type="MARKET", quantity=D("10"), client_order_id="x-1",
    reduce_only=True,
)  # fmt: skip


def bench_that_used(weight: int, **headers: str) -> Bench:
    """An adapter whose last answer told of that much weight used by this IP."""
    bench = Bench()
    told = {"X-MBX-USED-WEIGHT-1M": str(weight)} | headers
    bench.script.on("GET", POSITIONS, Reply([], headers=told), Reply([]))
    bench.script.on("GET", "/fapi/v1/exchangeInfo", Reply(INFO))
    bench.script.on("POST", ORDER, Reply(ORDER_POST))
    bench.exchange.positions()
    return bench


@pytest.mark.parametrize(
    ("used", "view", "entry", "data", "exit_"),
    [
        # of 2400: views up to 50 %, entries up to 70 %, market data up to 85 %, exits all of it
        (1000, True, True, True, True),
        (1195, True, True, True, True),
        (1196, False, True, True, True),
        (1674, False, True, True, True),
        (1680, False, False, True, True),
        (2039, False, False, True, True),
        (2040, False, False, False, True),
        (2394, False, False, False, True),
        (2396, False, False, False, False),
    ],
)
def test_shares(used: int, view: bool, entry: bool, data: bool, exit_: bool) -> None:
    bench = bench_that_used(used)
    outcomes = []
    for attempt in (
        bench.exchange.view().positions,
        lambda: bench.exchange.place_order(ENTRY),
        bench.exchange.instruments,
        bench.exchange.positions,
    ):
        before = len(bench.script.sent)
        try:
            attempt()
            outcomes.append(True)
        except ExchangeThrottled:
            outcomes.append(False)
            assert len(bench.script.sent) == before, "refused here, not by the venue"
    assert outcomes == [view, entry, data, exit_]
    assert bench.exchange.place_order(EXIT), "a reducing order weighs nothing"


@pytest.mark.parametrize("answered_at", [59.999, 60.0, 60.2])
def test_a_count_of_the_minute_before_is_not_taken_for_this_one_s(answered_at: float) -> None:
    """Bars close at full minutes, so requests are on their way then."""
    bench = Bench()
    bench.exchange.server_time()
    bench.clock.sleep(59.99)

    def slow(sent: Sent) -> Reply:
        bench.clock.advance_to(START_MS + round(answered_at * 1000))
        return Reply([], headers={"X-MBX-USED-WEIGHT-1M": "2390"})

    bench.script.on("GET", POSITIONS, slow, Reply([]))
    bench.exchange.positions()
    bench.clock.advance_to(START_MS + 60_300)
    for _ in range(100):
        bench.exchange.positions()


def test_a_count_that_may_be_of_the_minute_before_is_not_believed() -> None:
    """Sent after the minute by our estimate, which is right to 50 ms."""
    bench = Bench()
    bench.clock.sleep(59.9)
    bench.script.on("GET", "/fapi/v1/time", _in_100_ms(bench))
    bench.exchange.server_time()
    bench.clock.advance_to(START_MS + 60_040)
    old = Reply([], headers={"X-MBX-USED-WEIGHT-1M": "2390"})
    new = Reply([], headers={"X-MBX-USED-WEIGHT-1M": "2399"})
    bench.script.on("GET", POSITIONS, old, Reply([]))
    for _ in range(50):
        bench.exchange.positions()
    # Later in the minute it is this one's.
    bench.clock.sleep(1)
    bench.script.on("GET", POSITIONS, new, Reply([]))
    bench.exchange.positions()
    with pytest.raises(ExchangeThrottled):
        bench.exchange.positions()


def _in_100_ms(bench: Bench) -> Callable[[Sent], Reply]:
    def answer(sent: Sent) -> Reply:
        bench.clock.sleep(0.05)
        told = Reply({"serverTime": bench.script.server_ms()})
        bench.clock.sleep(0.05)
        return told

    return answer


def test_a_new_minute_of_the_exchange_s_clock_is_a_new_budget() -> None:
    bench = bench_that_used(2400)
    bench.clock.sleep(59)
    with pytest.raises(ExchangeThrottled) as refused:
        bench.exchange.positions()
    assert refused.value.retry_after == 1
    bench.clock.sleep(1)
    assert bench.exchange.positions() == []


def test_what_was_sent_counts_although_no_header_tells() -> None:
    bench = Bench()
    bench.script.on("GET", POSITIONS, Reply([]))
    # 2400 less the weight of measuring the clock, five for each.
    for _ in range((2400 - 1) // 5):
        bench.exchange.positions()
    with pytest.raises(ExchangeThrottled) as refused:
        bench.exchange.positions()
    assert refused.value.retry_after == 60


@pytest.mark.parametrize(
    ("header", "used", "wait"),
    [("X-MBX-ORDER-COUNT-10S", 300, 10), ("X-MBX-ORDER-COUNT-1M", 1200, 60)],
)
@pytest.mark.parametrize("lower", [False, True])
def test_order_counts_bind_orders_only(header: str, used: int, wait: int, lower: bool) -> None:
    name = header.lower() if lower else header
    bench = bench_that_used(0, **{name: str(used)})
    with pytest.raises(ExchangeThrottled) as refused:
        bench.exchange.place_order(EXIT)
    assert refused.value.retry_after == wait
    assert bench.exchange.positions() == []


def test_the_venue_s_own_limits_are_learnt() -> None:
    bench = Bench()
    info = INFO | {
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
             "limit": 6000},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 1},
        ]
    }  # fmt: skip
    bench.script.on("GET", "/fapi/v1/exchangeInfo", Reply(info))
    bench.script.on("GET", POSITIONS, Reply([], headers={"X-MBX-USED-WEIGHT-1M": "5000"}))
    bench.exchange.instruments()
    for _ in range(3):
        bench.exchange.positions()


QUIET = [
    # answer, what is raised, seconds of silence
    (refusal(-1003, "Too many requests.", 429, Retry_After="7"), ExchangeThrottled, 7.0),
    (refusal(-1003, "Too many requests.", 429), ExchangeThrottled, 60.0),
    (refusal(-1003, "Too many requests."), ExchangeThrottled, 60.0),
    (refusal(-1003, "IP banned.", 418, Retry_After="300"), ExchangeHalted, 300.0),
    (refusal(-1003, f"IP banned until {START_MS + 90_000}.", 418), ExchangeHalted, 90.0),
    (refusal(-1003, "banned", 418), ExchangeHalted, 120.0),
    (Reply("", 418), ExchangeHalted, 120.0),
]


@pytest.mark.parametrize(("answer", "raised", "seconds"), QUIET)
def test_silence_until_the_time_the_venue_names(
    answer: Reply, raised: type[Exception], seconds: float
) -> None:
    bench = Bench()
    bench.script.on("GET", POSITIONS, answer, Reply([]))
    bench.script.on("POST", ORDER, Reply(ORDER_POST))
    with pytest.raises(raised) as told:
        bench.exchange.positions()
    assert told.value.retry_after == seconds  # type: ignore[attr-defined]
    before = len(bench.script.sent)
    bench.clock.sleep(seconds - 0.5)
    for attempt in (bench.exchange.positions, lambda: bench.exchange.place_order(EXIT)):
        with pytest.raises(raised) as refused:
            attempt()
        assert refused.value.retry_after == 0.5  # type: ignore[attr-defined]
    assert len(bench.script.sent) == before
    bench.clock.sleep(0.5)
    assert bench.exchange.positions() == []


def test_too_many_orders_silences_orders_only() -> None:
    bench = Bench()
    bench.script.on("POST", ORDER, refusal(-1015, "Too many new orders."), Reply(ORDER_POST))
    bench.script.on("GET", POSITIONS, Reply([]))
    with pytest.raises(ExchangeThrottled) as told:
        bench.exchange.place_order(ENTRY)
    assert told.value.retry_after == 10
    assert bench.exchange.positions() == []
    with pytest.raises(ExchangeThrottled):
        bench.exchange.place_order(EXIT)
    bench.clock.sleep(10)
    assert bench.exchange.place_order(EXIT)


requests_ = st.tuples(
    st.integers(0, 40), st.integers(0, 1), st.sampled_from(list(Priority)), st.integers(0, 3000)
)


@settings(deadline=None, max_examples=50)
@given(st.lists(requests_, max_size=300))
def test_no_window_is_ever_overdrawn(asked: list[tuple[int, int, Priority, int]]) -> None:
    """Recounted independently: what was let through, per minute and per ten seconds."""
    clock = VirtualClock(START_MS)
    budget = LocalRateBudget(clock.now_ms)
    budget.limits(weight_1m=400, orders_10s=4, orders_1m=10)
    weight: dict[int, int] = {}
    orders: dict[tuple[int, int], int] = {}
    for cost, order, priority, pause in asked:
        clock.sleep(pause / 1000)
        now = clock.now_ms()
        try:
            budget.reserve(weight=cost, orders=order, priority=priority)
        except ExchangeThrottled:
            continue
        minute = now // 60_000
        weight[minute] = weight.get(minute, 0) + cost
        assert weight[minute] <= 400
        if cost:
            assert weight[minute] <= 400 * SHARE[priority]
        for span, limit in ((10_000, 4), (60_000, 10)):
            window = (span, now // span)
            orders[window] = orders.get(window, 0) + order
            assert orders[window] <= limit


def test_a_clock_that_was_wrong_does_not_close_the_budget_forever() -> None:
    clock = VirtualClock(START_MS)
    ahead = [10 * 365 * 86_400_000]
    budget = LocalRateBudget(lambda: clock.now_ms() + ahead[0])
    budget.reserve(weight=2400, orders=0, priority=Priority.EXIT)
    ahead[0] = 0
    budget.reserve(weight=2400, orders=0, priority=Priority.EXIT)
    clock.sleep(60)
    budget.reserve(weight=2400, orders=0, priority=Priority.EXIT)
