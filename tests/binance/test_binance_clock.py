"""Time: whose clock signs, how the distance is measured, when a candle is closed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.errors import ExchangeThrottled, ExchangeUnavailable, InvalidInput
from shared.execution.binance.server_clock import ServerClock, SignedTimestamp
from tests.binance.scripted import START_MS, Bench, Reply, Sent, refusal

MINUTE = 60_000


@pytest.mark.parametrize("skew_ms", [0, 1, -5000, 86_400_000])
def test_requests_are_signed_with_the_exchange_s_time(skew_ms: int) -> None:
    bench = Bench(skew_ms=skew_ms)
    bench.script.on("GET", "/fapi/v3/positionRisk", Reply([]))
    bench.exchange.positions()
    bench.clock.sleep(1.234)
    bench.exchange.positions()
    first, second = bench.script.calls("GET", "/fapi/v3/positionRisk")
    assert int(first.params["timestamp"]) == START_MS + skew_ms
    assert int(second.params["timestamp"]) == START_MS + skew_ms + 1234
    assert len(bench.script.calls("GET", "/fapi/v1/time")) == 1


def test_the_machine_s_own_clock_plays_no_part() -> None:
    clock = ServerClock(VirtualClock(START_MS))
    assert int(time.time() * 1000 + SignedTimestamp(clock)) == START_MS
    assert int(0.0 + SignedTimestamp(clock)) == START_MS


def test_the_distance_is_measured_again_after_an_hour_by_queries_only() -> None:
    bench = Bench()
    bench.script.on("GET", "/fapi/v3/positionRisk", Reply([]))
    bench.script.on("DELETE", "/fapi/v1/allOpenOrders", Reply({"code": 200, "msg": "done"}))
    bench.exchange.positions()
    bench.clock.sleep(3601)
    bench.exchange.cancel_all_orders("BTCUSDT")
    assert len(bench.script.calls("GET", "/fapi/v1/time")) == 1
    bench.exchange.positions()
    assert len(bench.script.calls("GET", "/fapi/v1/time")) == 2


@settings(deadline=None)
@given(
    outbound=st.integers(0, 5000), inbound=st.integers(0, 5000), skew=st.integers(-(10**9), 10**9)
)
def test_the_estimate_is_never_further_off_than_it_says(
    outbound: int, inbound: int, skew: int
) -> None:
    clock = VirtualClock(START_MS)
    server = ServerClock(clock)
    sent = clock.now_ms()
    clock.advance_to(sent + outbound)
    told = clock.now_ms() + skew
    clock.advance_to(sent + outbound + inbound)
    server.learn(sent=sent, received=clock.now_ms(), server_time=told)
    assert abs(server.now_ms() - (clock.now_ms() + skew)) <= server.uncertainty_ms
    assert server.signing_ms() <= clock.now_ms() + skew
    assert server.uncertainty_ms <= (outbound + inbound + 1) // 2


class Klines:
    """Candles as the exchange serves them: the last row is the one still forming."""

    def __init__(self, bench: Bench, listed: int = START_MS - 5000 * MINUTE) -> None:
        self.bench = bench
        self.listed = listed
        bench.script.on("GET", "/fapi/v1/klines", self.answer)

    def answer(self, sent: Sent) -> Reply:
        limit = int(sent.params["limit"])
        assert 1 <= limit <= 1500
        now = self.bench.script.server_ms()
        first = max(int(sent.params["startTime"]), self.listed)
        last = min(int(sent.params["endTime"]), now)
        opens = range(-(-first // MINUTE) * MINUTE, last + 1, MINUTE)
        return Reply([self.row(t, now) for t in opens[:limit]])

    @staticmethod
    def row(t: int, now: int) -> list[object]:
        close = "2.5" if now >= t + MINUTE else "-1"  # a price nobody may see before the close
        return [t, "1.0", "3.0", "0.5", close, "7", t + MINUTE - 1, "17.5", 308, "1", "1", "0"]

    @property
    def weights(self) -> list[int]:
        steps = [(100, 1), (500, 2), (1001, 5), (1501, 10)]
        limits = [int(s.params["limit"]) for s in self.bench.script.calls("GET", "/fapi/v1/klines")]
        return [next(w for bound, w in steps if limit < bound) for limit in limits]


@pytest.mark.parametrize(
    ("limit", "weights"),
    [(1, [1]), (99, [1]), (100, [2]), (499, [2]), (500, [5]), (1000, [5]), (1001, [10]),
     (1500, [10]), (1501, [5, 5]), (3000, [5, 5, 5]), (3200, [5, 5, 10])],
)  # fmt: skip
def test_the_newest_candles_in_the_cheapest_pages(limit: int, weights: list[int]) -> None:
    bench = Bench()
    klines = Klines(bench)
    bench.clock.sleep(30)
    found = bench.exchange.candles("BTCUSDT", "1m", limit=limit)
    assert [c.open_time for c in found] == [START_MS - i * MINUTE for i in range(limit, 0, -1)]
    assert {c.close for c in found} == {2.5}
    assert klines.weights == weights


@pytest.mark.parametrize(
    ("start", "end", "limit", "opens"),
    [
        # minutes relative to the start of the test; the candle at 0 is forming
        (-3, None, 500, [-3, -2, -1]),
        (-3, None, 2, [-3, -2]),
        (-3, -1, 500, [-3, -2]),
        (-3, 10, 500, [-3, -2, -1]),
        (-2.5, None, 500, [-2, -1]),
        (None, -1, 2, [-3, -2]),
        (None, -0.5, 2, [-3, -2]),
        (0, None, 500, []),
        (-1, -1, 500, []),
        (5, 9, 500, []),
    ],
)
def test_ranges(start: float | None, end: float | None, limit: int, opens: list[int]) -> None:
    bench = Bench()
    Klines(bench)
    bench.clock.sleep(59.999)

    def at(minutes: float | None) -> int | None:
        return None if minutes is None else START_MS + round(minutes * MINUTE)

    found = bench.exchange.candles("BTCUSDT", "1m", start=at(start), end=at(end), limit=limit)
    assert [(c.open_time - START_MS) // MINUTE for c in found] == opens
    assert all(c.close_time <= bench.script.server_ms() for c in found)


def test_history_begins_with_the_listing() -> None:
    bench = Bench()
    Klines(bench, listed=START_MS - 10 * MINUTE)
    assert len(bench.exchange.candles("BTCUSDT", "1m", limit=4000)) == 10


@pytest.mark.parametrize("skew_ms", [-30_000, 0, 30_000])
def test_closed_is_what_the_exchange_s_clock_says(skew_ms: int) -> None:
    bench = Bench(skew_ms=skew_ms)
    Klines(bench)
    newest = bench.exchange.candles("BTCUSDT", "1m", limit=1)[-1]
    assert newest.close_time == bench.script.server_ms() // MINUTE * MINUTE
    assert newest.close == 2.5


def test_doubt_about_the_clock_is_waited_out_at_a_close() -> None:
    """A second of round trip: the exchange may be half a second behind our estimate."""
    bench = Bench()
    Klines(bench)

    def slow_time(_: Sent) -> Reply:
        bench.clock.sleep(1.0)  # the whole delay on the way there
        return Reply({"serverTime": bench.script.server_ms()})

    bench.script.on("GET", "/fapi/v1/time", slow_time)
    assert bench.exchange.server_time() == bench.script.server_ms()
    # Our estimate runs half a second ahead of the truth: 20 ms past the minute for us.
    bench.clock.advance_to(START_MS + MINUTE - 480)
    newest = bench.exchange.candles("BTCUSDT", "1m", limit=1)[-1]
    assert newest.close == 2.5


def test_unusable_requests_and_answers() -> None:
    bench = Bench()
    with pytest.raises(InvalidInput):
        bench.exchange.candles("BTCUSDT", "7m")
    with pytest.raises(InvalidInput):
        bench.exchange.candles("BTCUSDT", "1m", limit=0)
    bench.script.on("GET", "/fapi/v1/klines", Reply([[START_MS - MINUTE, "1", "x", "1", "1", "1"]]))
    with pytest.raises(ExchangeUnavailable):
        bench.exchange.candles("BTCUSDT", "1m", limit=1)
    bench.script.on("GET", "/fapi/v1/time", Reply("gateway"))
    with pytest.raises(ExchangeUnavailable):
        bench.exchange.server_time()


class Settable(VirtualClock):
    """One that somebody sets; what passes on it goes on."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms

    def steady_ms(self) -> int:
        return super().now_ms()


