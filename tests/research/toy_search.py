"""A small search over the toy market, and a walk through it."""

from __future__ import annotations

import importlib
from pathlib import Path

import toy_runner
from toy_runner import HOUR, START, market

from shared.research.evaluation import Runner
from shared.research.search import Plan, Search, search
from shared.research.space import Space, parse
from shared.research.trials import Ledger
from shared.research.walkforward import walk_forward
from shared.research.windows import walk_forward_windows
from shared.research.workers import Workers

MARKET = market()
END = START + 4000 * HOUR
SPACE = Space([parse("length=4:40:4"), parse("scale=0.5,1.0")])


def picklable(name: str) -> Runner:
    """A runner as other processes find it: a test of the function host may have unloaded ours."""
    found: Runner = getattr(importlib.import_module("toy_runner"), name)
    return found


def find(path: Path, plan: Plan, workers: Workers | None = None, **other: object) -> Search:
    with workers or Workers(toy_runner.run) as some:
        return search(
            some,
            MARKET,
            SPACE,
            plan,
            Ledger(path),
            start=START,
            end=START + 2000 * HOUR,
            timeframes=["1h"],
            **other,  # type: ignore[arg-type]
        )


def by_hand(length: int, scale: float) -> float:
    """Total return of the toy, in a plain loop."""
    close = MARKET["BTCUSDT"].candles.close.tolist()
    equity = 1.0
    for i in range(1, 2000):
        window = close[max(0, i - length) : i]
        side = scale if close[i - 1] > sum(window) / length else -scale
        equity *= 1.0 + side * (close[i] / close[i - 1] - 1.0)
    return equity - 1.0


WINDOWS = walk_forward_windows(
    START, END, train=1200 * HOUR, test=700 * HOUR, purge=24 * HOUR, embargo=12 * HOUR
)


def forward(path: Path, runner: object = toy_runner.run, count: int = 0, **plan: object):  # type: ignore[no-untyped-def]
    with Workers(runner, count) as workers:  # type: ignore[arg-type]
        return walk_forward(
            workers,
            MARKET,
            SPACE,
            Plan(objective="return", **plan),  # type: ignore[arg-type]
            Ledger(path),
            WINDOWS,
            timeframes=["1h"],
            deposit=1000.0,
        )
