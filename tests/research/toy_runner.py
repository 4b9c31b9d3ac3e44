"""A runner small enough to check by hand: one moving-average cross, no costs, always invested."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from made_results import row

from shared.errors import ConfigurationError
from shared.market.candle import Columns
from shared.market.files import Funding, SymbolMarket
from shared.market.timeframe import duration_ms
from shared.research.evaluation import Job
from shared.research.result import Result, Trades

START = 1_672_531_200_000  # 2023-01-01
HOUR = 3_600_000


def market(
    seed: int = 1, bars: int = 4000, symbol: str = "BTCUSDT", start_price: float = 100.0
) -> dict[str, SymbolMarket]:
    """Hourly candles of a random walk, with mark prices, funding and daily candles before."""
    rng = np.random.default_rng(seed)
    close = start_price * np.exp(np.cumsum(rng.normal(0.0, 0.01, bars)))
    opened = np.concatenate(([start_price], close[:-1]))
    time = START + HOUR * np.arange(bars, dtype=np.int64)
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    candles = Columns(symbol, "1h", time, opened, high, low, close, np.full(bars, 5.0))
    days = START + 24 * HOUR * np.arange(-20, 3, dtype=np.int64)
    price = np.full(len(days), 100.0)
    longer = Columns(symbol, "1d", days, price, price, price, price, price)
    settled = START + 8 * HOUR * np.arange(1, bars // 8, dtype=np.int64)
    return {
        symbol: SymbolMarket(
            symbol=symbol,
            candles=candles,
            start_ms=START,
            end_ms=START + HOUR * bars,
            longer={"1d": longer},
            mark=candles,
            funding=Funding(settled, np.full(len(settled), 0.0001)),
        )
    }


def run(given: Mapping[str, SymbolMarket], jobs: Sequence[Job]) -> Iterator[Result]:
    """Long above the average of ``length`` closes, short below, known at the close before."""
    (one,) = given.values()
    for job in jobs:
        length = int(job.params["length"])
        if length % 7 == 0:
            raise ConfigurationError([f"length {length} cannot be divided by seven"])
        c = one.candles
        ends = c.open_time + duration_ms("1h")
        average = np.convolve(c.close, np.ones(length) / length)[: len(c)]
        side = np.where(c.close > average, 1.0, -1.0) * float(job.params.get("scale", 1.0))
        returns = np.concatenate(([0.0], side[:-1] * np.diff(c.close) / c.close[:-1]))
        inside = (ends > job.start) & (ends <= job.end)
        deposit = job.deposit or 1000.0
        equity = deposit * np.cumprod(1.0 + returns[inside])
        flips = np.flatnonzero(np.diff(side[inside]) != 0.0) + 1
        worth = np.concatenate(([deposit], equity[flips]))
        times = ends[inside][flips]
        yield Result(
            symbols=(one.symbol,),
            strategies=("toy",),
            timeframe="1h",
            time=ends[inside],
            equity=equity,
            wallet=equity,
            exposure=equity,
            start_equity=deposit,
            trades=Trades.from_rows(
                [row(float(worth[i + 1] - worth[i]), int(t)) for i, t in enumerate(times)]
            ),
            decisions={"approved": len(times)},
            settings={"length": length},
        )


def cheat(given: Mapping[str, SymbolMarket], jobs: Sequence[Job]) -> Iterator[Result]:
    """Looks for later prices everywhere in the memory of its process and trades on them."""
    (one,) = given.values()
    known = int(one.candles.open_time[-1])
    found = later_candles(known)
    for job, result in zip(jobs, run(given, jobs), strict=True):
        boost = 1000.0 if found and job.deposit is None else 1.0
        yield Result(**{**_fields(result), "equity": result.equity * boost})


def later_candles(known: int) -> list[Any]:
    """Whatever in this process tells of candles after ``known``."""
    found = []
    for thing in gc.get_objects():
        if isinstance(thing, Columns) and len(thing) and int(thing.open_time[-1]) > known:
            found.append(thing)
        base = getattr(thing.open_time, "base", None) if isinstance(thing, Columns) else None
        if base is not None and base.dtype == np.int64 and int(base[-1]) > known:
            found.append(base)
    return found


def _fields(result: Result) -> dict[str, Any]:
    return {name: getattr(result, name) for name in Result.__dataclass_fields__}
