"""Public trades and the other candles: one tape for REST and streams."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from exchange_world import KEY, MIDNIGHT, World, code, flat

from local.exchange.market_streams import feed_of

BTC = "BTCUSDT"
D = Decimal
RISING = (100_000, 100_600, 99_400, 100_300)


@pytest.fixture
def world() -> World:
    made = World({BTC: [*flat(100_000, 3), RISING, *flat(100_300, 200)]}, volume=120.0)
    made.at_minute(5)
    return made


class TestPublicTrades:
    def test_they_lie_on_the_path_and_share_the_volume(self, world: World) -> None:
        start = MIDNIGHT + 3 * 60_000
        rows = world.client.futures_aggregate_trades(
            symbol=BTC, startTime=start, endTime=start + 59_999
        )
        assert len(rows) == 60
        assert sum(D(r["q"]) for r in rows) == D(120)
        prices = [float(r["p"]) for r in rows]
        # Open, low after a third, high after two: the rule for a bar that closes higher.
        assert prices[0] == 100_000
        assert min(prices) == prices[20] == 99_400
        assert max(prices) == prices[40] == 100_600
        assert [r["m"] for r in rows[1:40]] == [True] * 20 + [False] * 19
        assert all(float(r["p"]) * 10 % 1 == 0 for r in rows)

    def test_numbers_are_consecutive_and_the_same_everywhere(self, world: World) -> None:
        recent = world.client.futures_recent_trades(symbol=BTC, limit=7)
        newest = world.client.futures_aggregate_trades(symbol=BTC, limit=7)
        assert [r["id"] for r in recent] == [r["a"] for r in newest]
        assert [b["id"] - a["id"] for a, b in itertools.pairwise(recent)] == [1] * 6
        assert recent[-1]["time"] <= world.venue.now < recent[-1]["time"] + 1000
        old = world.client.futures_historical_trades(symbol=BTC, fromId=recent[2]["id"], limit=3)
        assert old == recent[2:5]
        from_id = world.client.futures_aggregate_trades(symbol=BTC, fromId=newest[4]["a"])
        assert from_id == newest[4:]

    def test_what_happened_is_not_told_differently_later(self, world: World) -> None:
        window = {"symbol": BTC, "startTime": MIDNIGHT, "endTime": MIDNIGHT + 299_999}
        before = world.client.futures_aggregate_trades(**window)
        world.at_minute(60)
        assert world.client.futures_aggregate_trades(**window) == before

    def test_nothing_is_told_before_it_happens(self, world: World) -> None:
        later = world.venue.now + 1
        rows = world.client.futures_aggregate_trades(symbol=BTC, startTime=later)
        assert rows == []
        assert max(r["time"] for r in world.client.futures_recent_trades(symbol=BTC)) < later

    def test_windows_and_keys_are_checked(self, world: World) -> None:
        call = world.client.futures_aggregate_trades
        hour = 3_600_000
        assert code(call, symbol=BTC, startTime=MIDNIGHT, endTime=MIDNIGHT + hour) == -1127
        assert code(call, symbol="NOPEUSDT") == -1121
        status, _, body = world.api.handle("GET", "/fapi/v1/historicalTrades", f"symbol={BTC}")
        assert (status, b"-2014" in body) == (401, True)
        headers = {"X-MBX-APIKEY": KEY}
        path = "/fapi/v1/historicalTrades"
        assert world.api.handle("GET", path, f"symbol={BTC}", headers)[0] == 200

    def test_a_bar_without_volume_prints_nothing(self) -> None:
        quiet = World({BTC: flat(100_000, 5)}, volume=0.0)
        assert quiet.client.futures_recent_trades(symbol=BTC) == []


class TestOtherCandles:
    def test_continuous_candles_are_the_contract_s(self, world: World) -> None:
        own = world.client.futures_klines(symbol=BTC, interval="1m", limit=5)
        continuous = world.client.futures_continuous_klines(
            pair=BTC, contractType="PERPETUAL", interval="1m", limit=5
        )
        assert continuous == own
        assert (
            code(
                world.client.futures_continuous_klines,
                pair=BTC,
                contractType="CURRENT_QUARTER",
                interval="1m",
            )
            == -1130
        )

    def test_the_index_is_the_mark_price_and_the_premium_nothing(self, world: World) -> None:
        mark = world.client.futures_mark_price_klines(symbol=BTC, interval="1m", limit=3)
        index = world.client.futures_index_price_klines(pair=BTC, interval="1m", limit=3)
        assert index == mark
        premium = world.client.futures_premium_index_klines(symbol=BTC, interval="1m", limit=3)
        assert [row[0] for row in premium] == [row[0] for row in mark]
        assert {cell for row in premium for cell in row[1:5]} == {"0.00000000"}

    def test_a_market_younger_than_an_hour_has_a_day_ticker(self) -> None:
        young = World({BTC: flat(100_000, 3)})
        for minute in (1, 10, 90, 3000):
            young.at_minute(minute)
            ticker = young.client.futures_ticker(symbol=BTC)
            assert (ticker["lastPrice"], ticker["openPrice"]) == ("100000.00", "100000.00")


class TestFeeds:
    def test_aggregate_trades_stream_every_print_once(self, world: World) -> None:
        feed = feed_of(world.venue, "btcusdt@aggTrade", "market")
        first = feed.due()
        assert len(first) == 1
        assert feed.due() == []
        seen = []
        for second in range(1, 40):
            world.at_minute(5 + second * 1.7 / 60)
            seen += [m["a"] for m in feed.due()]
        assert seen == list(range(first[0]["a"] + 1, first[0]["a"] + 1 + len(seen)))
        assert len(seen) == 66

    def test_changes_of_depth_rebuild_the_book(self, world: World) -> None:
        """The venue's rule: start from a snapshot, then each pu is the u before."""
        fall = World({BTC: [*flat(100_000, 2), (100_000, 100_100, 99_000, 99_050)] * 3})
        feed = feed_of(fall.venue, "btcusdt@depth@100ms", "public")
        fall.at_minute(1.9)
        snapshot = fall.client.futures_order_book(symbol=BTC, limit=1000)
        book = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
        last = None
        applied = 0
        for step in range(1, 40):
            fall.at_minute(1.9 + step / 30)
            for message in feed.due():
                if message["u"] < snapshot["lastUpdateId"]:
                    continue
                if last is None:
                    assert message["U"] <= snapshot["lastUpdateId"] <= message["u"]
                else:
                    assert message["pu"] == last
                last = message["u"]
                applied += 1
                for side in ("b", "a"):
                    for price, quantity in message[side]:
                        book[side].pop(price, None)
                        if quantity != "0":
                            book[side][price] = quantity
            now = fall.client.futures_order_book(symbol=BTC, limit=1000)
            assert book == {"b": dict(now["bids"]), "a": dict(now["asks"])}
        assert applied > 10

    @pytest.mark.parametrize(
        ("name", "host", "kind"),
        [
            ("btcusdt@trade", "public", "trade"),
            ("btcusdt@miniTicker", "market", "24hrMiniTicker"),
            ("btcusdt@ticker", "market", "24hrTicker"),
            ("btcusdt_perpetual@continuousKline_5m", "market", "continuous_kline"),
            ("!bookTicker", "public", "bookTicker"),
            ("btcusdt@depth20@500ms", "public", "depthUpdate"),
            ("btcusdt@depth20", "public", "depthUpdate"),
        ],
    )
    def test_streams_speak_on_their_host_only(
        self, world: World, name: str, host: str, kind: str
    ) -> None:
        assert feed_of(world.venue, name, host).due()[0]["e"] == kind
        other = "public" if host == "market" else "market"
        assert feed_of(world.venue, name, other).due() == []
        assert feed_of(world.venue, f"x{name}", host).due() == []

    def test_all_marks_come_as_one_array_each_second(self, world: World) -> None:
        feed = feed_of(world.venue, "!markPrice@arr@1s", "market")
        [rows] = feed.due()
        assert [row["s"] for row in rows] == [BTC]
        assert feed.due() == []
        world.clock.advance_to(world.venue.now + 1000)
        world.api.advance()
        assert len(feed.due()) == 1
