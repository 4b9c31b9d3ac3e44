"""Cost of indicators and signals, on seeded candles: ``python -m benchmarks.signals``.

Figures are processor time, so that what else runs on the machine does not count: median and best
of repeated runs. Nothing here is a test.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from shared.indicators.catalogue import catalogue, columns
from shared.indicators.streams import Panel
from shared.market.candle import Candle, Columns
from shared.strategies.config import SignalConfig
from shared.strategies.ensemble import evaluate, required_history, signal_at_last
from shared.strategies.window import CandleWindow

BARS = 50_000


def market(bars: int = BARS) -> Columns:
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


def measure(run: Callable[[], object], *, per: int = 1, repeat: int = 15) -> tuple[float, float]:
    """Median and best processor time in microseconds, divided by ``per``."""
    run()
    taken = []
    for _ in range(repeat):
        began = time.process_time()
        run()
        taken.append((time.process_time() - began) * 1e6 / per)
    return statistics.median(taken), min(taken)


def figures() -> list[tuple[str, float, float, str]]:
    """What was measured: name, median, best, goal."""
    bars = market()
    config = SignalConfig().ensemble("BTCUSDT", "1m")
    need = required_history(config)
    everything = [(name, {}) for name in catalogue()]
    panel = Panel(bars.window(0, 2000), everything)
    ticks = candles(bars, 2000, 2200)
    window = CandleWindow("BTCUSDT", "1m", need)
    for candle in candles(bars, 0, need):
        window.append(candle)
    fresh = iter(candles(bars, need, BARS))
    month = bars.window(0, 43_200)

    def advance() -> None:
        for candle in ticks:
            panel.update(candle)

    def decide() -> None:
        for start in range(0, 2000, 10):
            signal_at_last(bars.window(start, start + need), config)

    def live() -> None:
        for _ in range(100):
            window.append(next(fresh))
            signal_at_last(window.columns(), config)

    return [
        (
            f"all {len(everything)} indicators, one tick, handles [us]",
            *measure(advance, per=200),
            "<= 100",
        ),
        (
            "all indicators, 500 bars, whole columns [us]",
            *measure(lambda: [columns(name, bars.window(0, 500)) for name in catalogue()]),
            "",
        ),
        (f"one live signal, {need} bars [us]", *measure(decide, per=200), "<= 1000"),
        ("candle appended and signal decided [us]", *measure(live, per=100), ""),
        (
            "whole-history evaluation, per bar [us]",
            *measure(lambda: evaluate(month, config), per=len(month), repeat=5),
            "",
        ),
    ]


def main() -> None:
    print(f"{'figure':<52}{'median':>10}{'best':>10}   goal")
    for name, median, best, goal in figures():
        print(f"{name:<52}{median:>10.2f}{best:>10.2f}   {goal}")


if __name__ == "__main__":
    main()
