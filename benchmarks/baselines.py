"""What anybody could have done instead: buy and hold, four-week momentum, a 50/200 SMA cross.

Each holds a fixed notional per contract like the bot (no compounding), pays taker fee and half the
spread on every change of position, and real funding at every settlement while it is in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.market.files import SymbolMarket
from shared.market.resample import resample
from shared.market.timeframe import DAY_MS

Floats = NDArray[np.float64]

#: Taker fee, and half a spread with some slippage, as fractions of notional.
FEE, SLIPPAGE = 0.0005, 0.0001
#: Position wanted from the close of a day on (-1, 0 or 1), from daily closes until then.
Rule = Callable[[Floats, NDArray[np.int64]], Floats]


@dataclass(frozen=True)
class Baseline:
    """Profit of every day in USDT; ``time`` are the days' ends, UTC ms."""

    time: NDArray[np.int64]
    profit: Floats


def hold(close: Floats, time: NDArray[np.int64]) -> Floats:
    """Long from the first day to the last."""
    return np.ones(len(close))


def momentum(close: Floats, time: NDArray[np.int64]) -> Floats:
    """Every Monday: long when the price is higher than 28 days before, else short."""
    side = np.zeros(len(close))
    side[28:] = np.where(close[28:] > close[:-28], 1.0, -1.0)
    # Day 0 of the epoch was a Thursday; the week begins with the close of Sunday.
    decided = (time // DAY_MS + 3) % 7 == 0
    last = np.maximum.accumulate(np.where(decided, np.arange(len(close)), -1))
    return np.where(last >= 0, side[np.maximum(last, 0)], 0.0)


def sma_cross(close: Floats, time: NDArray[np.int64]) -> Floats:
    """Long while the mean of 50 days is above that of 200, else flat."""
    total = np.concatenate(([0.0], np.cumsum(close)))
    side = np.zeros(len(close))
    n = np.arange(200, len(close) + 1)
    side[199:] = ((total[n] - total[n - 50]) / 50 > (total[n] - total[n - 200]) / 200).astype(float)
    return side


RULES: dict[str, Rule] = {
    "buy and hold": hold,
    "4-week momentum": momentum,
    "50/200 SMA cross": sma_cross,
}


def baseline(
    market: dict[str, SymbolMarket], rule: Rule, start_ms: int, end_ms: int, notional: float
) -> Baseline:
    """A rule on every contract of a market.

    Parameters
    ----------
    notional : float
        USDT per contract, set anew every day.
    """
    days = np.arange(start_ms, end_ms, DAY_MS, dtype=np.int64)
    profit = np.zeros(len(days))
    for one in market.values():
        daily = resample(one.candles, "1d")
        closed = daily.open_time + DAY_MS
        wanted = rule(daily.close, closed)
        first = int(np.searchsorted(closed, start_ms, side="left"))
        last = first + len(days)
        # What was decided at the close of a day is held over the next one.
        held = wanted[first:last]
        change = daily.close[first + 1 : last + 1] / daily.close[first:last] - 1
        held = held[: len(change)]
        before = np.concatenate(([0.0], held[:-1]))
        gain = held * change - np.abs(held - before) * (FEE + SLIPPAGE)
        if one.funding is not None:
            day = (one.funding.time - start_ms - 1) // DAY_MS
            inside = (day >= 0) & (day < len(held))
            paid = np.zeros(len(held))
            np.add.at(paid, day[inside], one.funding.rate[inside])
            gain -= held * paid
        profit[: len(gain)] += notional * gain
    return Baseline(days + DAY_MS, profit)


def by_year(result: Baseline, deposit: float) -> dict[str, float]:
    """Profit of every calendar year as a fraction of the deposit."""
    years = (result.time - 1).astype("datetime64[ms]").astype("datetime64[Y]").astype(str)
    return {
        str(year): float(result.profit[years == year].sum() / deposit) for year in np.unique(years)
    }


def sharpe(result: Baseline) -> float:
    """Of daily profits; a fixed notional, so the deposit does not matter."""
    deviation = float(result.profit.std(ddof=1))
    return float(result.profit.mean()) / deviation * 365**0.5 if deviation else 0.0


def drawdown(result: Baseline, deposit: float) -> float:
    """Deepest fall of deposit and profit from their peak, as a fraction of the peak."""
    equity = deposit + np.concatenate(([0.0], np.cumsum(result.profit)))
    peak = np.maximum.accumulate(equity)
    return float(np.max(1 - equity / peak))
