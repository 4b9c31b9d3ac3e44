"""Cost of indicators and signals on seeded candles, beside TA-Lib called plainly."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmarks.figure import Figure, Size
from shared.indicators.catalogue import catalogue, function, inputs_of
from shared.indicators.library import talib
from shared.indicators.streams import Panel
from shared.market.candle import Candle, Columns
from shared.strategies.config import five_strategies
from shared.strategies.ensemble import evaluate, required_history, signal_at_last
from shared.strategies.window import CandleWindow

REPEATS: dict[Size, int] = {"full": 15, "quick": 5, "tiny": 1}
MONTH_BARS: dict[Size, int] = {"full": 43_200, "quick": 10_000, "tiny": 1_500}
TICKS = 200
WINDOW = 500


def market(bars: int) -> Columns:
    """A random walk of one-minute candles."""
    random = np.random.default_rng(7)
    close = np.round(60_000 * np.exp(np.cumsum(random.normal(0, 0.0006, bars))), 1)
    opened = np.concatenate((close[:1], close[:-1]))
    reach = np.round(np.abs(random.normal(0, 20, (2, bars))), 1)
    return Columns(
        "BTCUSDT",
        "1m",
        1_746_316_800_000 + 60_000 * np.arange(bars, dtype=np.int64),
        opened,
        np.maximum(opened, close) + reach[0],
        np.minimum(opened, close) - reach[1],
        close,
        np.round(random.uniform(1, 90, bars), 3),
    )


def candles(bars: Columns, start: int, stop: int) -> list[Candle]:
    """Some of the bars as single candles."""
    return [
        Candle(
            symbol=bars.symbol,
            timeframe=bars.timeframe,
            open_time=int(bars.open_time[i]),
            open=float(bars.open[i]),
            high=float(bars.high[i]),
            low=float(bars.low[i]),
            close=float(bars.close[i]),
            volume=float(bars.volume[i]),
        )
        for i in range(start, stop)
    ]


def cost(run: Callable[[], object], repeat: int, *, per: int = 1) -> float:
    """Median processor time in microseconds, divided by ``per``."""
    run()
    taken = []
    for _ in range(repeat):
        began = time.process_time()
        run()
        taken.append((time.process_time() - began) * 1e6 / per)
    return statistics.median(taken)


def _batch(bars: Columns) -> Callable[[], object]:
    """All functions again over a window: what one does without handles."""
    window = bars.window(0, WINDOW)
    calls = [(function(n), inputs_of(s, window, None, {})) for n, s in catalogue().items()]
    return lambda: [call(*arrays) for call, arrays in calls]


def _abstract(bars: Columns) -> Callable[[], object]:
    """All functions through TA-Lib's abstract interface, which finds its inputs by name."""
    window = bars.window(0, WINDOW)
    names = ("open", "high", "low", "close", "volume")
    arrays = {name: getattr(window, name) for name in names}
    arrays["periods"] = np.full(WINDOW, 14.0)
    calls = [talib().abstract.Function(name) for name in catalogue()]
    return lambda: [call(arrays) for call in calls]


def _plain(bars: Columns, ticks: list[Candle]) -> Callable[[], object]:
    """TA-Lib's handles and nothing around them: what the panel cannot be faster than."""
    panel = Panel(bars.window(0, 2000), [(name, {}) for name in catalogue()])
    rows = [(b.open, b.high, b.low, b.close, b.volume) for b in ticks]
    calls = [
        ((*[row[i] for i in picks], *constants), updates)
        for row in rows
        for picks, constants, updates in panel._groups
    ]

    def run() -> None:
        for inputs, updates in calls:
            for update in updates:
                update(*inputs)

    return run


def measure(size: Size) -> list[Figure]:
    """Processor time, so that what else runs on the machine counts little."""
    repeat, month = REPEATS[size], MONTH_BARS[size]
    config = five_strategies(0.7)
    need = required_history(config)
    appended = 100 * (repeat + 2)
    bars = market(max(month, need + appended, 2000 + TICKS))
    panel = Panel(bars.window(0, 2000), [(name, {}) for name in catalogue()])
    ticks = candles(bars, 2000, 2000 + TICKS)
    window = CandleWindow("BTCUSDT", "1m", need)
    for candle in candles(bars, 0, need):
        window.append(candle)
    fresh = iter(candles(bars, need, need + appended))

    def advance() -> None:
        for candle in ticks:
            panel.update(candle)

    def live() -> None:
        for _ in range(100):
            window.append(next(fresh))
            signal_at_last(window.columns(), config)

    handles = cost(advance, repeat, per=TICKS)
    plain = cost(_plain(bars, ticks), repeat, per=TICKS)
    batch = cost(_batch(bars), repeat)
    return [
        Figure(
            name=f"all {len(panel)} indicators, one tick through handles",
            value=handles,
            unit="us",
            goal=100,
            peer=f"TA-Lib again over {WINDOW} bars",
            peer_value=batch,
            note=f"TA-Lib's own handles called plainly, arguments made before: {plain:.3g} us",
        ),
        Figure(
            name=f"all {len(panel)} indicators, {WINDOW} bars, plain arrays",
            value=batch,
            unit="us",
            peer="talib.abstract over a dict of arrays",
            peer_value=cost(_abstract(bars), max(1, repeat // 3)),
        ),
        Figure(
            name="one signal: candle appended, five strategies, ensemble",
            value=cost(live, repeat, per=100),
            unit="us",
            goal=1000,
            note=f"{need} bars of history",
        ),
        Figure(
            name="whole-history evaluation, per bar",
            value=cost(
                lambda: evaluate(bars.window(0, month), config), max(1, repeat // 3), per=month
            ),
            unit="us",
            note=f"{month} bars, the same functions",
        ),
    ]
