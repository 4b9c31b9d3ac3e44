"""Features: the same in a window as in all of history, blind to the future, without units."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.intelligence import features
from shared.intelligence.features import FEATURES, GRID, LIMIT, NAMES, feature_history
from shared.market.candle import Columns
from shared.research.lookahead import look_ahead
from shared.simulation.synthetic import SyntheticMarket

HISTORY = feature_history()
START = 1_746_316_800_000
HOUR = 3_600_000
PRICES = ("open", "high", "low", "close")


def market(seed: int, bars: int, symbol: str = "BTCUSDT") -> Columns:
    found = SyntheticMarket(seed).columns(symbol, START, START + bars * 60_000)
    # Told as hours, so that the time of the week moves.
    times = START + HOUR * np.arange(len(found), dtype=np.int64)
    return replace(found, timeframe="1h", open_time=times)


BARS = market(3, 1600)


def scaled(bars: Columns, price: float = 1.0, volume: float = 1.0) -> Columns:
    return replace(
        bars,
        volume=bars.volume * volume,
        **{name: getattr(bars, name) * price for name in PRICES},
    )


@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), symbol=st.sampled_from(["BTCUSDT", "XRPUSDT"]))
def test_a_window_gives_what_all_of_history_gives(seed: int, symbol: str) -> None:
    bars = market(seed, 1400, symbol)
    whole, rows = features.values(bars), features.matrix(bars)
    for end in range(HISTORY, 1401, 67):
        live = features.values(bars.window(end - HISTORY, end))
        for name in NAMES:
            assert live[name][-1] == pytest.approx(whole[name][end - 1], abs=1e-9), name
        # After rounding to the grid not one digit is left of that.
        assert (features.window(bars.window(0, end))[0] == rows[end - 1]).all()
    many = features.window(bars, 64)
    assert many.shape == (64, len(FEATURES))
    assert (many == rows[-64:]).all()


def test_a_row_is_made_of_exactly_the_bars_it_declares() -> None:
    """One bar less and some figure is missing; what is before them is not looked at."""
    short = features.matrix(BARS.window(0, HISTORY))
    assert np.isnan(short[:-1]).all()
    assert np.isfinite(short[-1]).all()
    with pytest.raises(InvalidInput, match=f"{HISTORY - 1} bars, .* need {HISTORY}"):
        features.window(BARS.window(0, HISTORY - 1))
    with pytest.raises(InvalidInput):
        features.window(BARS.window(0, HISTORY + 62), 64)
    assert HISTORY < 500
    other = scaled(BARS, 3.0)
    joined = replace(
        BARS,
        **{
            name: np.concatenate((getattr(other, name)[:1000], getattr(BARS, name)[1000:]))
            for name in PRICES
        },
    )
    assert (features.window(joined, 16) == features.window(BARS, 16)).all()


def test_nothing_knows_the_future() -> None:
    found = look_ahead("features", features.values, BARS, warmup=HISTORY, cuts=6)
    assert found.clean, found.worst()
    assert found.figures == sorted(NAMES)
    assert found.empty == []


def test_a_feature_that_looks_one_bar_ahead_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = features.Feature(
        "ahead", "next close", lambda b: np.append(np.diff(b.column("close")), 0.0)
    )
    monkeypatch.setattr(features, "FEATURES", (*FEATURES, ahead))
    found = look_ahead("features", features.values, BARS, warmup=HISTORY, cuts=3)
    assert set(found.worst()) == {"ahead"}


@pytest.mark.parametrize("factor", [2.0**-6, 0.37, 10.0, 16.0])
def test_prices_and_volumes_have_no_unit(factor: float) -> None:
    own = features.values(BARS)
    for other in (scaled(BARS, price=factor), scaled(BARS, volume=factor)):
        for name, values in features.values(other).items():
            # Patterns are read on prices in whole units of 1e-8, which a factor may not keep.
            if name in ("reversals", "continuations") and factor == 0.37:
                continue
            np.testing.assert_allclose(
                values[HISTORY:], own[name][HISTORY:], atol=1e-9, err_msg=name
            )


def test_a_mirrored_market_turns_the_directions_and_nothing_else() -> None:
    middle = 2 * float(BARS.close.max())
    mirrored = replace(
        BARS, open=middle - BARS.open, high=middle - BARS.low, low=middle - BARS.high,
        close=middle - BARS.close,
    )  # fmt: skip
    own, other = features.values(BARS), features.values(mirrored)
    signed = [
        n for n in NAMES if n.startswith(("move_", "body", "ema_", "channel_", "directness_"))
    ]
    signed += ["place_in_bar", "macd", "slope_24", "rsi_14", "direction_14", "deviation_20"]
    signed += ["flow_20"]
    assert len(signed) > 20
    for name in signed:
        np.testing.assert_allclose(own[name][HISTORY:], -other[name][HISTORY:], atol=1e-8)
    for name in ("width_24", "width_96", "width_336", "adx_14", "atr_5_14", "volume_1_48"):
        np.testing.assert_allclose(own[name][HISTORY:], other[name][HISTORY:], atol=1e-8)
    np.testing.assert_allclose(own["upper_shadow"], other["lower_shadow"], atol=1e-8)


def still(bars: int, volume: float) -> Columns:
    times = START + HOUR * np.arange(bars, dtype=np.int64)
    flat = np.full(bars, 64_123.4)
    return Columns("BTCUSDT", "1h", times, flat, flat, flat, flat, np.full(bars, volume))


def test_a_market_that_stands_still_has_figures_and_they_are_none() -> None:
    for volume in (0.0, 7.0):
        found = features.values(still(700, volume))
        for name, values in found.items():
            assert np.isfinite(values[HISTORY:]).all(), name
            if name not in ("atr_share", "day_sin", "day_cos", "week_sin", "week_cos"):
                assert (values[HISTORY:] == 0.0).all(), name


@pytest.mark.parametrize("back", [1, 30, 200, 460, 900])
def test_a_market_that_falls_silent_is_the_same_in_the_window(back: int) -> None:
    """What is left of smoothers is never divided by nothing: window and history agree."""
    quiet = {name: getattr(BARS, name).copy() for name in (*PRICES, "volume")}
    for name in PRICES:
        quiet[name][-back:] = quiet["close"][-back - 1]
    quiet["volume"][-back:] = 0.0
    bars = replace(BARS, **quiet)
    rows = features.matrix(bars)
    assert np.isfinite(rows[HISTORY - 1 :]).all()
    assert np.abs(rows[HISTORY - 1 :]).max() <= LIMIT
    assert (features.window(bars, 20) == rows[-20:]).all()


def test_rows_are_on_the_grid() -> None:
    rows = features.matrix(BARS)[HISTORY - 1 :]
    assert rows.dtype == np.float32
    assert (rows == np.rint(rows / GRID) * GRID).all()
    exact = np.column_stack(list(features.values(BARS).values()))[HISTORY - 1 :]
    assert np.abs(rows - exact).max() <= GRID / 2


def test_by_plain_arithmetic() -> None:
    found = features.values(BARS)
    high, low, close = (getattr(BARS, n).tolist() for n in ("high", "low", "close"))
    opened, volume = BARS.open.tolist(), BARS.volume.tolist()
    atr = [math.nan] * 15
    ranges = [
        max(h, before) - min(bottom, before)
        for h, bottom, before in zip(high[1:], low[1:], close[:-1], strict=True)
    ]
    atr[14] = sum(ranges[:14]) / 14
    for true_range in ranges[14:]:
        atr.append((atr[-1] * 13 + true_range) / 14)
    for i in range(HISTORY, 1600, 101):
        top, bottom = max(high[i - 47 : i + 1]), min(low[i - 47 : i + 1])
        way = sum(abs(close[j] - close[j - 1]) for j in range(i - 23, i + 1))
        mean = sum(close[i - 19 : i + 1]) / 20
        deviation = math.sqrt(sum((c - mean) ** 2 for c in close[i - 19 : i + 1]) / 20)
        usual = sum(volume[i - 47 : i + 1]) / 48
        flow = sum(
            volume[j] * (2 * close[j] - high[j] - low[j]) / (high[j] - low[j])
            for j in range(i - 19, i + 1)
            if high[j] > low[j]
        ) / sum(volume[i - 19 : i + 1])
        expected = {
            "move_12": (close[i] - close[i - 12]) / (atr[i] * math.sqrt(12)),
            "body": (close[i] - opened[i]) / atr[i],
            "upper_shadow": (high[i] - max(opened[i], close[i])) / atr[i],
            "channel_48": 2 * (close[i] - bottom) / (top - bottom) - 1,
            "directness_24": (close[i] - close[i - 24]) / way,
            "deviation_20": (close[i] - mean) / deviation,
            "atr_share": math.log(atr[i] / close[i]),
            "atr_change": math.log(atr[i] / atr[i - 48]),
            "volume_1_48": (volume[i] - usual) / (volume[i] + usual),
            "flow_20": flow,
            "day_sin": math.sin(2 * math.pi * (i % 24) / 24),
            # The counting of milliseconds began on a Thursday, this market on a Sunday.
            "week_cos": math.cos(2 * math.pi * ((i + 72) % 168) / 168),
        }
        for name, value in expected.items():
            assert found[name][i] == pytest.approx(value, abs=1e-9), name


def test_the_set_is_named_after_what_it_gives() -> None:
    """Whoever changes a feature changes ``FEATURE_SET``; models of the old one stop serving."""
    assert features.digest() == features.FEATURE_SET
    assert len(set(NAMES)) == len(FEATURES)