@pytest.mark.parametrize("ahead_s", [-3600, -1, 0])
def test_a_pause_that_was_asked_for_is_no_longer_for_a_clock_that_is_set_back(ahead_s: int) -> None:
    clock = Settable(START_MS)
    bench = Bench(clock=clock)
    exchange = bench.exchange
    pause = refusal(-1003, "Too many requests.", 429, Retry_After="10")
    bench.script.on("GET", "/fapi/v3/positionRisk", pause, Reply([]))
    with pytest.raises(ExchangeThrottled):
        exchange.positions()
    clock.ahead_ms = ahead_s * 1000
    clock.sleep(9)
    with pytest.raises(ExchangeThrottled, match="waiting as the venue asked"):
        exchange.positions()
    clock.sleep(1.1)
    assert exchange.positions() == []


def test_a_clock_that_is_set_back_does_not_set_the_exchange_s_back() -> None:
    clock = Settable(START_MS)
    server = ServerClock(clock)
    server.learn(sent=START_MS, received=START_MS, server_time=START_MS + 5_000)
    clock.ahead_ms = -60_000
    clock.sleep(1)
    assert server.now_ms() == START_MS + 6_000
    # Measured anew it is what was measured.
    now = clock.now_ms()
    server.learn(sent=now, received=now, server_time=START_MS + 6_500)
    assert server.now_ms() == START_MS + 6_500
    # A machine that has slept: the steady clock has missed what ours has not.
    clock.ahead_ms += 30_000
    assert server.now_ms() == START_MS + 36_500
