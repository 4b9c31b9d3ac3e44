"""Matching against expectations worked out a second time, from the market alone.

Each of the three markets (recorded stream, candles, synthetic book) has its rule written down here
again in the plainest way, without the exchange's code: raw messages and levels are walked, the
path of a candle is looked at millisecond by millisecond.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchange_world import KEY, MIDNIGHT, SECRET, START, World, in_process_client
from hypothesis import given, settings
from hypothesis import strategies as st

from local.clock import VirtualClock
from local.exchange.api import BinanceApi
from shared.simulation.recorded import RecordedStream
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue

BTC = "BTCUSDT"
D = Decimal
TICK, STEP = D("0.10"), D("0.001")
REAL = Path(__file__).parents[2].parent / "shared" / "market" / "BTCUSDT-stream-20240808.gz"
MINUTE = 60_000


# ------------------------------------------------------------------ recorded streams


def generated_recording(seed: int, seconds: int = 20) -> list[str]:
    """A market of one's own: a walk of the touch, trades at it, levels that come and go."""
    rng = random.Random(seed)
    begin = 1_723_161_300_000
    bid = 600_000  # in ticks
    lines: list[str] = []
    number = update = 0
    depth: dict[str, dict[int, int]] = {"b": {}, "a": {}}

    def tell(kind: str, at: int, **data: Any) -> None:
        body = {"e": kind, "s": BTC, "T": at, **data}
        lines.append(f"{at}000000 {json.dumps({'stream': 'x', 'data': body})}")

    def price(ticks: int) -> str:
        return str(ticks * TICK)

    def lots(count: int) -> str:
        return str(count * STEP)

    at = begin
    while at < begin + seconds * 1000:
        bid += rng.choice((-6, -3, -1, 0, 0, 1, 3, 6))
        ask = bid + rng.choice((1, 1, 2))
        sizes = [rng.randint(1, 900), rng.randint(1, 900)]
        tell("bookTicker", at, b=price(bid), B=lots(sizes[0]), a=price(ask), A=lots(sizes[1]))
        changes: dict[str, list[list[str]]] = {"b": [], "a": []}
        for side, sign, touch in (("b", -1, bid), ("a", 1, ask)):
            for _ in range(rng.randint(0, 4)):
                level = touch + sign * rng.randint(1, 12)
                size = rng.choice((0, rng.randint(1, 2000)))
                depth[side][level] = size
                changes[side].append([price(level), lots(size)])
        update += 1
        tell("depthUpdate", at + 1, u=update, b=changes["b"], a=changes["a"])
        # Often nobody trades while the touch moves on: the last price is then a stale one.
        for _ in range(rng.choice((0, 0, 0, 1, 3))):
            number += 1
            sold = rng.random() < 0.5
            traded = price(bid if sold else ask)
            size = lots(rng.randint(1, 600))
            tell("trade", at + 2, t=number, p=traded, q=size, X="MARKET", m=sold)
        at += rng.randint(3, 120)
    return lines


class Raw:
    """The messages of a recording, read without the exchange."""

    def __init__(self, lines: Sequence[str | bytes]) -> None:
        self.quotes: list[tuple[int, dict[str, Any]]] = []
        self.books: list[tuple[int, bool, int, Any, Any]] = []
        self.trades: list[tuple[int, Decimal, Decimal]] = []
        for line in lines:
            text = line.decode() if isinstance(line, bytes) else line
            message = json.loads(text[text.index("{") :])
            if "lastUpdateId" in message:
                row = (message["lastUpdateId"], True, message["T"])
                self.books.append((*row, message["bids"], message["asks"]))
                continue
            data = message["data"]
            if data["e"] == "bookTicker":
                self.quotes.append((data["T"], data))
            elif data["e"] == "depthUpdate":
                self.books.append((data["u"], False, data["T"], data["b"], data["a"]))
            elif data["e"] == "trade" and data["X"] == "MARKET":
                self.trades.append((data["T"], D(data["p"]), D(data["q"])))
        self.books.sort(key=lambda row: (row[0], not row[1]))

    def levels(self, at: int, buy: bool) -> list[tuple[Decimal, Decimal]]:
        """What a taker meets: the touch of the last quote, behind it what the diffs have told."""
        quote = [data for time, data in self.quotes if time <= at][-1]
        touch = (D(quote["a"]), D(quote["A"])) if buy else (D(quote["b"]), D(quote["B"]))
        known: dict[Decimal, Decimal] = {}
        for _, whole, time, bids, asks in self.books:
            if time > at:
                break
            if whole:
                known = {}
            for price, quantity in asks if buy else bids:
                known[D(price)] = D(quantity)
        behind = [(p, q) for p, q in known.items() if q and (p > touch[0] if buy else p < touch[0])]
        return [touch, *sorted(behind, reverse=not buy)]


