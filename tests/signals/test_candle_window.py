"""The window of the last candles: order kept, doubles ignored, holes named."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from candle_series import MINUTE, START, candle, series
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInput, MarketDataError
from shared.market.candle import Candle
from shared.strategies.window import CandleGap, CandleWindow

BARS = series(1, 60)
CANDLES = [candle(BARS, i) for i in range(60)]


def filled(size: int, count: int) -> CandleWindow:
    window = CandleWindow("BTCUSDT", "1m", size)
    for one in CANDLES[:count]:
        assert window.append(one)
    return window


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 12),
    steps=st.lists(st.sampled_from(["next", "again", "earlier", "changed", "skip"]), max_size=70),
)
def test_any_order_of_arrival(size: int, steps: list[str]) -> None:
    window = CandleWindow("BTCUSDT", "1m", size)
    accepted: list[Candle] = []
    for step in steps:
        at = len(accepted)
        if step == "next" and at < 60:
            assert window.append(CANDLES[at]) is True
            accepted.append(CANDLES[at])
        elif step == "again" and at:
            assert window.append(CANDLES[at - 1]) is False
        elif step == "earlier" and at > size:
            with pytest.raises(MarketDataError, match="out of order"):
                window.append(CANDLES[at - 1 - size])
        elif step == "changed" and at:
            other = msgspec.structs.replace(CANDLES[at - 1], volume=CANDLES[at - 1].volume + 1)
            with pytest.raises(MarketDataError, match="is held as"):
                window.append(other)
        elif step == "skip" and 0 < at < 58:
            with pytest.raises(CandleGap) as caught:
                window.append(CANDLES[at + 2])
            missing = range(caught.value.start, caught.value.end, MINUTE)
            assert list(missing) == [CANDLES[at].open_time, CANDLES[at + 1].open_time]
        kept = accepted[-size:]
        columns = window.columns()
        assert len(window) == len(kept)
        assert columns.open_time.tolist() == [c.open_time for c in kept]
        for name in ("open", "high", "low", "close", "volume"):
            column = getattr(columns, name)
            assert column.tolist() == [getattr(c, name) for c in kept]
            assert column.flags.c_contiguous
        assert window.last_open_time == (accepted[-1].open_time if accepted else None)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20])
def test_the_last_candles_stay_through_every_turn_of_the_store(size: int) -> None:
    window = CandleWindow("BTCUSDT", "1m", size)
    for count, one in enumerate(CANDLES, start=1):
        window.append(one)
        kept = CANDLES[max(0, count - size) : count]
        assert window.columns().open_time.tolist() == [c.open_time for c in kept]
        assert window.columns().volume.tolist() == [c.volume for c in kept]


def test_columns_handed_out_do_not_change_later() -> None:
    window = filled(5, 7)
    columns = window.columns()
    before = {name: getattr(columns, name).copy() for name in ("open_time", "close", "volume")}
    for one in CANDLES[7:40]:
        window.append(one)
    for name, column in before.items():
        np.testing.assert_array_equal(getattr(columns, name), column)


BAD: list[tuple[str, dict[str, object], str]] = [
    ("other symbol", {"symbol": "ETHUSDT"}, "does not belong"),
    ("other time frame", {"timeframe": "5m"}, "does not belong"),
    ("off the grid", {"open_time": START + 5 * MINUTE + 1}, "opens then"),
    ("nan", {"close": math.nan}, "not finite"),
    ("infinite", {"high": math.inf}, "not finite"),
    ("negative price", {"low": -1.0}, "no candle can have"),
    ("zero price", {"low": 0.0}, "no candle can have"),
    ("negative volume", {"volume": -0.1}, "no candle can have"),
    ("high below close", {"high": 50.0}, "no candle can have"),
    ("low above open", {"low": 101.0, "high": 200.0}, "no candle can have"),
]


@pytest.mark.parametrize(("case", "changes", "message"), BAD, ids=[b[0] for b in BAD])
def test_impossible_candles_are_refused(
    case: str, changes: dict[str, object], message: str
) -> None:
    window = filled(10, 5)
    before = window.columns().close.tolist()
    with pytest.raises(MarketDataError, match=message):
        window.append(msgspec.structs.replace(CANDLES[5], **changes))
    assert window.columns().close.tolist() == before
    assert window.append(CANDLES[5])


def test_the_gap_says_how_many_are_missing() -> None:
    with pytest.raises(CandleGap, match=r"3 candle\(s\) missing"):
        filled(10, 5).append(CANDLES[8])


def test_a_window_holds_something() -> None:
    with pytest.raises(InvalidInput):
        CandleWindow("BTCUSDT", "1m", 0)
