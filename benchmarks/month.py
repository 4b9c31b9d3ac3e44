"""One simulated month, two symbols, 1-minute candles, the whole application."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from benchmarks.figure import Figure, Size
from benchmarks.sampling import Sampler
from local.configuration import DEMONSTRATION, configuration
from local.replay.run import replay
from shared.errors import MarketDataError
from shared.market.timeframe import DAY_MS
from shared.research.market import from_files
from shared.simulation.source import MarketSource
from shared.simulation.synthetic import SyntheticMarket

SYMBOLS = ("BTCUSDT", "ETHUSDT")
#: 2025-05-04, where the recorded minutes begin; they cover 27.4 days.
START_MS = 1_746_316_800_000
DAYS: dict[Size, float] = {"full": 28, "quick": 2, "tiny": 0.7}
MONTH_DAYS = 30
#: Reference market data beside the checkout, used when it is there.
DATA = Path(__file__).resolve().parents[2] / "shared" / "market"
TIMEFRAMES = "5m,1h"


def market(start: int, end: int) -> tuple[MarketSource, int, int, str]:
    """Source, range and description: real candles when they are there, else the generator."""
    if DATA.is_dir():
        try:
            source, first, last, _ = from_files(DATA, SYMBOLS, start, end)
        except MarketDataError:
            pass
        else:
            return source, first, last, "recorded candles of 2025"
    return SyntheticMarket(7, SYMBOLS), start, end, "seeded generator"


def measure(size: Size) -> list[Figure]:
    """Wall and processor time of one replay, scaled to 30 days, and what dominates.

    Raises
    ------
    RuntimeError
        When the replay violated an invariant: then its speed means nothing.
    """
    logging.getLogger().addHandler(logging.NullHandler())
    source, start, end, origin = market(START_MS, START_MS + round(DAYS[size] * DAY_MS))
    began, cpu = time.perf_counter(), time.process_time()
    with Sampler() as sampler:
        summary, _ = replay(
            source,
            symbols=SYMBOLS,
            start_ms=start,
            end_ms=end,
            seed=7,
            settings={**configuration(DEMONSTRATION).rest, "TIMEFRAMES": TIMEFRAMES},
        )
    cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    if not summary.good:
        raise RuntimeError(f"the replay is not good: {summary.violations}")
    days = (end - start) / DAY_MS
    month = MONTH_DAYS / days
    traded = (
        f"{origin}, {days:.3g} days, {summary.signals} signals, {summary.trades} trades, "
        f"{sum(summary.invocations.values())} invocations"
    )
    parts = ", ".join(f"{k} {v:.0%}" for k, v in sampler.shares().items() if v >= 0.015)
    triggers = ", ".join(f"{k} {v:.0%}" for k, v in sampler.by_trigger().items() if v >= 0.015)
    return [
        Figure(
            name="one month, two symbols, 1-minute candles, whole application, wall",
            value=wall * month,
            unit="s",
            goal=60,
            note=traded,
        ),
        Figure(
            name="the same, processor time",
            value=cpu * month,
            unit="s",
            goal=60,
            note=f"by part: {parts}; inside triggers: {triggers}",
        ),
    ]
