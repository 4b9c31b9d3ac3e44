"""Every closed candle once and in order, whatever happens to the line and to the exchange."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamer_world import BTC, ETH, START, Floor, floor, play

from local.exchange.faults import (
    AnswerLost,
    ApiRequest,
    ApiResponse,
    Fault,
    error_answer,
    on,
)
from local.listening import Listening
from shared.errors import ExchangeThrottled
from shared.market.candle import Candle
from shared.market.events import decode
from shared.market.poll import poll
from shared.market.timeframe import MINUTE_MS
from streamer.candles import CandleSequence

KLINES = "/fapi/v1/klines"


async def judged(scene: Floor) -> None:
    """The one verdict: what was published is what REST has, each once, oldest first."""
    await scene.caught_up()
    assert scene.published() == scene.expected()


def test_the_stream_alone_tells_every_closed_candle() -> None:
    async def scenario() -> None:
        async with floor(timing={"grace": 600.0}) as scene:
            by_rest = scene.count("candles", "rest")
            await scene.minutes(12)
            await judged(scene)
            # 12 minutes: 12 and 2 candles of each symbol, and REST was not needed for one.
            assert scene.count("candles", "rest") == by_rest == 4
            assert scene.count("candles", "stream") == 2 * (12 + 2)
            assert scene.count("repeated") == 0

    play(scenario)


def test_events_are_those_of_poll_candles() -> None:
    """Byte for byte, so that a candle that both publish is one event twice."""
    from shared.market.events import encode

    async def scenario() -> None:
        async with floor() as scene:
            plan = {BTC: ["1m", "5m"], ETH: ["1m", "5m"]}
            polled: list[bytes] = []
            handed_out: dict[tuple[str, str], int] = {}
            for _ in range(6):
                candles = poll(scene.exchange.adapter, plan, scene.exchange.clock, handed_out)
                polled += [encode(c) for c in candles]
                await scene.minutes(1)
            candles = poll(scene.exchange.adapter, plan, scene.exchange.clock, handed_out)
            polled += [encode(c) for c in candles]
            assert sorted(polled) == sorted(scene.bodies())
            assert len(set(polled)) == len(polled) > 12

    play(scenario)


def test_candles_of_a_symbol_lie_in_one_partition() -> None:
    async def scenario() -> None:
        async with floor() as scene:
            await scene.minutes(5)
            for partition in range(scene.log.declare("market")):
                for event in scene.log.read_from("market", partition, 0, 1000):
                    assert event.partition_key == decode(event.body).symbol
                    assert scene.log.partition_of("market", event.partition_key) == partition

    play(scenario)


def test_broken_connections() -> None:
    async def scenario() -> None:
        async with floor() as scene:
            for minute in range(10):
                if minute % 2:
                    await scene.line.cut()
                scene.advance()
                await asyncio.sleep(0.01)
            await judged(scene)
            assert scene.count("disconnects", "market-1") >= 1

    play(scenario)


def test_what_was_missed_is_asked_for_when_the_connection_is_open_again() -> None:
    async def scenario() -> None:
        # Nothing is ever overdue here.
        async with floor(timing={"grace": 600.0}) as scene:
            await scene.line.cut()
            scene.advance(3)
            await judged(scene)
            assert scene.count("candles", "stream") == 0

    play(scenario)


def test_a_line_that_falls_silent() -> None:
    async def scenario() -> None:
        async with floor(timing={"stall": 0.3}) as scene:
            await scene.minutes(2)
            for _ in range(2):
                before = scene.count("stalls", "market-1"), len(scene.line.opened)
                scene.line.freeze()
                scene.advance(3)
                await scene.until(lambda b=before: scene.count("stalls", "market-1") > b[0])
                await scene.until(lambda b=before: len(scene.line.opened) > b[1])
            await judged(scene)

    play(scenario)


def test_doubled_and_disordered_messages() -> None:
    dice = random.Random(3)
    kept: list[str] = []

    def change(text: str) -> Sequence[str]:
        """Held up to five, then all of them in any order, some of them twice."""
        kept.append(text)
        if len(kept) < 5:
            return []
        out = kept + [t for t in kept if dice.random() < 0.5]
        kept.clear()
        dice.shuffle(out)
        return out

    async def scenario() -> None:
        async with floor() as scene:
            scene.line.change = change
            await scene.minutes(25)
            await judged(scene)
            assert scene.count("repeated") > 0
            assert scene.count("contradicted") == 0

    play(scenario)


def test_lost_messages_on_a_line_that_stays_open() -> None:
    """No gap ever shows by a later candle here: it is noticed that one is overdue."""

    def change(text: str) -> Sequence[str]:
        closed = json.loads(text)["data"].get("k", {}).get("x", False)
        return [] if closed else [text]

    async def scenario() -> None:
        async with floor(timing={"grace": 0.0}) as scene:
            scene.line.change = change
            await scene.minutes(6)
            await judged(scene)
            assert scene.count("candles", "stream") == 0
            assert scene.count("disconnects", "market-1") == 0

    play(scenario)


def test_unreadable_messages() -> None:
    def change(text: str) -> Sequence[str]:
        return ["{", '{"stream":"btcusdt@kline_1m","data":{"k":1}}', '{"result":null,"id":1}', text]

    async def scenario() -> None:
        async with floor() as scene:
            scene.line.change = change
            await scene.minutes(3)
            await judged(scene)
            assert scene.count("unreadable", "market-1") > 0

    play(scenario)


def test_the_venue_ends_the_connection_after_a_day() -> None:
    """More than a day at once: 1,500 candles of a minute, a page and a bit of REST."""

    async def scenario() -> None:
        async with floor() as scene:
            await scene.minutes(2)
            opened = len(scene.line.opened)
            scene.advance(25 * 60 + 17)
            await scene.until(lambda: len(scene.line.opened) > opened)
            await scene.minutes(3)
            await judged(scene)
            assert scene.count("disconnects", "market-1") == 1

    play(scenario)


def test_a_successor_is_heard_before_the_old_one_is_closed() -> None:
    async def scenario() -> None:
        async with floor(timing={"life": 0.15}) as scene:
            while scene.count("connects", "market-1") < 6:
                await scene.minutes(1)
                assert scene.streamer.connections[0].is_open
            await judged(scene)
            # None ended unasked.
            assert scene.count("disconnects", "market-1") == 0

    play(scenario)


def test_the_exchange_goes_away_and_comes_back() -> None:
    async def scenario() -> None:
        async with floor() as scene:
            await scene.minutes(2)
            await scene.exchange.server.stop()
            scene.advance(7)
            failures = scene.count("repair_failures")
            await scene.until(lambda: scene.count("disconnects", "market-1") >= 1)
            await scene.until(lambda: len(scene.line.opened) >= 3)
            scene.advance(4)
            await scene.exchange.restart()
            await scene.minutes(2)
            await judged(scene)
            assert scene.count("repair_failures") >= failures

    play(scenario)


ANSWERS: list[Any] = [
    error_answer(503, -1008, "overloaded"),
    error_answer(500, -1000, "unknown"),
    error_answer(400, -1130, "bad"),
    AnswerLost("reset"),
]


def test_rest_fails_while_candles_are_missing() -> None:
    async def scenario() -> None:
        async with floor() as scene:
            for path in (KLINES, "/fapi/v1/time"):
                for answer in ANSWERS:
                    scene.exchange.faults.add(Fault(on("GET", path), answer, times=2))
            await scene.line.cut()
            scene.advance(9)
            await judged(scene)
            assert scene.count("repair_failures") >= len(ANSWERS)

    play(scenario)


def test_a_rate_limit_is_obeyed() -> None:
    """After a 429 nothing is asked, not even something else, before its time is over."""
    refused = error_answer(429, -1003, "too many")
    refused.headers["Retry-After"] = "2"

    async def scenario() -> None:
        async with floor() as scene:
            scene.exchange.faults.add(Fault(on("GET", "/fapi/v1/time"), refused))
            asked: list[str] = []
            handle = scene.exchange.api.handle

            def counted(method: str, path: str, *rest: Any, **more: Any) -> Any:
                asked.append(path)
                return handle(method, path, *rest, **more)

            scene.exchange.api.handle = counted  # type: ignore[method-assign]
            await scene.line.cut()
            scene.advance(2)
            await scene.until(lambda: scene.count("repair_failures") >= 1)
            assert asked == ["/fapi/v1/time"]
            # The stream itself is not held up by it: what it tells next waits only for the hole.
            await scene.until(lambda: len(scene.line.opened) >= 2)
            assert asked == ["/fapi/v1/time"]
            # And whoever else asks is told so without a request.
            assert scene.streamer.feed is not None
            with pytest.raises(ExchangeThrottled) as told:
                await scene.streamer.feed._rest.listen_key()
            assert 0 < told.value.retry_after <= 10
            assert asked == ["/fapi/v1/time"]

    play(scenario)


def test_a_forming_candle_is_never_published() -> None:
    """Not even if REST shows it where a closed one was asked for."""

    async def scenario() -> None:
        async with floor() as scene:
            now = scene.exchange.clock.now_ms() + 2 * MINUTE_MS
            forming = now - now % MINUTE_MS
            row = ["100.0", "100.0", "100.0", "100.0", "1.0", 0, "0", 0, "0", "0", "0"]
            rows = json.dumps([[forming - MINUTE_MS, *row], [forming, *row]]).encode()
            answer = ApiResponse(200, {"content-type": "application/json"}, rows)

            def of_minutes(request: ApiRequest) -> bool:
                return request.path == KLINES and "interval=1m" in request.query

            scene.exchange.faults.add(Fault(of_minutes, answer, times=2))
            await scene.line.cut()
            scene.advance(2)
            await scene.caught_up()
            candles = [decode(b) for b in scene.bodies()]
            assert max(c.close_time for c in candles) <= now
            # The one that this answer left out does not exist, as far as anybody can tell.
            assert {c.open_time for c in candles if c.open == 100.0} == {forming - MINUTE_MS}

    play(scenario)


def test_a_start_catches_up_what_closed_lately() -> None:
    async def scenario() -> None:
        async with floor(start=False, STREAMER_CATCH_UP_MINUTES="7") as scene:
            scene.start()
            await scene.caught_up()
            found = scene.published()
            now = START
            minutes = [decode(b) for b in found[BTC, "1m"]]
            assert [c.close_time for c in minutes] == [
                now - now % MINUTE_MS - i * MINUTE_MS for i in reversed(range(7))
            ]
            # At least the newest, however long ago it closed; two of five minutes fit.
            fives = [decode(b) for b in found[ETH, "5m"]]
            assert [now - c.close_time for c in fives] == [330_000, 30_000]

    play(scenario)


def test_nothing_is_published_while_the_exchange_cannot_be_reached_and_all_of_it_later() -> None:
    async def scenario() -> None:
        async with floor(start=False) as scene:
            await scene.exchange.server.stop()
            scene.start()
            await scene.until(lambda: scene.count("repair_failures") >= 2)
            assert scene.bodies() == []
            await scene.exchange.restart()
            await judged(scene)

    play(scenario)


def test_a_server_that_only_acknowledges_is_left(unused_port: int) -> None:
    """As the old address of Binance does since 2026-04: it connects and stays silent."""

    async def scenario() -> None:
        app = web.Application()
        silent: list[web.WebSocketResponse] = []

        async def serve(request: web.Request) -> web.StreamResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            silent.append(socket)
            async for _ in socket:
                pass
            return socket

        async def candles(_: web.Request) -> web.Response:
            return web.json_response({"serverTime": START})

        app.router.add_get("/market/stream", serve)
        app.router.add_get("/fapi/v1/time", candles)
        app.router.add_get("/fapi/v1/klines", lambda _: web.json_response([]))
        async with floor(start=False, timing={"stall": 0.05}) as scene:
            silence = Listening(app, "127.0.0.1", unused_port)
            await silence.start()
            scene.line.upstream = f"http://127.0.0.1:{unused_port}"
            scene.start()
            await scene.until(lambda: scene.count("stalls", "market-1") >= 3)
            assert len(silent) >= 3
            scene.line.upstream = scene.exchange.url
            await judged(scene)
            await silence.stop()

    play(scenario)


# ---------------------------------------------------------------- the order of one sequence


def candle(number: int, close: float = 1.0) -> Candle:
    return Candle(
        symbol=BTC,
        timeframe="1m",
        open_time=number * MINUTE_MS,
        open=1.0,
        high=2.0,
        low=0.5,
        close=close,
        volume=float(number),
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_is_told_in_whatever_order_comes_out_once_and_ascending(data: Any) -> None:
    """The stream may lose, double and disorder; REST has all of it, now and then."""
    length = data.draw(st.integers(1, 30))
    absent = data.draw(st.sets(st.integers(1, length - 1))) if length > 1 else set()
    real = [n for n in range(length) if n not in absent]
    sequence = CandleSequence(BTC, "1m")
    begun = data.draw(st.booleans())
    out = sequence.start(0) if begun else []
    for number in data.draw(st.lists(st.sampled_from(real), max_size=40)):
        out += sequence.offer(candle(number))
        if data.draw(st.booleans()) and not begun:
            begun = True
            out += sequence.start(0)
        if data.draw(st.booleans()) and sequence.next is not None:
            upto = data.draw(st.integers(0, length))
            first = sequence.next // MINUTE_MS
            out += sequence.fill([candle(n) for n in real if first <= n < upto])
    if not begun:
        out += sequence.start(0)
    assert sequence.next is not None
    out += sequence.fill([candle(n) for n in real if n * MINUTE_MS >= sequence.next])
    assert [c.open_time // MINUTE_MS for c in out] == real
    assert not sequence.has_hole


def test_a_candle_that_the_venue_does_not_have_holds_nothing_up() -> None:
    sequence = CandleSequence(BTC, "1m")
    sequence.start(MINUTE_MS)
    assert sequence.offer(candle(4)) == []
    # An answer that ends before the hole does says nothing about it yet.
    assert sequence.fill([candle(1)]) == [candle(1)]
    assert sequence.has_hole
    assert sequence.fill([]) == []
    # 2 and 3 are left out between two that are there.
    assert sequence.fill([candle(4), candle(5)]) == [candle(4), candle(5)]
    assert not sequence.has_hole


def test_what_rest_leaves_out_and_the_stream_told_is_not_lost() -> None:
    sequence = CandleSequence(BTC, "1m")
    sequence.start(MINUTE_MS)
    assert sequence.offer(candle(2)) == []
    assert sequence.fill([candle(1), candle(3)]) == [candle(1), candle(2), candle(3)]


def test_a_repetition_with_other_values_is_noticed() -> None:
    sequence = CandleSequence(BTC, "1m")
    sequence.start(0)
    assert sequence.offer(candle(0)) == [candle(0)]
    assert sequence.offer(candle(0)) == []
    assert (sequence.repeated, sequence.contradicted) == (1, 0)
    assert sequence.offer(candle(0, close=1.5)) == []
    assert (sequence.repeated, sequence.contradicted) == (2, 1)


def test_memory_is_bounded_however_long_a_hole_stays() -> None:
    sequence = CandleSequence(BTC, "1m")
    sequence.start(0)
    for number in range(1, 4000):
        assert sequence.offer(candle(number)) == []
    assert len(sequence._held) <= 1500
    out = sequence.fill([candle(n) for n in range(4000)])
    assert [c.open_time // MINUTE_MS for c in out] == list(range(4000))


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
