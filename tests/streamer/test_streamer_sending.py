"""What waits, what is sent, in which order, and what a stop leaves behind."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

import aiohttp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamer_world import BTC, ETH, FAST, PATIENCE, Floor, floor, play

from streamer.events import MARKET, QUOTES, Event
from streamer.feed import MarketFeed
from streamer.figures import COUNTERS, Figures
from streamer.outbox import Outbox
from streamer.publisher import Publisher, Sink, SinkUnavailable
from streamer.rest import Rest
from streamer.timing import Timing


class Unsteady:
    """A sink in front of the event log: fails, takes a part, or takes all and says it failed."""

    def __init__(self, sink: Sink, seed: int) -> None:
        self.sink = sink
        self.dice = random.Random(seed)
        self.lied = 0

    async def send(self, hub: str, key: str, bodies: Sequence[bytes]) -> int:
        what = self.dice.random()
        if what < 0.3:
            raise SinkUnavailable("not now")
        if what < 0.5:
            return await self.sink.send(hub, key, bodies[: self.dice.randint(1, len(bodies))])
        if what < 0.6:
            await self.sink.send(hub, key, bodies)
            self.lied += 1
            raise SinkUnavailable("the acknowledgement is lost")
        return await self.sink.send(hub, key, bodies)

    async def close(self) -> None:
        await self.sink.close()


class Gate:
    """A sink that takes nothing while it is shut."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.open = True

    async def send(self, hub: str, key: str, bodies: Sequence[bytes]) -> int:
        if not self.open:
            raise SinkUnavailable("shut")
        return await self.sink.send(hub, key, bodies)

    async def close(self) -> None:
        await self.sink.close()


def test_a_sink_that_fails_gets_everything_at_least_once_and_in_order() -> None:
    unsteady: list[Unsteady] = []

    def wrap(sink: Sink) -> Sink:
        unsteady.append(Unsteady(sink, 5))
        return unsteady[0]

    async def scenario() -> None:
        async with floor(sink=wrap) as scene:
            await scene.minutes(15)
            assert unsteady[0].lied > 0
            assert scene.count("send_failures", MARKET) > 0
            expected = scene.expected()
            for place, bodies in scene.published().items():
                # Only what was said to have failed comes twice, and then again in order.
                assert list(dict.fromkeys(bodies)) == expected[place]

    play(scenario)


def test_nothing_more_is_read_while_nothing_can_be_sent() -> None:
    gates: list[Gate] = []

    def wrap(sink: Sink) -> Sink:
        gates.append(Gate(sink))
        return gates[0]

    async def scenario() -> None:
        async with floor(sink=wrap, STREAMER_QUEUE_EVENTS="100") as scene:
            gates[0].open = False
            page = 60
            for _ in range(6):
                scene.advance(page)
                await asyncio.sleep(0.02)
            await scene.until(lambda: scene.streamer.outbox.waiting >= 100)
            # What is above the limit is what was in hand when it was reached: a page of REST for
            # each symbol and time frame at most, whatever comes afterwards.
            scene.advance(page)
            await asyncio.sleep(0.1)
            assert scene.streamer.outbox.waiting < 100 + 7 * page
            assert scene.streamer.state()["failing"][MARKET] > 0
            gates[0].open = True
            await scene.caught_up()
            assert scene.published() == scene.expected()
            assert scene.streamer.state()["failing"] == {}

    play(scenario)


def test_a_stop_sends_what_waits() -> None:
    gates: list[Gate] = []

    def wrap(sink: Sink) -> Sink:
        gates.append(Gate(sink))
        return gates[0]

    async def scenario() -> None:
        async with floor(sink=wrap) as scene:
            gates[0].open = False
            scene.advance(5)
            await scene.until(lambda: scene.streamer.outbox.waiting == 2 * (5 + 1))
            scene.stop.set()
            asyncio.get_running_loop().call_later(0.1, setattr, gates[0], "open", True)
            assert scene.running is not None
            assert await scene.running is True
            assert scene.published() == scene.expected()

    play(scenario)


def test_a_stop_does_not_wait_for_ever_and_says_what_was_lost() -> None:
    gates: list[Gate] = []

    def wrap(sink: Sink) -> Sink:
        gates.append(Gate(sink))
        return gates[0]

    async def scenario() -> None:
        async with floor(sink=wrap, STREAMER_FLUSH_SECONDS="1") as scene:
            gates[0].open = False
            scene.advance(1)
            await scene.until(lambda: scene.streamer.outbox.waiting == 2)
            scene.stop.set()
            assert scene.running is not None
            assert await scene.running is False
            scene.running = None

    play(scenario)


