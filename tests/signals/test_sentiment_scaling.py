"""Sentiment in the signal: recorded, replayed bit for bit, never a side of its own."""

from __future__ import annotations

import msgspec
import pytest
from candle_series import MINUTE, candle, series
from hypothesis import given
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.errors import ConfigurationError
from shared.market.candle import Candle
from shared.research.config import BacktestConfig
from shared.research.notes import sentiment_notes
from shared.storage.sqlite import SqliteStore
from shared.strategies.config import EnsembleConfig, SignalConfig, decode_config, five_strategies
from shared.strategies.engine import Engine
from shared.strategies.ensemble import ensemble, signal_at_last
from shared.strategies.sentiment import Reading, SentimentUse, scaled
from shared.strategies.signal import Signal

PLAIN = five_strategies(0.25)
FEELING = msgspec.structs.replace(PLAIN, sentiment=SentimentUse(weight=0.5, min_texts=2))

unit = st.floats(-1, 1)
uses = st.builds(
    SentimentUse, weight=st.floats(0.01, 0.5), min_texts=st.integers(1, 5), strengthen=st.booleans()
)
readings = st.builds(Reading, at=st.just(0), score=unit, texts=st.integers(0, 10))


@given(unit, uses, readings)
def test_the_side_of_the_votes_stays(strength: float, use: SentimentUse, reading: Reading) -> None:
    found = scaled(strength, use, reading)
    assert found * strength >= 0
    assert (found == 0) == (strength == 0) or abs(strength) < 1e-300
    assert abs(found) <= 1
    assert abs(found - strength) <= use.weight * abs(strength) + 1e-12
    if not use.strengthen:
        assert abs(found) <= abs(strength)


@pytest.mark.parametrize(
    ("strength", "score", "texts", "use", "expected"),
    [
        # Agreeing adds weight * score of itself, disagreeing takes it.
        (0.4, 0.5, 3, SentimentUse(weight=0.5), 0.5),
        (0.4, -0.5, 3, SentimentUse(weight=0.5), 0.3),
        (-0.4, -0.5, 3, SentimentUse(weight=0.5), -0.5),
        (-0.4, 0.5, 3, SentimentUse(weight=0.5), -0.3),
        (0.9, 1.0, 3, SentimentUse(weight=0.5), 1.0),
        (0.4, 0.5, 2, SentimentUse(weight=0.5), 0.4),  # too few
        (0.4, 0.5, 9, SentimentUse(weight=0.5, strengthen=False), 0.4),
        (0.4, -0.5, 9, SentimentUse(weight=0.5, strengthen=False), 0.3),
        (0.0, 1.0, 9, SentimentUse(weight=0.5), 0.0),
        (0.4, 0.5, 9, msgspec.UNSET, 0.4),
    ],
)
def test_by_hand(
    strength: float,
    score: float,
    texts: int,
    use: SentimentUse | msgspec.UnsetType,
    expected: float,
) -> None:
    assert scaled(strength, use, Reading(at=0, score=score, texts=texts)) == pytest.approx(
        expected, abs=1e-15
    )
    assert scaled(strength, use, None) == strength


def signals(config: EnsembleConfig, score: float) -> list[Signal]:
    bars = series(5, 900)
    history = ensemble(config).history
    found = []
    for end in range(history, len(bars)):
        part = bars.window(end - history, end)
        opened = int(part.open_time[-1])
        known = {at: Reading(at=at, score=score, texts=9) for at in (opened, opened + MINUTE)}
        found.append(signal_at_last(part, config, known))
    return found


def test_without_it_nothing_changes_not_even_a_byte() -> None:
    assert b"sentiment" not in msgspec.json.encode(PLAIN)
    bars = series(5, 700)
    plain = signal_at_last(bars, PLAIN)
    assert b"sentiment" not in msgspec.json.encode(plain)
    # Readings that the plan makes no use of are not even recorded.
    closed = int(bars.open_time[-1]) + MINUTE
    given_ = {closed: Reading(at=closed, score=1.0, texts=9)}
    assert signal_at_last(bars, PLAIN, given_) == plain
    # And a plan that makes use of it, without any, takes the same side.
    alone = signal_at_last(bars, FEELING)
    assert alone.sentiment == []
    assert (alone.side, alone.strength) == (plain.side, plain.strength)


