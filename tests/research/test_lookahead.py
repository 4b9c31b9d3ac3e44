"""The look-ahead detector: clean on what ships, and it finds leaks planted on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from made_results import START

from shared.errors import InvalidInput
from shared.indicators.catalogue import catalogue, columns
from shared.market.candle import Columns
from shared.market.timeframe import MINUTE_MS
from shared.research.lookahead import look_ahead, look_ahead_of_voter
from shared.research.reorder import reordered
from shared.simulation.synthetic import SyntheticMarket
from shared.strategies.frame import Frame
from shared.strategies.registry import FORMULAS
from shared.strategies.strategy import Strategy, Votes

BARS = SyntheticMarket(21).columns("BTCUSDT", START, START + 1400 * MINUTE_MS)


@pytest.mark.parametrize("shipped", FORMULAS, ids=lambda strategy: strategy.name)
def test_no_shipped_strategy_knows_the_future(shipped: Strategy[Any]) -> None:
    found = look_ahead_of_voter(shipped.with_params({}), BARS, cuts=10)
    assert found.clean, found.worst()
    assert "vote" in found.figures
    assert len(found.figures) > 2
    assert len(found.cuts) >= 10


@pytest.mark.parametrize("shipped", FORMULAS, ids=lambda strategy: strategy.name)
def test_one_bar_planted_in_any_shipped_strategy_is_caught(shipped: Strategy[Any]) -> None:
    """The strategy sees candles that arrive one bar early: the classic off-by-one."""

    def early(frame: Frame, params: object) -> Votes:
        if isinstance(frame.column("close"), float):
            return shipped.evaluate(frame, params)
        c = frame.columns
        shifted = [
            np.append(getattr(c, k)[1:], getattr(c, k)[-1])
            for k in ("open", "high", "low", "close", "volume")
        ]
        return shipped.evaluate(
            Frame(Columns(c.symbol, c.timeframe, c.open_time, *shifted)), params
        )

    leaky = Strategy(shipped.name, shipped.params, shipped.history, early)
    found = look_ahead_of_voter(leaky.with_params({}), BARS, cuts=10)
    assert not found.clean
    assert {leak.how for leak in found.leaks} >= {"truncated", "shuffled"}
    assert {leak.reach for leak in found.leaks} == {1}


def _shift(k: int) -> Callable[[Columns], dict[str, np.ndarray]]:
    def feature(c: Columns) -> dict[str, np.ndarray]:
        return {"x": np.concatenate((c.close[k:], np.full(k, c.close[-1])))}

    return feature


def _centred(c: Columns) -> dict[str, np.ndarray]:
    return {"x": np.convolve(c.close, np.ones(7) / 7, mode="same")}


def _zscore(c: Columns) -> dict[str, np.ndarray]:
    return {"x": (c.close - c.close.mean()) / c.close.std()}


def _backfilled(c: Columns) -> dict[str, np.ndarray]:
    """A missing value filled from the next known one."""
    x = np.where(c.volume > np.median(c.volume[:50]), c.close, np.nan)
    for i in range(len(x) - 2, -1, -1):
        x[i] = x[i + 1] if np.isnan(x[i]) else x[i]
    return {"x": x}


def _todays_high(c: Columns) -> dict[str, np.ndarray]:
    """The high of a longer candle, known before that candle is closed."""
    group = c.open_time // (60 * 60_000)
    highs = {g: c.high[group == g].max() for g in np.unique(group)}
    return {"x": np.array([highs[g] for g in group])}


@pytest.mark.parametrize(
    ("feature", "reach"),
    [
        (_shift(1), (1, 1)),
        (_shift(5), (5, 5)),
        (_centred, (1, 3)),
        (_zscore, (900, 1400)),
        (_backfilled, (1, 60)),
        (_todays_high, (1, 59)),
    ],
    ids=[
        "one bar",
        "five bars",
        "centred window",
        "whole-sample mean",
        "back-filled",
        "open candle",
    ],
)
def test_planted_leaks(
    feature: Callable[[Columns], dict[str, np.ndarray]], reach: tuple[int, int]
) -> None:
    found = look_ahead("leaky", feature, BARS, cuts=20)
    assert not found.clean
    low, high = reach
    assert low <= found.worst()["x"].reach <= high


@pytest.mark.parametrize(
    "feature",
    [
        lambda c: {"x": c.close},
        lambda c: {"x": np.concatenate(([np.nan], np.diff(c.close)))},
        lambda c: {"x": np.cumsum(c.volume)},
        lambda c: {"x": np.maximum.accumulate(c.high), "constant": np.full(len(c), 3.0)},
        lambda c: {"x": np.full(len(c), np.nan)},
    ],
    ids=["price", "return", "running sum", "running maximum", "nothing"],
)
def test_honest_features_are_clean(feature: Callable[[Columns], dict[str, np.ndarray]]) -> None:
    assert look_ahead("honest", feature, BARS, cuts=10).clean


def test_a_leak_in_one_figure_is_named_and_the_others_are_not() -> None:
    def feature(c: Columns) -> dict[str, np.ndarray]:
        return {"honest": c.close, "leaky": _shift(2)(c)["x"]}

    found = look_ahead("two", feature, BARS, cuts=5)
    assert set(found.worst()) == {"leaky"}
    leak = found.leaks[0]
    assert leak.expected == BARS.close[leak.bar + 2]


@dataclass(frozen=True)
class Live:
    """A voter whose live decision is not that of its whole history."""

    name: str = "two-faced"
    history: int = 30

    def votes(self, frame: Frame) -> Votes:
        close = frame.column("close")
        return Votes(0.5 if isinstance(close, float) else close * 0.0 + 0.25, {})


def test_a_live_decision_that_differs_is_told() -> None:
    found = look_ahead_of_voter(Live(), BARS, cuts=4)
    assert {leak.how for leak in found.leaks} == {"live"}


def test_every_indicator_of_the_library_is_blind_to_the_future() -> None:
    leaky = []
    bars = BARS.window(0, 700)
    for name in catalogue():

        def feature(c: Columns, name: str = name) -> dict[str, np.ndarray]:
            return columns(name, c)

        if not look_ahead(name, feature, bars, warmup=550, cuts=3).clean:
            leaky.append(name)
    assert leaky == []


def test_bars_in_their_own_order_are_the_history() -> None:
    same = reordered(BARS, np.arange(1, len(BARS)))
    for name in ("open", "high", "low", "close", "volume"):
        assert getattr(same, name) == pytest.approx(getattr(BARS, name), rel=1e-9)
    mixed = reordered(BARS, np.random.default_rng(1).permutation(np.arange(1, len(BARS))))
    assert mixed.close[-1] == pytest.approx(BARS.close[-1])
    assert (mixed.high >= np.maximum(mixed.open, mixed.close)).all()
    assert (mixed.low <= np.minimum(mixed.open, mixed.close)).all()
    assert sorted(np.diff(np.log(mixed.close))) == pytest.approx(
        sorted(np.diff(np.log(BARS.close)))
    )


def test_what_cannot_be_checked_is_refused() -> None:
    with pytest.raises(InvalidInput, match="too few"):
        look_ahead("x", _shift(1), BARS.window(0, 8))
    with pytest.raises(InvalidInput, match="one value per bar"):
        look_ahead("x", lambda c: {"x": c.close[:-1]}, BARS)
    with pytest.raises(InvalidInput, match="no figure"):
        look_ahead("x", lambda c: {}, BARS)
