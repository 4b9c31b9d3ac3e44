"""Each strategy on markets whose right answer can be seen, and against plain arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from candle_series import from_closes, series

from shared.errors import ConfigurationError
from shared.market.candle import Columns
from shared.strategies.frame import Frame
from shared.strategies.registry import FORMULAS, strategy

BARS = 600


def vote(name: str, bars: Columns, **params: Any) -> float:
    """The vote at the last bar, as a live decision takes it."""
    return float(strategy(name).with_params(params).votes(Frame(bars, 1)).vote)


def zigzag(bars: int, size: float = 0.3) -> list[float]:
    """A market that goes nowhere."""
    return [100.0 + size * math.sin(i * 1.7) for i in range(bars)]


def climb(slope: float, bars: int = BARS) -> Columns:
    return from_closes([100.0 + slope * i + 0.1 * math.sin(i * 1.7) for i in range(bars)])


def after_calm(*moves: float, volume: float = 10.0) -> Columns:
    """A calm market, then these changes of the close."""
    closes = zigzag(BARS - len(moves))
    for move in moves:
        closes.append(closes[-1] + move)
    bars = from_closes(closes)
    volumes = bars.volume.copy()
    volumes[-1] = volume
    return replace(bars, volume=volumes)


def flat() -> Columns:
    return from_closes([100.0] * BARS, reach=0.0)


SCENARIOS: list[tuple[str, str, Columns, float, float]] = [
    # strategy, market, candles, least and greatest vote
    ("trend", "steady climb", climb(+0.2), 0.9, 1.0),
    ("trend", "steady fall", climb(-0.1), -1.0, -0.9),
    ("trend", "sideways", from_closes(zigzag(BARS)), -0.15, 0.15),
    ("momentum", "acceleration up", after_calm(*[0.1 * i for i in range(1, 9)]), 0.7, 1.0),
    ("momentum", "acceleration down", after_calm(*[-0.1 * i for i in range(1, 9)]), -1.0, -0.7),
    ("momentum", "steady climb adds nothing new", climb(+0.2), -0.2, 0.2),
    ("momentum", "sideways", from_closes(zigzag(BARS)), -0.35, 0.35),
    ("breakout", "close above the channel, high volume", after_calm(1.5, volume=40.0), 0.6, 1.0),
    ("breakout", "the same on thin volume", after_calm(1.5, volume=5.0), 0.3, 0.5),
    ("breakout", "close below the channel", after_calm(-1.5, volume=40.0), -1.0, -0.6),
    ("breakout", "inside the channel", after_calm(0.05, volume=40.0), 0.0, 0.0),
    ("mean_reversion", "sudden fall in a calm market", after_calm(-1.5, -1.5, -1.5), 0.8, 1.0),
    ("mean_reversion", "sudden rise in a calm market", after_calm(1.5, 1.5, 1.5), -1.0, -0.8),
    ("mean_reversion", "stretched, but in a trend", climb(+0.2), 0.0, 0.0),
    ("mean_reversion", "at the mean", from_closes(zigzag(BARS)), 0.0, 0.0),
]


@pytest.mark.parametrize(
    ("name", "market", "bars", "least", "greatest"),
    SCENARIOS,
    ids=[f"{name}: {market}" for name, market, *_ in SCENARIOS],
)
def test_votes_in_markets_one_can_see(
    name: str, market: str, bars: Columns, least: float, greatest: float
) -> None:
    assert least <= vote(name, bars) <= greatest


def with_last(bars: Columns, rows: list[tuple[float, float, float, float]]) -> Columns:
    """The last candles replaced by (open, high, low, close)."""
    changed = {k: getattr(bars, k).copy() for k in ("open", "high", "low", "close")}
    for back, row in enumerate(reversed(rows), start=1):
        for key, value in zip(("open", "high", "low", "close"), row, strict=True):
            changed[key][-back] = value
    return replace(bars, **changed)


FELL = after_calm(*[-0.3] * 12)
ROSE = after_calm(*[+0.3] * 12)
LOW, HIGH = float(FELL.close[-3]), float(ROSE.close[-3])
CANDLES = [
    (
        "bullish engulfing after a fall",
        with_last(FELL, [(LOW, LOW + 0.1, LOW - 0.4, LOW - 0.3),
                         (LOW - 0.4, LOW + 0.9, LOW - 0.5, LOW + 0.8)]),
        0.3, 1.0,
    ),
    (
        "bearish engulfing after a rise",
        with_last(ROSE, [(HIGH, HIGH + 0.4, HIGH - 0.1, HIGH + 0.3),
                         (HIGH + 0.4, HIGH + 0.5, HIGH - 0.9, HIGH - 0.8)]),
        -1.0, -0.3,
    ),
    (
        "bullish engulfing after a rise says nothing",
        with_last(ROSE, [(HIGH, HIGH + 0.1, HIGH - 0.4, HIGH - 0.3),
                         (HIGH - 0.4, HIGH + 0.9, HIGH - 0.5, HIGH + 0.2)]),
        -0.05, 0.35,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("market", "bars", "least", "greatest"), CANDLES, ids=[case[0] for case in CANDLES]
)
def test_patterns_count_only_in_their_place(
    market: str, bars: Columns, least: float, greatest: float
) -> None:
    assert least <= vote("candlesticks", bars) <= greatest


@pytest.mark.parametrize("name", ["trend", "momentum", "breakout", "mean_reversion"])
@pytest.mark.parametrize("seed", range(4))
def test_a_mirrored_market_gets_the_opposite_vote(name: str, seed: int) -> None:
    bars = series(seed, BARS)
    middle = 2 * float(bars.close.max())
    mirrored = replace(
        bars,
        open=middle - bars.open,
        high=middle - bars.low,
        low=middle - bars.high,
        close=middle - bars.close,
    )
    bound = strategy(name).with_params({})
    ours, theirs = bound.votes(Frame(bars)).vote, bound.votes(Frame(mirrored)).vote
    np.testing.assert_allclose(ours, -theirs, atol=1e-9)
    assert np.nanmax(np.abs(ours)) > 0.0


@pytest.mark.parametrize("name", [formula.name for formula in FORMULAS])
def test_a_market_that_stands_still_gets_no_vote(name: str) -> None:
    assert math.isnan(vote(name, flat()))


@pytest.mark.parametrize("name", [formula.name for formula in FORMULAS])
@pytest.mark.parametrize("seed", range(3))
def test_votes_stay_in_range_and_one_bar_equals_all_bars(name: str, seed: int) -> None:
    bars = series(seed, 1200)
    bound = strategy(name).with_params({})
    whole = bound.votes(Frame(bars))
    assert np.nanmax(np.abs(whole.vote)) <= 1.0
    assert np.isnan(whole.vote[0])
    for end in range(bound.history, 1200, 7):
        frame = Frame(bars.window(end - bound.history, end), 1)
        single = bound.votes(frame)
        assert single.vote == pytest.approx(whole.vote[end - 1], abs=1e-9, nan_ok=True)
        for key, figure in single.figures.items():
            expected = float(whole.figures[key][end - 1])
            assert figure == pytest.approx(expected, rel=1e-8, abs=1e-8, nan_ok=True), key


def test_no_bar_without_volume_is_confirmed_by_it() -> None:
    bars = after_calm(1.5)
    silent = replace(bars, volume=np.zeros(BARS))
    assert math.isnan(vote("breakout", silent))


def wilder_atr(bars: Columns, period: int) -> list[float]:
    """Average true range by its definition."""
    ranges = [
        max(h, before) - min(low, before)
        for h, low, before in zip(bars.high[1:], bars.low[1:], bars.close[:-1], strict=True)
    ]
    values = [math.nan] * period + [sum(ranges[:period]) / period]
    for true_range in ranges[period:]:
        values.append((values[-1] * (period - 1) + true_range) / period)
    return values


@pytest.mark.parametrize("seed", range(3))
def test_breakout_by_plain_arithmetic(seed: int) -> None:
    bars = series(seed + 50, 500)
    atr = wilder_atr(bars, 14)
    got = strategy("breakout").with_params({"channel": 20, "volume": 10}).votes(Frame(bars)).vote
    outside = 0
    for i in range(100, 500):
        top, bottom = max(bars.high[i - 20 : i]), min(bars.low[i - 20 : i])
        activity = bars.volume[i] / (sum(bars.volume[i - 9 : i + 1]) / 10)
        trust = 0.5 + 0.5 * min(1.0, max(0.0, (activity - 0.8) / 0.8))
        close, expected = bars.close[i], 0.0
        if close > top:
            expected = min(1.0, 0.5 + 0.5 * (close - top) / atr[i]) * trust
        elif close < bottom:
            expected = -min(1.0, 0.5 + 0.5 * (bottom - close) / atr[i]) * trust
        outside += expected != 0.0
        assert got[i] == pytest.approx(expected, abs=1e-9)
    assert outside > 20


def test_trend_by_plain_arithmetic() -> None:
    bars = series(7, 700)

    def ema(values: np.ndarray, period: int) -> float:
        value = float(values[:period].mean())
        for x in values[period:]:
            value += (float(x) - value) * 2 / (period + 1)
        return value

    votes = strategy("trend").with_params({"adx_low": -2.0, "adx_high": -1.0}).votes(Frame(bars))
    distance = (ema(bars.close, 12) - ema(bars.close, 36)) / wilder_atr(bars, 14)[-1]
    assert votes.vote[-1] == pytest.approx(min(1.0, max(-1.0, distance / 1.5)), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("moon", {}, "unknown strategy 'moon'; use one of trend"),
        ("trend", {"fats": 3}, "fats"),
        ("trend", {"fast": "three"}, "fast"),
        ("trend", {"fast": 0}, "fast"),
        ("trend", {"fast": 40, "slow": 20}, "below slow"),
        ("momentum", {"full_move": 0.0}, "full_move"),
        ("breakout", {"volume_low": 3.0}, "volume_low must be below"),
        ("mean_reversion", {"rsi_full": 60.0}, "rsi_full"),
        ("candlesticks", {"move_low": 2.0}, "move_low must be below"),
    ],
)
def test_wrong_parameters_are_named(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        strategy(name).with_params(params)