def test_a_defect_ends_the_process_instead_of_a_part() -> None:
    """Half a streamer would look alive; the container starts a whole one."""

    async def scenario() -> None:
        async with floor() as scene:

            def broken(*_: Any) -> Any:
                raise ZeroDivisionError

            assert scene.streamer.feed is not None
            scene.streamer.feed.receive = broken  # type: ignore[method-assign]
            scene.advance(1)
            assert scene.running is not None
            (error,) = await asyncio.gather(scene.running, return_exceptions=True)
            assert isinstance(error, ExceptionGroup)
            assert error.subgroup(ZeroDivisionError) is not None
            scene.running = None

    play(scenario)


def test_quotes_are_those_of_the_venue_and_the_newest_only() -> None:
    async def scenario() -> None:
        async with floor(STREAMER_STREAMS="markPrice,bookTicker,depth") as scene:
            kinds = ("markPrice", "bookTicker", "depth")
            wanted = set(itertools.product(kinds, (BTC, ETH)))

            def seen() -> list[dict[str, Any]]:
                return [json.loads(b) for b in scene.bodies(QUOTES)]

            for _ in range(20):
                scene.advance(0.2)
                await asyncio.sleep(0.02)
            now = scene.exchange.clock.now_ms()
            await scene.until(
                lambda: {(q["type"], q["symbol"]) for q in seen() if q["time"] >= now} == wanted
            )
            quotes = seen()
            for kind, symbol in wanted:
                mine = [q for q in quotes if (q["type"], q["symbol"]) == (kind, symbol)]
                times = [q["time"] for q in mine]
                assert times == sorted(times)
            last = {(q["type"], q["symbol"]): q for q in quotes}
            book = scene.exchange.adapter.book_ticker(BTC)
            told = last["bookTicker", BTC]
            assert (told["bid"], told["ask"]) == (str(book.bid_price), str(book.ask_price))
            depth = last["depth", BTC]
            assert (len(depth["bids"]), len(depth["asks"])) == (10, 10)
            assert depth["bids"][0] == [told["bid"], told["bidQuantity"]]
            mark = scene.exchange.adapter.mark_price(ETH)
            assert float(last["markPrice", ETH]["markPrice"]) == float(mark.mark_price)
            assert last["markPrice", ETH]["nextFundingTime"] == mark.next_funding_time
            # Nothing but quotes was asked for, so nothing else was published.
            assert scene.bodies(MARKET) == []
            assert scene.streamer.outbox.waiting == 0

    play(scenario)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["", "", "ticker", "depth"]),
            st.booleans(),
        ),
        max_size=60,
    ),
    st.integers(0, 2**31),
)
def test_lasting_events_all_arrive_in_order_and_of_the_others_the_newest(
    puts: list[tuple[str, str, bool]], seed: int
) -> None:
    arrived: list[tuple[str, bytes]] = []

    class Log:
        async def send(self, hub: str, key: str, bodies: Sequence[bytes]) -> int:
            arrived.extend((key, b) for b in bodies)
            return len(bodies)

        async def close(self) -> None: ...

    async def run() -> None:
        figures = Figures()
        outbox = Outbox(10, figures)
        sink = Unsteady(Log(), seed)
        timing = Timing(**{**FAST, "first_wait": 0.0, "longest_wait": 0.0, "conflate": 0.0})
        publisher = Publisher(outbox, sink, ["hub"], timing, figures)
        running = asyncio.create_task(publisher.run())
        lasting: dict[str, list[bytes]] = {"a": [], "b": [], "c": []}
        for number, (key, kind, pause) in enumerate(puts):
            body = f"{kind}:{number}".encode()
            outbox.put(Event("hub", key, body, kind))
            if not kind:
                lasting[key].append(body)
            if pause:
                await asyncio.sleep(0)
        publisher.finish()
        await running
        assert outbox.waiting == 0
        for key, bodies in lasting.items():
            mine = [b for k, b in arrived if k == key and b.startswith(b":")]
            assert list(dict.fromkeys(mine)) == bodies
        for key, kind in itertools.product("abc", ("ticker", "depth")):
            mine = [
                int(b.split(b":")[1])
                for k, b in arrived
                if k == key and b.startswith(kind.encode())
            ]
            assert mine == sorted(mine)

    asyncio.run(run())


def test_what_could_not_be_sent_never_takes_the_place_of_what_is_newer() -> None:
    async def run() -> None:
        outbox = Outbox(10, Figures())
        outbox.put(Event("hub", "a", b"old", "ticker"))
        outbox.put(Event("hub", "a", b"only", "depth"))
        taken = outbox.take_newest("hub")
        outbox.put(Event("hub", "a", b"new", "ticker"))
        outbox.put_back(taken["hub", "a"])
        (events,) = outbox.take_newest("hub").values()
        assert {e.body for e in events} == {b"new", b"only"}

    asyncio.run(run())


