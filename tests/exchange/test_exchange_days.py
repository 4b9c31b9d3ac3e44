"""Daily candles of the venue are made once and are those of the minutes, however they are asked."""

from __future__ import annotations

from shared.market.resample import resample
from shared.market.timeframe import DAY_MS
from shared.simulation.synthetic import SyntheticMarket
from shared.simulation.venue import Venue

#: 2025-05-04
START = 1_746_316_800_000
NOW = START + 7 * 3_600_000


def test_days_are_those_of_the_minutes() -> None:
    market = SyntheticMarket(3, ("BTCUSDT",))
    venue = Venue(market, start_ms=NOW)
    first = START - 40 * DAY_MS
    for mark in (False, True):
        made = resample(market.columns("BTCUSDT", first, START, mark=mark), "1d")
        expected = list(
            zip(*(c.tolist() for c in (made.open_time, made.open, made.high)), strict=True)
        )
        # The newest first, then all, then a part again: what is known is mixed with what is not.
        for back in (3, 40, 20):
            start = START - back * DAY_MS
            rows = venue.klines("BTCUSDT", "1d", start=start, limit=500, mark=mark)
            assert [row[:3] for row in rows[:-1]] == expected[-back:]
            # The last one is still forming.
            assert rows[-1][0] == START
    assert len(venue.klines("BTCUSDT", "1d", limit=10)) == 10