def walked(
    levels: list[tuple[Decimal, Decimal]], wanted: Decimal, limit: Decimal, buy: bool
) -> list[tuple[Decimal, Decimal]]:
    """Fills of a taker on those levels."""
    fills = []
    for price, offered in levels:
        if wanted <= 0 or (price > limit if buy else price < limit):
            break
        fills.append((price, min(wanted, offered)))
        wanted -= min(wanted, offered)
    return fills


class Floor:
    """An exchange on a recording, with much money."""

    def __init__(self, source: RecordedStream, at: int) -> None:
        self.clock = VirtualClock(at)
        self.venue = Venue(source, start_ms=at, deposit=D(100_000_000))
        self.api = BinanceApi(self.venue, self.clock, {KEY: SECRET})
        self.client = in_process_client(self.api)

    def at(self, ms: int) -> None:
        self.clock.advance_to(ms)
        self.api.advance()

    def fills(self) -> list[tuple[Decimal, Decimal]]:
        rows = self.client.futures_account_trades(symbol=BTC)
        return [(D(row["price"]), D(row["qty"])) for row in rows]


def check_takers(lines: Sequence[str | bytes], moments: Sequence[int], seed: int) -> None:
    raw, source = Raw(lines), RecordedStream(lines)
    rng = random.Random(seed)
    for moment in moments:
        floor = Floor(source, moment)
        buy = rng.random() < 0.5
        quantity = STEP * rng.randint(1, 20_000)
        mark = D(floor.client.futures_mark_price(symbol=BTC)["markPrice"])
        limit = mark * (D("1.05") if buy else D("0.95"))
        floor.client.futures_create_order(
            symbol=BTC, side="BUY" if buy else "SELL", type="MARKET", quantity=str(quantity)
        )
        assert floor.fills() == walked(raw.levels(moment, buy), quantity, limit, buy), moment


def check_resting(lines: Sequence[str | bytes], moments: Sequence[int], seed: int) -> None:
    """Nothing before a trade goes through the price; then at most a tenth of each bar's volume."""
    raw, source = Raw(lines), RecordedStream(lines)
    rng = random.Random(seed)
    end = source.span[1]
    for moment in moments:
        floor = Floor(source, moment)
        buy = rng.random() < 0.5
        # Bars are tenths of a second; the one the order arrives in does not fill it.
        fresh = moment - moment % 100 + 100
        side = "bidPrice" if buy else "askPrice"
        touch = D(floor.client.futures_orderbook_ticker(symbol=BTC)[side])
        away = TICK * rng.randint(0, 8)
        price = touch - away if buy else touch + away
        quantity = STEP * rng.randint(1, 300)
        order = floor.client.futures_create_order(
            symbol=BTC,
            side="BUY" if buy else "SELL",
            type="LIMIT",
            timeInForce="GTX",
            price=str(price),
            quantity=str(quantity),
        )
        through = [
            time
            for time, traded, _ in raw.trades
            if time >= fresh and (traded <= price - TICK if buy else traded >= price + TICK)
        ]
        floor.at(end + 1000)
        rows = floor.client.futures_account_trades(symbol=BTC, orderId=order["orderId"])
        assert all(D(row["price"]) == price and row["maker"] for row in rows)
        assert bool(rows) == bool(through), moment
        if rows:
            first = min(through)
            assert first - first % 100 <= rows[0]["time"] < first - first % 100 + 100
        for bar in {row["time"] - row["time"] % 100 for row in rows}:
            taken = sum(D(r["qty"]) for r in rows if bar <= r["time"] < bar + 100)
            traded = sum(q for time, _, q in raw.trades if bar <= time < bar + 100)
            assert taken <= max(STEP, traded / 10)


def check_stops(lines: Sequence[str | bytes], moments: Sequence[int], seed: int) -> None:
    raw, source = Raw(lines), RecordedStream(lines)
    rng = random.Random(seed)
    end = source.span[1]
    for moment in moments:
        floor = Floor(source, moment)
        last = [p for time, p, _ in raw.trades if time <= moment - moment % 100]
        if not last:
            continue
        floor.client.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.010")
        level = D(floor.client.futures_symbol_ticker(symbol=BTC)["price"]) - TICK * rng.randint(
            1, 12
        )
        floor.client.futures_create_algo_order(
            symbol=BTC,
            side="SELL",
            type="STOP_MARKET",
            triggerPrice=str(level),
            quantity="0.010",
            reduceOnly="true",
            clientAlgoId="s",
        )
        bar = moment - moment % 100
        later = [time for time, p, _ in raw.trades if time >= bar + 100 and p <= level]
        same = [time for time, p, _ in raw.trades if bar <= time < bar + 100 and p <= level]
        floor.at(end + 1000)
        algo = floor.client.futures_get_algo_order(clientAlgoId="s")
        if same:
            continue
        assert (algo["algoStatus"] == "FINISHED") == bool(later), moment
        if later:
            first = min(later)
            assert first - first % 100 <= algo["triggerTime"] < first - first % 100 + 100


