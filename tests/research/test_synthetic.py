"""Synthetic markets: the same bars in another order, together for all symbols."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_runner import HOUR, market

from shared.errors import InvalidInput
from shared.market.timeframe import DAY_MS
from shared.research.synthetic import synthetic_market


def test_bars_are_those_of_the_record_and_symbols_move_together() -> None:
    both = {**market(1, 3000), **market(2, 3000, "ETHUSDT")}
    for symbol, one in both.items():
        # The volume numbers the bars; those of the second symbol begin 500 bars later.
        numbered = replace(one.candles, volume=np.arange(3000.0))
        first = 500 if symbol == "ETHUSDT" else 0
        both[symbol] = replace(one, candles=numbered.window(first, 3000))
    made = synthetic_market(both, seed=3, block_days=2.0)
    a, b = made["BTCUSDT"].candles, made["ETHUSDT"].candles
    assert len(a) == len(b) == 2500
    assert a.open_time[0] == both["ETHUSDT"].candles.open_time[0]
    assert (np.diff(a.open_time) == HOUR).all()
    assert np.array_equal(a.volume, b.volume)
    place = a.volume[1:].astype(int)
    for symbol, candles in (("BTCUSDT", a), ("ETHUSDT", b)):
        close = np.concatenate(
            (np.zeros(3000 - len(both[symbol].candles)), both[symbol].candles.close)
        )
        moves = np.log(close[place] / close[place - 1])
        assert np.diff(np.log(candles.close)) == pytest.approx(moves, abs=0.005)  # ticks
    # Blocks of 48 bars on average.
    assert 0.96 < (np.diff(place) == 1).mean() < 0.995
    assert (a.high >= np.maximum(a.open, a.close)).all()
    assert (a.low <= np.minimum(a.open, a.close)).all()
    assert made["BTCUSDT"].mark is None
    assert made["BTCUSDT"].end_ms - int(a.open_time[-1]) == HOUR


def test_prices_lie_on_ticks() -> None:
    made = synthetic_market(market(), seed=1)["BTCUSDT"].candles
    for name in ("open", "high", "low", "close"):
        ticks = getattr(made, name) / 0.1
        assert np.abs(ticks - np.round(ticks)).max() < 1e-6


def test_seeds_make_different_markets() -> None:
    first, again, other = (synthetic_market(market(), seed=s)["BTCUSDT"].candles for s in (1, 1, 2))
    assert np.array_equal(first.close, again.close)
    assert not np.array_equal(first.close, other.close)


def test_what_cannot_be_redrawn_is_refused() -> None:
    with pytest.raises(InvalidInput, match="shorter than one bar"):
        synthetic_market(market(), seed=1, block_days=0.01)
    far = market(1, 100, "ETHUSDT")["ETHUSDT"]
    shifted = replace(far.candles, open_time=far.candles.open_time + 400 * DAY_MS)
    with pytest.raises(InvalidInput, match="in common"):
        synthetic_market({**market(1, 100), "ETHUSDT": replace(far, candles=shifted)}, seed=1)
