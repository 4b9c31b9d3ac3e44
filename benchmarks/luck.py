"""Monte Carlo and overfitting, beside a loop over the paths with numpy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from benchmarks.figure import Figure, Size
from shared.research.montecarlo import block_bootstrap, resampled, shuffled
from shared.research.overfitting import overfitting

PATHS: dict[Size, int] = {"full": 10_000, "quick": 2_000, "tiny": 200}
TRADES: dict[Size, int] = {"full": 1_000, "quick": 500, "tiny": 50}
TRIALS: dict[Size, int] = {"full": 100, "quick": 50, "tiny": 5}
REPEATS = 3


def timed(call: Callable[[], object]) -> float:
    """Median seconds of processor time."""
    found = []
    for _ in range(REPEATS):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return max(statistics.median(found), 1e-9)


def looped(returns: np.ndarray, paths: int) -> np.ndarray:
    """Final equity, deepest fall and lowest equity of shuffles, one path after the other."""
    rng = np.random.default_rng(7)
    found = np.empty((paths, 3))
    for i in range(paths):
        equity = np.cumprod(1.0 + rng.permutation(returns))
        peak = np.maximum.accumulate(equity)
        found[i] = equity[-1], (1.0 - equity / peak).max(), equity.min()
    return found


def measure(size: Size) -> list[Figure]:
    """Figures of this section."""
    paths, trades = PATHS[size], TRADES[size]
    returns = np.random.default_rng(7).normal(0.001, 0.01, trades)
    days = np.random.default_rng(8).normal(0.0005, 0.02, (1_000, TRIALS[size]))
    what = f"{paths:,} paths of {trades:,} trades"
    return [
        Figure(
            name=f"Monte Carlo, trades shuffled, {what}",
            value=timed(lambda: shuffled(returns, paths=paths)),
            unit="s",
            goal=1.0,
            peer="numpy, path by path",
            peer_value=timed(lambda: looped(returns, paths)),
            note="processor time; ours with quantiles and fan",
        ),
        Figure(
            name=f"Monte Carlo, trades resampled, {what}",
            value=timed(lambda: resampled(returns, paths=paths)),
            unit="s",
            goal=1.0,
        ),
        Figure(
            name=f"Monte Carlo, blocks of days, {what.replace('trades', 'days')}",
            value=timed(lambda: block_bootstrap(returns, paths=paths)),
            unit="s",
            goal=1.0,
        ),
        Figure(
            name=f"Overfitting, 12,870 halves of 1,000 days, {TRIALS[size]} trials",
            value=timed(lambda: overfitting(days)),
            unit="s",
        ),
    ]
