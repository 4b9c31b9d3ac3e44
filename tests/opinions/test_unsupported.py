"""Numbers that nobody told the model are found; those that it was given, however rounded, not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.intelligence.unsupported import unsupported

GIVEN = {
    "close": 65_012.4,
    "rsi14": 61.53,
    "return24": -0.0234,
    "equity": "1003.27",
    "positions": [{"entry": "64990.10", "ok": True, "none": None}],
    "text": "inflows of 1,234,567 USD until 2025-05-04",
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("BTC at 65,012.4, or 65012, entered at 64,990.1", []),
        ("RSI 61.5 (61.53), equity 1003.27 USDT", []),
        ("fell by 2.34 % or 2.3%, that is -0.0234", []),
        ("inflows of 1,234,567 in 2025", []),
        # Periods, counts and round words.
        ("RSI(14), EMA 50, 200 bars, 5 positions, 70 %", []),
        ("on the 1h bars, id BTCUSDT-1h-1746352800000-v1, at 10:00:00.000Z", []),
        ("resistance at 66,500 and 67000", ["66,500", "67000"]),
        ("RSI of 61.7", ["61.7"]),
        ("65,013.4", ["65,013.4"]),
        ("target 66500, 66500 again", ["66500"]),
    ],
)
def test_by_hand(text: str, found: list[str]) -> None:
    assert unsupported(text, GIVEN) == found


@given(st.text(alphabet="0123456789.,- %x", max_size=80), st.lists(st.floats(allow_nan=True)))
def test_any_text_and_any_figures(text: str, figures: list[float]) -> None:
    for one in unsupported(text, figures):
        assert one in text


@given(st.lists(st.decimals(1_000, 10**9, places=2), min_size=1, max_size=5))
def test_what_was_given_is_never_found(figures: list[object]) -> None:
    assert unsupported("; ".join(map(str, figures)), figures) == []
