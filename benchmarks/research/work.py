"""One piece of work in a process of its own: processor time, peak memory, and what came out.

``python -m benchmarks.research.work WHAT BARS FOLDER`` prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FAST, SLOW = 12, 26
FEE = 0.0004
#: The pairs of the sweep: 10 fast ones by 10 slow ones.
PAIRS = [(f, s) for f in range(5, 25, 2) for s in range(26, 66, 4)]
WINDOWS, SYMBOLS = 20, 10


def repeated(work: Callable[[], Any], times: int) -> tuple[list[float], Any]:
    """Processor seconds of each repetition, and the last result."""
    taken, result = [], None
    for _ in range(times):
        began = time.process_time()
        result = work()
        taken.append(time.process_time() - began)
    return taken, result


def load(folder: Path) -> Any:
    """The candles that the parent wrote, as the peers get them."""
    import numpy as np

    from shared.market.candle import Columns

    with np.load(folder / "candles.npz") as held:
        return Columns(
            "BTCUSDT",
            "1m",
            *(held[n] for n in ("open_time", "open", "high", "low", "close", "volume")),
        )


def decisions(bars: int, folder: Path) -> dict[str, Any]:
    """Signals of all strategies, the gate, every cost: a year of minutes of one symbol."""
    from shared.research.backtest import run
    from shared.research.config import BacktestConfig
    from shared.simulation.candles import CandleSource
    from shared.strategies.config import SignalConfig, five_strategies

    candles = load(folder)
    source = CandleSource({"BTCUSDT": candles})
    warm = 2_000 if bars > 4_000 else 600
    config = BacktestConfig(
        symbols=("BTCUSDT",),
        timeframes=("1m",),
        start_ms=int(candles.open_time[warm]),
        end_ms=int(candles.open_time[-1]) + 60_000,
        # A generated market agrees less with itself: enough signals to have something to do.
        signals=SignalConfig(default=five_strategies(0.3), timeframes={}),
        # An abnormal minute would end the year early.
        clear_after_ms=3_600_000,
    )
    taken, result = repeated(lambda: run(source, config), 5)
    return {
        "seconds": taken,
        "bars": len(candles) - warm,
        "trades": len(result.trades),
        "decisions": dict(result.decisions),
    }


def cross(bars: int, folder: Path) -> dict[str, Any]:
    """An EMA cross, always in the market: signals, trades and equity."""
    import numpy as np

    from shared.research.crosses import ema_cross, trade

    candles = load(folder)

    def work() -> Any:
        return trade(candles, ema_cross(candles, FAST, SLOW), fee=FEE)

    began = time.process_time()
    result = work()
    first = time.process_time()
    taken, _ = repeated(work, 15)
    t = result.trades
    step = 60_000
    np.savez(
        folder / "ours.npz",
        want=ema_cross(candles, FAST, SLOW),
        opened=(t.opened_at - candles.open_time[0]) // step,
        closed=(t.closed_at - candles.open_time[0]) // step,
        side=t.side,
        entry=t.entry_price,
        exit=t.exit_price,
        net=t.net,
        equity=result.equity,
    )
    return {
        "seconds": taken,
        "first_answer": first,
        "first_call": first - began,
        "trades": len(t),
        "final": float(result.equity[-1]),
    }


def sweep(bars: int, folder: Path) -> dict[str, Any]:
    """100 pairs on the same candles."""
    from shared.research.crosses import sweep as run

    candles = load(folder)
    run(candles, PAIRS[:1], fee=FEE)
    taken, found = repeated(lambda: run(candles, PAIRS, fee=FEE), 3)
    best = found[found["equity"].argmax()]
    return {"seconds": taken, "best": [int(best["fast"]), int(best["slow"])]}


def walk(bars: int, folder: Path) -> dict[str, Any]:
    """20 windows by 100 pairs on hourly candles of 10 symbols, judged on the span after."""
    import numpy as np

    from benchmarks.research.generated import candles as generated
    from shared.research.crosses import sweep as run

    market = [generated(f"S{k}USDT", bars, timeframe="1h", seed=100 + k) for k in range(SYMBOLS)]
    run(market[0], PAIRS[:1], fee=FEE)
    span = bars // (WINDOWS + 5)

    def work() -> float:
        out_of_sample = 0.0
        for columns in market:
            for window in range(WINDOWS):
                first = window * span
                train = run(columns, PAIRS, first=first, until=first + 5 * span, fee=FEE)
                score = train["mean"] / np.maximum(train["deviation"], 1e-12)
                chosen = PAIRS[int(score.argmax())]
                test = run(
                    columns, [chosen], first=first + 5 * span, until=first + 6 * span, fee=FEE
                )
                out_of_sample += float(test["equity"][0] - 1e8)
        return out_of_sample

    taken, result = repeated(work, 1)
    return {"seconds": taken, "out_of_sample": result}


def gated(bars: int, folder: Path) -> dict[str, Any]:
    """The same windows with everything: five strategies, the gate, one wallet, stops, all costs.

    As ``./run walkforward``, on all processors: 10 parameters of a strategy by 10 thresholds.
    """
    import os

    import msgspec

    from benchmarks.research.generated import candles as generated
    from local.configuration import DEMONSTRATION, configuration
    from shared.market.files import SymbolMarket
    from shared.market.timeframe import DAY_MS
    from shared.research.config import from_environment
    from shared.research.runner import BacktestRunner
    from shared.research.search import Plan
    from shared.research.space import Space, parse
    from shared.research.trials import Ledger
    from shared.research.walkforward import walk_forward
    from shared.research.windows import walk_forward_windows
    from shared.research.workers import Workers
    from shared.simulation.contracts import DEFAULT_CONTRACTS

    hour, warm = 3_600_000, 1_000
    whole = bars >= 8_000
    count = WINDOWS if whole else 2
    model = DEFAULT_CONTRACTS["BTCUSDT"]
    names = tuple(f"S{k}USDT" for k in range(SYMBOLS))
    listed, market = [], {}
    for k, name in enumerate(names):
        instrument = msgspec.structs.replace(model.instrument, symbol=name)
        listed.append(msgspec.structs.replace(model, instrument=instrument))
        columns = generated(name, bars + warm, timeframe="1h", seed=100 + k)
        begins, ends = (int(columns.open_time[i]) for i in (warm, -1))
        market[name] = SymbolMarket(
            symbol=name,
            candles=columns,
            start_ms=begins,
            end_ms=ends + hour,
            longer={},
            mark=None,
            funding=None,
        )
    start, end = market[names[0]].start_ms, market[names[0]].end_ms
    # Five strategies: more work for each bar than the shipped plan.
    settings = configuration(DEMONSTRATION).rest
    config = from_environment(
        settings,
        symbols=names,
        timeframes=("1h",),
        start_ms=start,
        end_ms=end,
        listed=tuple(listed),
        clear_after_ms=DAY_MS,
    )
    test = (end - start) // (count + 5) // hour * hour
    windows = walk_forward_windows(start, end, train=5 * test - DAY_MS, test=test, purge=DAY_MS)
    grid = ("trend.fast=6:24:2", "threshold=0.3:0.57:0.03")
    space = Space([parse(text) for text in (grid if whole else ("threshold=0.1,0.2",))])
    began = time.perf_counter()
    with Workers(BacktestRunner(config, settings), os.cpu_count() or 1) as workers:
        found = walk_forward(
            workers,
            market,
            space,
            Plan(minimum_trades=20 if whole else 1),
            Ledger(folder / f"trials-{os.getpid()}.jsonl"),
            windows,
            timeframes=("1h",),
            deposit=5000.0,
        )
    wall = time.perf_counter() - began
    # Of the workers too: they have ended.
    used = sum(os.times()[:4])
    return {
        "seconds": [wall],
        "processor": used,
        "windows": len(found.steps),
        "sets": found.steps[0].trials,
        "trades": len(found.result.trades),
    }


WORK = {"decisions": decisions, "cross": cross, "sweep": sweep, "walk": walk, "gated": gated}


def main(words: list[str]) -> None:
    """Do it and print what it took."""
    done = WORK[words[0]](int(words[1]), Path(words[2]))
    done["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(done))


if __name__ == "__main__":
    main(sys.argv[1:])