def test_good_news_make_longs_and_bad_news_shorts_likelier() -> None:
    # Every bar beyond the threshold counts, not the first alone.
    config = msgspec.structs.replace(FEELING, crossing=False)
    neutral, good, bad = (signals(config, score) for score in (0.0, 0.8, -0.8))
    for n, g, b in zip(neutral, good, bad, strict=True):
        assert b.strength <= n.strength <= g.strength
    longs = [sum(s.side == "BUY" for s in one) for one in (bad, neutral, good)]
    shorts = [sum(s.side == "SELL" for s in one) for one in (bad, neutral, good)]
    assert longs[0] < longs[1] < longs[2]
    assert shorts[0] > shorts[1] > shorts[2]


def test_a_signal_is_replayed_from_its_record_bit_for_bit() -> None:
    bars = series(5, 900)
    history = ensemble(FEELING).history
    for end in range(history, len(bars), 7):
        part = bars.window(end - history, end)
        opened = int(part.open_time[-1])
        known = {
            at: Reading(at=at, score=0.1 * (at % 17 - 8), texts=at % 5)
            for at in (opened, opened + MINUTE)
        }
        live = signal_at_last(part, FEELING, known)
        stored = msgspec.json.decode(msgspec.json.encode(live), type=Signal)
        assert stored.sentiment is not msgspec.UNSET
        again = signal_at_last(part, FEELING, {r.at: r for r in stored.sentiment})
        assert msgspec.json.encode(again) == msgspec.json.encode(live)


def test_news_that_come_are_a_crossing_and_news_that_stay_are_none() -> None:
    """The bar before is judged by what was known at its own close."""
    bars = series(5, 900)
    history = ensemble(FEELING).history
    crossed = 0
    for end in range(history, len(bars)):
        part = bars.window(end - history, end)
        opened = int(part.open_time[-1])
        closed = opened + MINUTE
        good, none = Reading(at=closed, score=1.0, texts=9), Reading(at=opened)
        come = signal_at_last(part, FEELING, {opened: none, closed: good})
        stay = signal_at_last(
            part, FEELING, {opened: Reading(at=opened, score=1.0, texts=9), closed: good}
        )
        assert come.strength == stay.strength
        crossed += come.side is not None and stay.side is None
    assert crossed


# ---------------------------------------------------------------- the engine


class History:
    """An exchange that knows its candles."""

    def __init__(self, candles: list[Candle]) -> None:
        self._candles = candles

    def candles(self, symbol: str, timeframe: str, *, end: int, limit: int) -> list[Candle]:
        return [c for c in self._candles if c.close_time <= end][-limit:]


def test_the_engine_asks_for_the_moments_of_the_bars_and_records_them(
    clock_and_store: tuple[VirtualClock, SqliteStore],
) -> None:
    clock, store = clock_and_store
    bars = series(5, 700)
    candles = [candle(bars, i) for i in range(len(bars))]
    asked: list[tuple[str, int]] = []

    def sentiment(symbol: str, at: int) -> Reading:
        asked.append((symbol, at))
        return Reading(at=at, score=0.4, texts=3)

    for config, expected in ((PLAIN, 0), (FEELING, 2)):
        asked.clear()
        engine = Engine(
            {"BTCUSDT": {"1m": config}},
            History(candles),
            store,
            clock,
            sentiment,  # type: ignore
        )
        last = candles[-1]
        signal = engine.on_candle(last)
        assert signal is not None
        assert asked == [("BTCUSDT", last.open_time), ("BTCUSDT", last.close_time)][:expected]
        if expected:
            assert signal.sentiment == [
                Reading(at=at, score=0.4, texts=3) for at in (last.open_time, last.close_time)
            ]
            saved = engine.save(signal)
            assert engine.save(saved) == signal


@pytest.fixture
def clock_and_store() -> object:
    clock = VirtualClock(1_746_352_800_000)
    store = SqliteStore(":memory:", clock=clock)
    yield clock, store
    store.close()


# ---------------------------------------------------------------- configuration


def test_a_plan_names_it() -> None:
    plan = '{"default": {"members": [{"strategy": "trend"}], "sentiment": {"weight": 0.3}}}'
    config = decode_config(plan)
    assert config.default.sentiment == SentimentUse(weight=0.3)
    for wrong in ('{"weight": 0.6}', '{"weight": 0}', "{}", '{"weight": 0.1, "x": 1}', "null"):
        with pytest.raises(ConfigurationError):
            decode_config(plan.replace('{"weight": 0.3}', wrong))


def test_a_backtest_says_that_it_has_none() -> None:
    plain = BacktestConfig(symbols=("BTCUSDT",), timeframes=("1h",), start_ms=0, end_ms=1)
    assert sentiment_notes(plain) == []
    used = msgspec.structs.replace(plain, signals=SignalConfig(default=FEELING))
    (note,) = sentiment_notes(used)
    assert "BTCUSDT 1h" in note
    assert "here it is none" in note