@pytest.mark.parametrize("seed", range(3))
class TestGeneratedRecording:
    def lines(self, seed: int) -> tuple[list[str], list[int]]:
        lines = generated_recording(seed)
        first, last = RecordedStream(lines).span
        rng = random.Random(seed + 100)
        return lines, sorted(rng.randrange(first + 1000, last - 1000) for _ in range(25))

    def test_takers(self, seed: int) -> None:
        check_takers(*self.lines(seed), seed)

    def test_resting_orders(self, seed: int) -> None:
        check_resting(*self.lines(seed), seed)

    def test_stops(self, seed: int) -> None:
        check_stops(*self.lines(seed), seed)


@pytest.mark.skipif(not REAL.exists(), reason="no recorded stream on this machine")
class TestRealRecording:
    """The first half minute of the real stream; the whole would only take longer."""

    @pytest.fixture(scope="class")
    def lines(self) -> list[bytes]:
        with gzip.open(REAL) as file:
            return [line for _, line in zip(range(12_000), file, strict=False)]

    @pytest.fixture(scope="class")
    def moments(self, lines: list[bytes]) -> list[int]:
        first, last = RecordedStream(lines).span
        rng = random.Random(7)
        return sorted(rng.randrange(first + 1000, last - 500) for _ in range(6))

    def test_takers(self, lines: list[bytes], moments: list[int]) -> None:
        check_takers(lines, moments, 7)

    def test_resting_orders(self, lines: list[bytes], moments: list[int]) -> None:
        check_resting(lines, moments, 7)

    def test_stops(self, lines: list[bytes], moments: list[int]) -> None:
        check_stops(lines, moments, 7)


# ------------------------------------------------------------------ candles


def path_by_hand(
    rows: Sequence[tuple[float, float, float, float]], held: int
) -> np.ndarray[Any, Any]:
    """The price at every millisecond, by the rule of the page: adverse extreme first."""
    out = []
    for o, high, low, c in rows:
        low_first = held > 0 if held else c >= o
        anchors = (o, low, high, c) if low_first else (o, high, low, c)
        third = MINUTE // 3
        out.append(np.interp(np.arange(MINUTE), (0, third, 2 * third, MINUTE - 1), anchors))
    return np.concatenate(out)


@st.composite
def candle_rows(draw: st.DrawFn) -> list[tuple[float, float, float, float]]:
    rows = []
    price = 100_000.0
    for _ in range(5):
        moves = draw(st.lists(st.integers(-300, 300), min_size=4, max_size=4))
        o = price + moves[0]
        c = o + moves[1]
        rows.append((o, max(o, c) + abs(moves[2]), min(o, c) - abs(moves[3]), c))
        price = c
    return rows


