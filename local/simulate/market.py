"""A restless seeded market: large minutes and jumps, so that trades live for minutes."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from shared.market.candle import Columns
from shared.market.timeframe import MINUTE_MS
from shared.simulation.contracts import Contract
from shared.simulation.source import Bar, Settlement, scheduled_settlement

#: A burst: so many bars, and so many times the usual standard deviation.
BURST_BARS, BURST = 6, 20.0


class RestlessMarket:
    """One-minute bars made on demand, in order, from a seed.

    Parameters
    ----------
    seed : str
    contracts : mapping of str to Contract
    prices : mapping of str to float
        Price of each symbol at ``start_ms``.
    start_ms : int
        Open time of the first bar; before it the price stands still.
    jump : float
        Probability per bar and symbol that it opens away from the last close.
    jump_size : tuple of float
        Between which parts of the price it does.
    sigma : float
        Standard deviation of a minute's return.
    turnover : float
        USDT traded in a minute; 0 for a volume that no order notices.
    burst : float
        Probability per bar and symbol that it begins :data:`BURST_BARS` of twenty times the
        usual standard deviation.
    """

    timeframe = "1m"

    def __init__(
        self,
        seed: str,
        contracts: Mapping[str, Contract],
        prices: Mapping[str, float],
        start_ms: int,
        jump: float,
        jump_size: tuple[float, float] = (0.02, 0.09),
        sigma: float = 0.003,
        turnover: float = 0.0,
        burst: float = 0.0,
    ) -> None:
        self._start = start_ms
        self._jump, self._jump_size = jump, jump_size
        self._sigma = sigma
        self._turnover = turnover
        self._burst = burst
        self._wild: dict[str, int] = dict.fromkeys(contracts, 0)
        self._seed, self._prices = seed, prices
        self._ticks = {s: c.instrument.tick_size for s, c in contracts.items()}
        self._digits = {
            s: max(0, -int(tick.normalize().as_tuple().exponent or 0))
            for s, tick in self._ticks.items()
        }
        self._random = {s: random.Random(f"{seed}|{s}") for s in contracts}
        self._close = {s: math.log(prices[s]) for s in contracts}
        self._bars: dict[str, list[Bar]] = {s: [] for s in contracts}

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._ticks)

    def bar(self, symbol: str, open_time: int) -> Bar:
        bars = self._bars[symbol]
        index = (open_time - self._start) // MINUTE_MS
        while len(bars) <= max(0, index):
            bars.append(self._next(symbol, len(bars)))
        if index < 0:
            first = bars[0]
            return Bar(open_time, *(first.open,) * 4, 0.0, *(first.mark_open,) * 4)
        return bars[index]

    def _next(self, symbol: str, index: int) -> Bar:
        draw = self._random[symbol]
        begin = self._close[symbol]
        if draw.random() < self._jump:
            begin += draw.choice((-1, 1)) * draw.uniform(*self._jump_size)
        sigma = self._sigma * self._mood(symbol)
        end = begin + draw.gauss(0.0, sigma)
        self._close[symbol] = end
        high = max(begin, end) + abs(draw.gauss(0.0, sigma / 2))
        low = min(begin, end) - abs(draw.gauss(0.0, sigma / 2))
        o, h, low_, c = (self._price(symbol, math.exp(x)) for x in (begin, high, low, end))
        basis = 1 + draw.uniform(-1e-4, 1e-4)
        marks = (round(x * basis, 8) for x in (o, h, low_, c))
        volume = self._turnover / o if self._turnover else 1e6
        return Bar(self._start + index * MINUTE_MS, o, h, low_, c, volume, *marks)

    def _mood(self, symbol: str) -> float:
        """How wild the next bar is, in usual standard deviations."""
        if not self._burst:
            return 1.0
        if not self._wild[symbol] and self._random[symbol].random() < self._burst:
            self._wild[symbol] = BURST_BARS
        if not self._wild[symbol]:
            return 1.0
        self._wild[symbol] -= 1
        return BURST

    def closes(self, symbol: str, last: int, count: int) -> list[float]:
        """Closes of bars, the last one opening at ``last``; quiet ones from before the start."""
        index = (last - self._start) // MINUTE_MS
        known = [
            self.bar(symbol, self._start + i * MINUTE_MS).close
            for i in range(max(0, index - count + 1), index + 1)
        ]
        draw = random.Random(f"{self._seed}|{symbol}|before")
        price, before = self._prices[symbol], []
        for _ in range(count - len(known)):
            before.append(price)
            price *= math.exp(draw.gauss(0.0, self._sigma))
        return [*reversed(before), *known]

    def _price(self, symbol: str, price: float) -> float:
        tick = float(self._ticks[symbol])
        return round(max(tick, round(price / tick) * tick), self._digits[symbol])

    def columns(self, symbol: str, start: int, stop: int, *, mark: bool = False) -> Columns:
        import numpy as np

        first = -(-max(start, self._start) // MINUTE_MS) * MINUTE_MS
        bars: Sequence[Bar] = [self.bar(symbol, t) for t in range(first, stop, MINUTE_MS)]
        rows = [b[6:10] if mark else b[1:5] for b in bars]
        table = np.array(rows, dtype=np.float64).reshape(len(bars), 4)
        volume = np.array([0.0 if mark else b.volume for b in bars])
        times = np.array([b.open_time for b in bars], dtype=np.int64)
        o, h, low, c = table.T
        return Columns(symbol, "1m", times, o, h, low, c, volume)

    def next_settlement(self, symbol: str, after: int) -> Settlement:
        return scheduled_settlement(after)

    def settlements(self, symbol: str, start: int, stop: int) -> list[Settlement]:
        found, at = [], scheduled_settlement(start - 1)
        while at.time < stop:
            found.append(at)
            at = scheduled_settlement(at.time)
        return found

    def older(self, symbol: str, timeframe: str) -> Columns | None:
        return None

    def first_time(self, symbol: str) -> int:
        return self._start