def test_a_sink_that_takes_one_quote_at_a_time_gets_all() -> None:
    arrived: list[bytes] = []

    class One:
        async def send(self, hub: str, key: str, bodies: Sequence[bytes]) -> int:
            arrived.append(bodies[0])
            return 1

        async def close(self) -> None: ...

    async def run() -> None:
        figures = Figures()
        outbox = Outbox(10, figures)
        timing = Timing(**{**FAST, "conflate": 0.0})
        publisher = Publisher(outbox, One(), ["hub"], timing, figures)
        running = asyncio.create_task(publisher.run())
        for kind in ("ticker", "depth", "mark"):
            outbox.put(Event("hub", "a", kind.encode(), kind))
        async with asyncio.timeout(PATIENCE):
            while len(arrived) < 3:
                await asyncio.sleep(0)
        publisher.finish()
        await running
        assert sorted(arrived) == [b"depth", b"mark", b"ticker"]

    asyncio.run(run())


def test_a_quote_that_comes_late_is_not_published() -> None:
    def book(update: int) -> str:
        told = {"u": update, "T": update, "s": BTC, "b": "1", "B": "1", "a": "2", "A": "1"}
        return json.dumps({"stream": "btcusdt@bookTicker", "data": told})

    async def scenario() -> None:
        async with floor(start=False) as scene:
            outbox = Outbox(10, scene.streamer.figures)
            rest = Rest(None, "")  # type: ignore[arg-type]
            timing = Timing()
            feed = MarketFeed({}, rest, outbox, timing, scene.streamer.figures, catch_up_ms=0)
            for update in (5, 7, 6):
                await feed.receive("public-1", book(update))
            ((event,),) = outbox.take_newest(QUOTES).values()
            assert json.loads(event.body)["update"] == 7
            assert scene.count("quotes_late") == 1

    play(scenario)


def test_health_tells_ages_and_turns_when_nothing_comes() -> None:
    async def scenario() -> None:
        async with floor(STREAMER_STREAMS="klines,userData,bookTicker") as scene:
            await scene.minutes(1)
            assert scene.streamer.health is not None
            url = f"http://127.0.0.1:{scene.streamer.health.port}"
            async with aiohttp.ClientSession() as http:
                status, state = await asked(http, url)
                assert status == 200
                assert set(state["streams"]) == {"market-1", "public-1", "private"}
                assert all(s["open"] for s in state["streams"].values())
                assert state["candles"][f"{BTC} 1m"] == "2025-05-05T00:10:00.000Z"
                assert state["waiting"] == 0
                async with http.get(f"{url}/metrics") as answer:
                    metrics = await answer.text()
                assert "borsa_streamer_candles_total" in metrics
                assert 'borsa_streamer_message_age_seconds{connection="market-1"}' in metrics
                # As if the last message were long ago: the process may be beyond repair.
                silent(scene, "private")
                assert (await asked(http, url))[0] == 200
                silent(scene, "public-1")
                assert (await asked(http, url))[0] == 503
                silent(scene, "public-1", -301)
                assert (await asked(http, url))[0] == 200
                # The account may be silent, and not without a connection for so long.
                await scene.exchange.server.stop()
                (private,) = (c for c in scene.streamer.connections if c.name == "private")
                await scene.until(lambda: not private.is_open)
                assert (await asked(http, url))[0] == 200
                private._ended -= 301
                assert (await asked(http, url))[0] == 503

    play(scenario)


async def asked(http: aiohttp.ClientSession, url: str) -> tuple[int, dict[str, Any]]:
    async with http.get(f"{url}/healthz") as answer:
        found: dict[str, Any] = await answer.json()
        return answer.status, found


def silent(scene: Floor, name: str, seconds: float = 301.0) -> None:
    """As if the last message of a connection had come so much earlier.

    No book changes while the exchange's clock stands, so nothing new comes meanwhile.
    """
    (connection,) = (c for c in scene.streamer.connections if c.name == name)
    connection.last -= seconds


def test_counters_have_a_meaning_and_their_labels() -> None:
    figures = Figures()
    for name, (labels, meaning) in COUNTERS.items():
        assert meaning
        figures.count(name, "x" if labels else "")
    text = figures.prometheus()
    for name in COUNTERS:
        assert f"borsa_streamer_{name}_total" in text
    assert 'borsa_streamer_sent_total{hub="x"} 1' in text
    assert "borsa_streamer_repeated_total 1" in text