class TestCandles:
    @settings(max_examples=40, deadline=None)
    @given(rows=candle_rows(), distance=st.integers(1, 900), buy=st.booleans())
    def test_a_resting_order_fills_at_the_first_millisecond_through_its_price(
        self, rows: list[tuple[float, float, float, float]], distance: int, buy: bool
    ) -> None:
        world = World({BTC: [rows[0], *rows]}, deposit="1000000")
        bid, ask = world.book()
        price = bid - distance if buy else ask + distance
        order = world.client.futures_create_order(
            symbol=BTC,
            side="BUY" if buy else "SELL",
            type="LIMIT",
            timeInForce="GTX",
            price=str(price),
            quantity="0.010",
        )
        path = path_by_hand(rows, held=0)
        # Through its price as prices are told, on the grid of ticks.
        level = float(price - TICK / 2 if buy else price + TICK / 2)
        reached = np.flatnonzero(path <= level + 1e-6 if buy else path >= level - 1e-6)
        world.at_minute(1 + len(rows))
        fills = world.client.futures_account_trades(symbol=BTC, orderId=order["orderId"])
        assert len(fills) == (1 if len(reached) else 0)
        if fills:
            # A gap between candles fills at the limit as well: a maker gets its price.
            assert D(fills[0]["price"]) == price
            assert abs(fills[0]["time"] - (START + int(reached[0]))) <= 1

    @settings(max_examples=40, deadline=None)
    @given(rows=candle_rows(), distance=st.integers(1, 900), long=st.booleans())
    def test_a_stop_triggers_at_the_first_millisecond_at_its_price_and_pays_the_book(
        self, rows: list[tuple[float, float, float, float]], distance: int, long: bool
    ) -> None:
        world = World({BTC: [rows[0], *rows]}, deposit="1000000")
        c = world.client
        enter, leave = ("BUY", "SELL") if long else ("SELL", "BUY")
        # Held from the minute before: the adverse extreme comes first in every bar from now on.
        c.futures_create_order(symbol=BTC, side=enter, type="MARKET", quantity="0.010")
        opened = world.account.position(BTC).update_time
        price = world.venue.core.last_price(BTC)
        level = price - distance if long else price + distance
        c.futures_create_algo_order(
            symbol=BTC,
            side=leave,
            type="STOP_MARKET",
            triggerPrice=str(level),
            quantity="0.010",
            reduceOnly="true",
            clientAlgoId="s",
        )
        # The bar it was opened in had begun without a position.
        before = path_by_hand(rows[:1], held=0)
        path = np.concatenate((before, path_by_hand(rows[1:], held=1 if long else -1)))
        assert opened == START
        reached = np.flatnonzero(
            path <= float(level) + 1e-6 if long else path >= float(level) - 1e-6
        )
        world.at_minute(1 + len(rows))
        algo = c.futures_get_algo_order(clientAlgoId="s")
        assert (algo["algoStatus"] == "FINISHED") == bool(len(reached))
        if len(reached):
            first = int(reached[0])
            assert abs(algo["triggerTime"] - (START + first)) <= 1
            # Through the book around the path: never better than the path, never far from it.
            paid = float(algo["actualPrice"])
            worse = path[first] - paid if long else paid - path[first]
            assert -0.11 <= worse <= 0.02 * 1300 + 20


# ------------------------------------------------------------------ synthetic book


class TestSyntheticBook:
    @settings(max_examples=40, deadline=None)
    @given(
        minute=st.integers(0, 600),
        millisecond=st.integers(0, MINUTE - 1),
        size=st.integers(1, 120_000),
        buy=st.booleans(),
    )
    def test_a_taker_gets_what_the_depth_endpoint_shows(
        self, minute: int, millisecond: int, size: int, buy: bool
    ) -> None:
        start = MIDNIGHT + minute * MINUTE + millisecond
        venue = Venue(SyntheticMarket(7, (BTC,)), start_ms=start, deposit=D(1_000_000_000))
        client = in_process_client(BinanceApi(venue, VirtualClock(start), {KEY: SECRET}))
        client.futures_change_leverage(symbol=BTC, leverage=2)
        depth = client.futures_order_book(symbol=BTC, limit=1000)
        levels = [(D(p), D(q)) for p, q in depth["asks" if buy else "bids"]]
        mark = D(client.futures_mark_price(symbol=BTC)["markPrice"])
        limit = mark * (D("1.05") if buy else D("0.95"))
        quantity = STEP * size
        answer = client.futures_create_order(
            symbol=BTC,
            side="BUY" if buy else "SELL",
            type="MARKET",
            quantity=str(quantity),
            newOrderRespType="RESULT",
        )
        expected = walked(levels, quantity, limit, buy)
        rows = client.futures_account_trades(symbol=BTC)
        assert [(D(r["price"]), D(r["qty"])) for r in rows] == expected
        executed = sum(q for _, q in expected)
        assert answer["status"] == ("FILLED" if executed == quantity else "EXPIRED")
        fee = sum((p * q * D("0.0005")).quantize(D("1e-8")) for p, q in expected)
        assert sum(D(r["commission"]) for r in rows) == fee

    def test_the_book_is_a_function_of_seed_and_time(self) -> None:
        def seen(seed: int) -> Any:
            venue = Venue(SyntheticMarket(seed, (BTC,)), start_ms=START)
            client = in_process_client(BinanceApi(venue, VirtualClock(START), {KEY: SECRET}))
            book = client.futures_order_book(symbol=BTC, limit=20)
            return book["bids"], book["asks"]

        assert seen(7) == seen(7)
        assert seen(7) != seen(8)
        bids, asks = seen(7)
        assert D(bids[0][0]) < D(asks[0][0])
        assert [D(p) for p, _ in bids] == sorted((D(p) for p, _ in bids), reverse=True)
        assert [D(p) for p, _ in asks] == sorted(D(p) for p, _ in asks)
