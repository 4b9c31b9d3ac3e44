"""A seeded synthetic market: any minute of any day in O(1), the same for ever.

Day boundaries come from value noise over several periods (slow swings, bounded, so prices stay
realistic for years); inside a day a bridge of one-minute returns joins them. Its returns have
volatility clusters, trends and oscillating ranges that last from half an hour to a few hours, so
that trend, breakout and mean-reversion strategies all find work within minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zlib import crc32

from shared.errors import InvalidInput
from shared.market.candle import Columns
from shared.market.timeframe import DAY_MS, MINUTE_MS
from shared.simulation.contracts import DEFAULT_CONTRACTS
from shared.simulation.source import FUNDING_INTERVAL_MS, Bar, Settlement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MINUTES = 1440
_MASK = (1 << 64) - 1
#: Price level in USDT, standard deviation of a minute's return, base volume per minute.
_LEVELS: dict[str, tuple[float, float, float]] = {
    "BTCUSDT": (95_000.0, 0.00055, 90.0),
    "ETHUSDT": (3_300.0, 0.00070, 1_500.0),
    "XRPUSDT": (2.20, 0.00085, 400_000.0),
    "ADAUSDT": (0.70, 0.00090, 600_000.0),
}
_DEFAULT_LEVEL = (10.0, 0.0009, 50_000.0)
#: (period in days, amplitude of log price) of the slow swings.
_SWINGS = ((1, 0.012), (4, 0.025), (17, 0.06), (71, 0.12))
#: Days kept as columns, and as bars.
_KEEP_DAYS = 64
_KEEP_BARS = 6


class SyntheticMarket:
    """Deterministic one-minute market data from a seed.

    Parameters
    ----------
    seed : int
        One seed is one history.
    symbols : sequence of str
        Symbols with a tick size in ``ticks`` or among the venue's default contracts.
    ticks : mapping of str to Decimal, optional
        Tick sizes of further symbols.

    Raises
    ------
    InvalidInput
        A symbol has no tick size.
    """

    timeframe = "1m"

    def __init__(
        self,
        seed: int = 7,
        symbols: Sequence[str] = tuple(_LEVELS),
        *,
        ticks: Mapping[str, Decimal] | None = None,
    ) -> None:
        self.seed = seed
        known = {s: c.instrument.tick_size for s, c in DEFAULT_CONTRACTS.items()} | dict(
            ticks or {}
        )
        unknown = [symbol for symbol in symbols if symbol not in known]
        if unknown:
            raise InvalidInput(
                f"no contract for {', '.join(unknown)}; there are {', '.join(known)}"
            )
        self._ticks = {symbol: known[symbol] for symbol in symbols}
        self._days: OrderedDict[tuple[str, int], NDArray[np.float64]] = OrderedDict()
        self._bars: OrderedDict[tuple[str, int], list[Bar]] = OrderedDict()

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._ticks)

    def older(self, symbol: str, timeframe: str) -> Columns | None:
        """None: base bars reach back for ever."""
        return None

    def first_time(self, symbol: str) -> int:
        return 1_577_836_800_000  # 2020-01-01: history enough for any warm-up

    def bar(self, symbol: str, open_time: int) -> Bar:
        day, rest = divmod(open_time, DAY_MS)
        key = (symbol, day)
        bars = self._bars.get(key)
        if bars is None:
            start = day * DAY_MS
            rows = self._day(symbol, day).tolist()
            bars = [
                Bar(start + i * MINUTE_MS, *values)
                for i, values in enumerate(zip(*rows, strict=True))
            ]
            self._bars[key] = bars
            if len(self._bars) > _KEEP_BARS * len(self._ticks):
                self._bars.popitem(last=False)
        return bars[rest // MINUTE_MS]

    def columns(self, symbol: str, start: int, stop: int, *, mark: bool = False) -> Columns:
        import numpy as np

        start = max(start, self.first_time(symbol))
        start = -(-start // MINUTE_MS) * MINUTE_MS
        stop = max(start, -(-stop // MINUTE_MS) * MINUTE_MS)
        first, last = start // DAY_MS, max(start, stop - 1) // DAY_MS
        days = [self._day(symbol, day) for day in range(first, last + 1)]
        rows = np.concatenate(days, axis=1) if len(days) > 1 else days[0]
        base = first * DAY_MS
        part = rows[:, (start - base) // MINUTE_MS : (stop - base) // MINUTE_MS]
        times = np.arange(start, stop, MINUTE_MS, dtype=np.int64)
        o, h, low, c = (part[5:9] if mark else part[0:4])[:]
        volume = np.zeros(len(times)) if mark else part[4]
        return Columns(symbol, "1m", times, o, h, low, c, volume)

    def next_settlement(self, symbol: str, after: int) -> Settlement:
        time = after - after % FUNDING_INTERVAL_MS + FUNDING_INTERVAL_MS
        return self._settlement(symbol, time)

    def settlements(self, symbol: str, start: int, stop: int) -> list[Settlement]:
        first = -(-start // FUNDING_INTERVAL_MS) * FUNDING_INTERVAL_MS
        return [self._settlement(symbol, time) for time in range(first, stop, FUNDING_INTERVAL_MS)]

    def _settlement(self, symbol: str, time: int) -> Settlement:
        swing = self._noise(symbol, "funding", time / (3 * DAY_MS))
        rate = min(0.00075, max(-0.0005, 0.0001 + 0.0003 * swing))
        return Settlement(time, Decimal(f"{rate:.8f}"))

    def _hash(self, symbol: str, what: str, n: int) -> float:
        """Uniform in [-1, 1), a pure function of its arguments (splitmix64)."""
        x = (self.seed * 0x9E3779B97F4A7C15 + n * 0xD1B54A32D192ED03) & _MASK
        x = (x ^ (crc32(f"{symbol}/{what}".encode()) << 17)) & _MASK
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((x ^ (x >> 31)) >> 11) / (1 << 52) - 1.0

    def _noise(self, symbol: str, what: str, at: float) -> float:
        """Smooth value noise in [-1, 1] over a lattice of whole numbers."""
        n = int(at // 1)
        f = at - n
        f = f * f * (3 - 2 * f)
        a, b = self._hash(symbol, what, n), self._hash(symbol, what, n + 1)
        return a + (b - a) * f

    def _log_open(self, symbol: str, day: int) -> float:
        import math

        level = _LEVELS.get(symbol, _DEFAULT_LEVEL)[0]
        swing = sum(
            amplitude * self._noise(symbol, f"swing{period}", day / period)
            for period, amplitude in _SWINGS
        )
        return math.log(level) + swing

    def _day(self, symbol: str, day: int) -> NDArray[np.float64]:
        """Rows open, high, low, close, volume, mark open, high, low, close of one UTC day."""
        key = (symbol, day)
        rows = self._days.get(key)
        if rows is None:
            rows = self._generate(symbol, day)
            self._days[key] = rows
            if len(self._days) > _KEEP_DAYS:
                self._days.popitem(last=False)
        return rows

    def _generate(self, symbol: str, day: int) -> NDArray[np.float64]:
        import numpy as np

        _, sigma, base_volume = _LEVELS.get(symbol, _DEFAULT_LEVEL)
        rng = np.random.Generator(
            np.random.PCG64([self.seed & 0xFFFFFFFF, crc32(symbol.encode()), day & 0xFFFFFFFF])
        )
        minutes = np.arange(_MINUTES)
        heat = _clusters(rng, self._noise(symbol, "heat", day / 3))
        # The American session is busier than the Asian night.
        heat *= 1.0 + 0.35 * np.sin((minutes / _MINUTES - 0.35) * 2 * np.pi)
        scale = sigma * heat
        moves = scale * (rng.standard_t(4, _MINUTES) / np.sqrt(2.0)) + _regimes(rng, scale)
        start, end = self._log_open(symbol, day), self._log_open(symbol, day + 1)
        walk = np.cumsum(moves)
        weight = np.cumsum(heat**2)
        weight /= weight[-1]
        close = start + walk + weight * (end - start - walk[-1])
        edges = np.concatenate(([start], close))
        o, c = np.exp(edges[:-1]), np.exp(edges[1:])
        wick = np.abs(rng.normal(0.0, 0.45, (2, _MINUTES))) * scale
        high = np.maximum(o, c) * (1 + wick[0])
        low = np.minimum(o, c) * (1 - wick[1])
        size = np.abs(np.diff(edges)) / sigma
        volume = base_volume * heat * (0.4 + size) * np.exp(rng.normal(0.0, 0.35, _MINUTES))
        tick = float(self._ticks[symbol])
        digits = max(0, -int(self._ticks[symbol].as_tuple().exponent))
        prices = [np.round(np.round(x / tick) * tick, digits) for x in (o, high, low, c)]
        # Neighbouring days agree at midnight; there the basis is zero on both sides.
        basis = 1.2e-4 * np.sin(minutes / 97.0 * np.pi) * np.sin(minutes / _MINUTES * np.pi)
        marks = [np.round(x * (1 + basis), 8) for x in prices]
        marks[1] = np.maximum(marks[1], np.maximum(marks[0], marks[3]))
        marks[2] = np.minimum(marks[2], np.minimum(marks[0], marks[3]))
        return np.vstack([*prices, np.round(volume, 3), *marks])


def _clusters(rng: Any, level: float) -> NDArray[np.float64]:
    """Volatility of each minute relative to normal: slow waves and a few bursts that decay."""
    import numpy as np

    knots = rng.normal(0.0, 0.35, 26)
    heat = np.exp(0.3 * level + np.interp(np.arange(_MINUTES), np.linspace(0, _MINUTES, 26), knots))
    for at in rng.integers(0, _MINUTES, rng.poisson(3)):
        heat[at:] += rng.uniform(0.8, 2.5) * np.exp(-np.arange(_MINUTES - at) / 25.0)
    return np.asarray(heat)


def _regimes(rng: Any, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drift per minute of alternating trends and oscillating ranges."""
    import numpy as np

    drift = np.zeros(_MINUTES)
    at = 0
    while at < _MINUTES:
        length = int(rng.integers(30, 150))
        stop = min(_MINUTES, at + length)
        n = np.arange(stop - at)
        kind = rng.random()
        if kind < 0.6:
            drift[at:stop] = rng.choice([-1.0, 1.0]) * rng.uniform(0.08, 0.35)
        else:
            period = rng.uniform(14, 45)
            drift[at:stop] = rng.uniform(0.3, 0.8) * np.cos(2 * np.pi * n / period)
        at = stop
    return drift * scale
