"""Market data: the path inside bars, candles, the synthetic market."""

from __future__ import annotations

from decimal import Decimal as D

import numpy as np
import pytest
from exchange_world import MIDNIGHT, World, columns, flat
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInput, MarketDataError
from shared.market.timeframe import DAY_MS, MINUTE_MS, TIMEFRAMES
from shared.simulation.candles import CandleSource
from shared.simulation.orders import NewOrder
from shared.simulation.path import BarPath, low_first
from shared.simulation.source import Bar
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue

BTC = "BTCUSDT"
UP = Bar(0, 100.0, 110.0, 90.0, 105.0, 1.0, 100.0, 110.0, 90.0, 105.0)
DOWN = UP._replace(close=95.0, mark_close=95.0)


@pytest.mark.parametrize(
    ("bar", "held", "second"),
    [
        (UP, 0, 90.0),
        (DOWN, 0, 110.0),
        (UP, -1, 110.0),
        (DOWN, 1, 90.0),
        (UP, 1, 90.0),
        (DOWN, -1, 110.0),
    ],
    ids=["flat up", "flat down", "short up", "long down", "long up", "short down"],
)
def test_which_extreme_comes_first(bar: Bar, held: int, second: float) -> None:
    path = BarPath(bar, MINUTE_MS, low_first(bar, held))
    assert [path.at(t)[0] for t in (0, 20_000, 40_000, 59_999)] == [
        100.0,
        second,
        200.0 - second,
        bar.close,
    ]
    assert path.at(10_000)[0] == (100.0 + second) / 2


def test_opening_a_position_inside_a_bar_does_not_change_its_path() -> None:
    rows = [*flat(100_000, 2), (100_000, 100_500, 99_500, 99_900), *flat(99_900, 2)]
    world = World({BTC: rows})
    world.at_minute(2.1)
    before = [world.venue.core.path(BTC).last]
    world.client.futures_create_order(symbol=BTC, side="BUY", type="MARKET", quantity="0.01")
    world.at_minute(2.5)
    assert [world.venue.core.path(BTC).last] == before


class TestKlines:
    source = SyntheticMarket(3, [BTC])
    now = MIDNIGHT + 3 * 3_600_000 + 17 * MINUTE_MS + 30_000

    def venue(self) -> Venue:
        return Venue(self.source, start_ms=self.now)

    @pytest.mark.parametrize("timeframe", TIMEFRAMES)
    def test_resampled_candles_are_the_minutes_put_together(self, timeframe: str) -> None:
        step = TIMEFRAMES[timeframe]
        rows = self.venue().klines(BTC, timeframe, limit=3)
        assert len(rows) == 3
        assert rows[-1][0] == self.now - self.now % step
        for opened, o, h, low, c, v in rows[:-1]:
            minutes = [self.source.bar(BTC, t) for t in range(opened, opened + step, MINUTE_MS)]
            assert (o, c) == (minutes[0].open, minutes[-1].close)
            assert h == max(m.high for m in minutes)
            assert low == min(m.low for m in minutes)
            assert v == pytest.approx(sum(m.volume for m in minutes))

    def test_the_forming_candle_shows_only_what_has_happened(self) -> None:
        rows = [*flat(100_000, 7), (100_000, 101_000, 99_000, 100_500), *flat(100_500, 9)]
        world = World({BTC: rows})
        # Without a position a rising bar meets its low first, its high after two thirds.
        world.at_minute(7 + 30 / 60)
        [_, forming] = world.client.futures_klines(symbol=BTC, interval="5m", limit=2)
        high, low, close = (D(forming[n]) for n in (2, 3, 4))
        assert low == 99_000
        assert high == max(100_000, close)
        assert close == 100_000

    def test_ranges_and_limits(self) -> None:
        venue = self.venue()
        start = MIDNIGHT
        rows = venue.klines(BTC, "1m", start=start, limit=5)
        assert [r[0] for r in rows] == [start + n * MINUTE_MS for n in range(5)]
        rows = venue.klines(BTC, "1m", end=start + 90_000, limit=2)
        assert [r[0] for r in rows] == [start, start + MINUTE_MS]
        rows = venue.klines(BTC, "1m", start=self.now - MINUTE_MS, end=self.now + DAY_MS)
        assert [r[0] for r in rows] == [self.now - 30_000]
        assert venue.klines(BTC, "1m", start=self.now + DAY_MS) == []

    def test_history_ends_where_the_data_does(self) -> None:
        world = World({BTC: flat(100_000, 30)})
        world.at_minute(25)
        rows = world.client.futures_klines(symbol=BTC, interval="5m", limit=100)
        assert rows[0][0] == MIDNIGHT
        assert len(rows) == 6


