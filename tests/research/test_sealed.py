"""The wall: a sealed market knows nothing after its end, and markets are known by their digest."""

from __future__ import annotations

import numpy as np
import pytest
from toy_runner import HOUR, START, market
from toy_search import END, MARKET

from shared.errors import InvalidInput
from shared.research.sealed import market_digest, sealed, seen_until


@pytest.mark.parametrize("hours", [1, 500, 501.5, 3999, 4000, 9000])
def test_a_sealed_market_knows_nothing_after_its_end(hours: float) -> None:
    end = START + int(hours * HOUR)
    cut = sealed(MARKET, end)["BTCUSDT"]
    assert seen_until({"BTCUSDT": cut}) <= end
    assert cut.end_ms <= end
    for columns in (cut.candles, cut.mark, *cut.longer.values()):
        assert columns is not None
        for name in ("open_time", "open", "high", "low", "close", "volume"):
            # No view: a view would lead to the whole array.
            assert getattr(columns, name).base is None
    assert cut.funding is not None
    assert cut.funding.time.base is None
    whole = MARKET["BTCUSDT"].candles
    bars = min(int(hours), 4000)
    assert np.array_equal(cut.candles.close, whole.close[:bars])
    if hours < 4000:
        assert len(cut.longer["1d"]) < 23 or hours >= 72
    with pytest.raises(InvalidInput, match="nothing is known"):
        sealed(MARKET, START)


def test_equal_markets_have_equal_digests() -> None:
    assert market_digest(MARKET) == market_digest(market())
    other = market()
    other["BTCUSDT"].candles.close[17] += 1e-9
    assert market_digest(other) != market_digest(MARKET)
    assert market_digest(sealed(MARKET, END - HOUR)) != market_digest(MARKET)
