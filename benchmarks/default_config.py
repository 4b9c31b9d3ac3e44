"""The search for the shipped configuration on hourly candles, step by step.

::

    python -m benchmarks.default_config families --data ../shared/market --out OUT [--only trend-1h]
    python -m benchmarks.default_config choose   --data ../shared/market --out OUT --family trend-4h
    python -m benchmarks.default_config judge    --data ../shared/market --out OUT --family trend-4h

``families`` compares a few families of strategies on a few time frames by walk-forward within the
design span. ``choose`` searches one family on the whole design span, and shows what jitter and
doubled costs leave of the choice. ``judge`` looks at the holdout, once: it refuses to do it again
for another choice. Every trial of every step goes into one ledger.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from local.cli.dates import moment
from shared.market.files import load_market
from shared.market.timeframe import DAY_MS
from shared.research.config import BacktestConfig, from_environment
from shared.research.evaluation import Job
from shared.research.market import WARMUP_BARS
from shared.research.runner import BacktestRunner
from shared.research.sealed import Market, sealed
from shared.research.search import Plan, Search, search
from shared.research.space import Space, from_mapping
from shared.research.statistics import statistics
from shared.research.trials import Ledger
from shared.research.walkforward import walk_forward
from shared.research.windows import walk_forward_windows
from shared.research.workers import Workers

SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT")
#: Design span, and the holdout of the last eighteen months.
START, HOLDOUT, END = (moment(t) for t in ("2020-09-01", "2023-12-01", "2025-06-01"))
TRAIN, TEST, PURGE, EMBARGO = 540 * DAY_MS, 90 * DAY_MS, 8 * DAY_MS, 2 * DAY_MS
WINDOW_TRIALS, CHOICE_TRIALS = 30, 200
SEED = 7

_EXITS: dict[str, Any] = {
    "MAX_HOLDING_BARS": [24, 48, 96, 192],
    "TRAIL_ATR": [0, 2, 4],
    "TRAIL_ACTIVATION": [1, 2],
    "STOP_ATR": [1.5, 2, 3],
    "REWARD_RISK": [2, 3, 5],
}
_OFF = ("trend", "momentum", "breakout", "mean_reversion", "candlesticks")


def _only(*names: str) -> dict[str, list[float]]:
    return {f"{name}.weight": [0.0] for name in _OFF if name not in names}


FAMILIES: dict[str, dict[str, Any]] = {
    "trend": {
        **_only("trend", "momentum"),
        "threshold": [0.4, 0.5, 0.6, 0.7, 0.8],
        "trend.fast": [8, 12, 24],
        "trend.slow": [36, 72, 144],
        "momentum.lookback": [12, 24, 48],
        **_EXITS,
    },
    "breakout": {
        **_only("breakout"),
        "threshold": [0.3, 0.5, 0.7],
        "breakout.channel": [24, 48, 96, 168, 240],
        "breakout.full_vote_atr": [0.5, 1.0],
        **_EXITS,
    },
    "reversion": {
        **_only("mean_reversion"),
        "threshold": [0.2, 0.4, 0.6],
        "mean_reversion.band": [20, 40, 80],
        "mean_reversion.deviations": [1.5, 2.0, 2.5],
        "mean_reversion.adx_high": [32.0, 45.0],
        **_EXITS,
    },
    "all": {"threshold": [0.3, 0.4, 0.5, 0.6], **_EXITS},
}
TIMEFRAMES = ("1h", "4h", "8h")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("families", "choose", "judge"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--family", default="")
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    {"families": _families, "choose": _choose, "judge": _judge}[options.step](options)


def _market(options: argparse.Namespace, end: int) -> Market:
    whole = load_market(options.data, SYMBOLS, START, END, warmup_bars=WARMUP_BARS)
    return sealed(whole, end)


def _config(timeframe: str, costs: str = "1") -> BacktestConfig:
    return from_environment(
        {},
        symbols=SYMBOLS,
        timeframes=(timeframe,),
        start_ms=START,
        end_ms=END,
        costs=costs_of(costs),
    )


def costs_of(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text)


def _space(family: str) -> Space:
    return from_mapping(FAMILIES[family])


def _families(options: argparse.Namespace) -> None:
    """Walk-forward of every family on every time frame, within the design span."""
    market = _market(options, HOLDOUT)
    ledger = Ledger(options.out / "trials.jsonl")
    windows = walk_forward_windows(
        START, HOLDOUT, train=TRAIN, test=TEST, purge=PURGE, embargo=EMBARGO
    )
    plan = Plan(method="bayes", objective="sharpe", trials=WINDOW_TRIALS, seed=SEED)
    for name in [f"{f}-{t}" for t in TIMEFRAMES for f in FAMILIES]:
        if options.only and name != options.only:
            continue
        family, timeframe = name.split("-")
        began = time.process_time()
        with Workers(BacktestRunner(_config(timeframe)), options.workers) as workers:
            found = walk_forward(
                workers,
                market,
                _space(family),
                plan,
                ledger,
                windows,
                timeframes=(timeframe,),
                deposit=5000.0,
                base={"family": family},
            )
        whole = statistics(found.result)
        row = {
            "family": name,
            "windows": len(found.steps),
            "sharpe": whole.sharpe,
            "return": whole.total_return,
            "drawdown": whole.max_drawdown,
            "trades": whole.trading.trades,
            "win_rate": whole.trading.win_rate,
            "net": whole.trading.net,
            "fees": whole.trading.fees,
            "slippage": whole.trading.slippage,
            "in_sample": [s.train.figures.get("sharpe") for s in found.steps if s.train],
            "out_of_sample": [s.test.sharpe for s in found.steps if s.test],
            "choices": [dict(s.choice.params) for s in found.steps if s.choice],
            "cpu": round(time.process_time() - began, 1),
        }
        with (options.out / "families.jsonl").open("a") as out:
            out.write(json.dumps(row) + "\n")
        print(name, {k: v for k, v in row.items() if k != "choices"}, flush=True)


def _choose(options: argparse.Namespace) -> None:
    """One family searched on the whole design span; jitter and doubled costs of the choice."""
    family, timeframe = options.family.split("-")
    market = _market(options, HOLDOUT)
    ledger = Ledger(options.out / "trials.jsonl")
    plan = Plan(method="bayes", objective="sharpe", trials=CHOICE_TRIALS, seed=SEED)
    with Workers(BacktestRunner(_config(timeframe)), options.workers) as workers:
        found: Search = search(
            workers,
            market,
            _space(family),
            plan,
            ledger,
            start=START,
            end=HOLDOUT,
            timeframes=(timeframe,),
            base={"family": family},
        )
        if found.choice is None:
            raise SystemExit("nothing to choose")
        params = found.choice.params
        near = _space(family).near(params, 40, seed=SEED)
        jitter = _sharpes(workers, market, near)
    with Workers(BacktestRunner(_config(timeframe, "2")), 0) as workers:
        stressed = _sharpes(workers, market, [params])
    row = {
        "family": options.family,
        "params": dict(params),
        "sharpe": found.choice.score,
        "deflated": found.deflated,
        "trials": found.tried.trials,
        "overfitting": None if found.overfitting is None else found.overfitting.probability,
        "costs_twice": stressed[0],
        "jitter": [
            float(x)
            for x in np.quantile([j for j in jitter if j is not None], (0, 0.25, 0.5, 0.75, 1))
        ],
    }
    with (options.out / "choices.jsonl").open("a") as out:
        out.write(json.dumps(row) + "\n")
    print(json.dumps(row, indent=1))


def _sharpes(workers: Workers, market: Market, sets: list[Any]) -> list[float | None]:
    workers.use(market)
    jobs = [Job(params=dict(p), start=START, end=HOLDOUT) for p in sets]
    found = {}
    for part in workers.outcomes(jobs):
        found.update(part)
    return [found[i].figures.get("sharpe") for i in range(len(jobs))]


def _judge(options: argparse.Namespace) -> None:
    raise SystemExit("written when there is something to judge")


if __name__ == "__main__":
    main()