class TestSynthetic:
    def test_a_block_is_the_same_whatever_was_asked_before(self) -> None:
        times = range(MIDNIGHT, MIDNIGHT + 3 * DAY_MS, 371 * MINUTE_MS)
        forward = SyntheticMarket(5)
        backward = SyntheticMarket(5)
        ahead = {(s, t): forward.bar(s, t) for t in times for s in forward.symbols}
        behind = {(s, t): backward.bar(s, t) for t in reversed(times) for s in backward.symbols}
        assert ahead == behind

    def test_seeds_and_symbols_differ(self) -> None:
        one, two = SyntheticMarket(1), SyntheticMarket(2)
        assert one.bar(BTC, MIDNIGHT).close != two.bar(BTC, MIDNIGHT).close
        btc = one.columns(BTC, MIDNIGHT, MIDNIGHT + DAY_MS)
        eth = one.columns("ETHUSDT", MIDNIGHT, MIDNIGHT + DAY_MS)
        moves = [np.diff(np.log(x.close)) for x in (btc, eth)]
        assert abs(np.corrcoef(*moves)[0, 1]) < 0.2

    @pytest.mark.parametrize("symbol", SyntheticMarket().symbols)
    def test_bars_are_sound_and_join(self, symbol: str) -> None:
        source = SyntheticMarket(11)
        c = source.columns(symbol, MIDNIGHT - DAY_MS, MIDNIGHT + 6 * DAY_MS)
        assert np.all(np.diff(c.open_time) == MINUTE_MS)
        assert np.all(c.low <= np.minimum(c.open, c.close))
        assert np.all(c.high >= np.maximum(c.open, c.close))
        assert np.all(c.volume > 0)
        # Also across midnight each bar opens where the one before closed, give or take a tick.
        assert np.max(np.abs(c.open[1:] / c.close[:-1] - 1)) < 3e-4
        moves = np.diff(np.log(c.close))
        assert 0.0003 < moves.std() < 0.003
        # Volatility clusters: the size of a move says something about the next.
        size = np.abs(moves)
        assert np.corrcoef(size[:-1], size[1:])[0, 1] > 0.05

    def test_columns_and_bars_agree(self) -> None:
        source = SyntheticMarket(4, [BTC])
        start = MIDNIGHT + DAY_MS - 5 * MINUTE_MS
        c = source.columns(BTC, start, start + 10 * MINUTE_MS)
        mark = source.columns(BTC, start, start + 10 * MINUTE_MS, mark=True)
        for n, t in enumerate(c.open_time.tolist()):
            bar = source.bar(BTC, t)
            assert (bar.open, bar.high, bar.low, bar.close) == (
                c.open[n],
                c.high[n],
                c.low[n],
                c.close[n],
            )
            assert bar.mark_close == mark.close[n]


class TestCandleSource:
    def test_gaps_and_disorder_are_named(self) -> None:
        good = columns(BTC, flat(1.0, 5))
        times = good.open_time.copy()
        times[3:] += MINUTE_MS
        torn = type(good)(BTC, "1m", times, *(getattr(good, n) for n in _NAMES))
        with pytest.raises(MarketDataError, match=f"after the 1m candle at {times[2]}"):
            CandleSource({BTC: torn})
        with pytest.raises(MarketDataError, match="several base time frames"):
            CandleSource({BTC: good, "ETHUSDT": columns("ETHUSDT", flat(1.0, 5), timeframe="5m")})
        with pytest.raises(MarketDataError, match="no candles"):
            CandleSource({})

    def test_a_symbol_without_a_contract_is_named(self) -> None:
        with pytest.raises(InvalidInput, match="NEWUSDT"):
            Venue(CandleSource({"NEWUSDT": columns("NEWUSDT", flat(1.0, 5))}), start_ms=MIDNIGHT)

    def test_coarser_mark_candles_give_the_basis(self) -> None:
        minutes = columns(BTC, flat(100_000, 121))
        hours = columns(BTC, [(100_100,) * 4, (100_200,) * 4], timeframe="1h")
        source = CandleSource({BTC: minutes}, mark={BTC: hours})
        assert source.bar(BTC, MIDNIGHT).mark_open == pytest.approx(100_100)
        half = source.bar(BTC, MIDNIGHT + 30 * MINUTE_MS)
        assert half.mark_open == pytest.approx(100_150)

    def test_outside_of_the_data_the_price_stands_still(self) -> None:
        source = CandleSource({BTC: columns(BTC, [(10, 12, 9, 11), (11, 13, 10, 12)])})
        assert source.bar(BTC, MIDNIGHT + DAY_MS).close == 12
        assert source.bar(BTC, MIDNIGHT - DAY_MS).close == 10


_NAMES = ("open", "high", "low", "close", "volume")


@settings(max_examples=30, deadline=None)
@given(
    steps=st.lists(st.integers(1, 240_000), min_size=1, max_size=25),
    side=st.sampled_from(["BUY", "SELL"]),
)
def test_history_does_not_depend_on_how_often_one_looks(steps: list[int], side: str) -> None:
    """Many small advances and one large one give the same books, to the last digit."""
    source = SyntheticMarket(9, [BTC])
    books = []
    for stops in (steps, [sum(steps)]):
        venue = Venue(source, start_ms=MIDNIGHT)
        account = venue.account()
        request = NewOrder(symbol=BTC, side=side, type="MARKET", quantity=D("0.010"))
        venue.place_order(account, request)
        bid, ask = venue.core.book(BTC).bid, venue.core.book(BTC).ask
        for away in (30, 80):
            buy = side == "SELL"
            price = bid - away if buy else ask + away
            venue.place_order(
                account,
                NewOrder(
                    symbol=BTC,
                    side="BUY" if buy else "SELL",
                    type="LIMIT",
                    quantity=D("0.005"),
                    price=price,
                    client_order_id=f"rest{away}",
                ),
            )
        for step in stops:
            venue.advance(venue.now + step)
        books.append(venue.ledger())
    assert books[0] == books[1]
