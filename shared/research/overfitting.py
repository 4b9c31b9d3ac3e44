"""Probability of backtest overfitting by combinatorially symmetric cross-validation.

The days are cut into ``S`` blocks. For every choice of half of the blocks the trial that was best
there is looked up in the other half: overfitting is when the best of one half is below the median
of the other.

Source: Bailey, Borwein, Lopez de Prado and Zhu, "The Probability of Backtest Overfitting",
Journal of Computational Finance 20 (2017; first published 2015).
"""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput

Floats = NDArray[np.float64]

#: Blocks in the paper's examples: 12,870 halves.
BLOCKS = 16

#: Combinations times trials handled at once; bounds the memory.
_CHUNK = 4_000_000


class Overfitting(msgspec.Struct, frozen=True, kw_only=True):
    """What choosing the best trial was worth.

    Parameters
    ----------
    probability : float
        Share of the halves in which the chosen trial came out at or below the median of the
        other half.
    loss_probability : float
        Share in which it lost there.
    slope : float
        Of the regression of the chosen trial's Sharpe ratio in the other half on that in its own;
        negative when a better past went with a worse future.
    logits : list of float
        Quantiles 0, 5, ..., 100 % of the logit of its relative rank there; overfitting is <= 0.
    """

    probability: float
    loss_probability: float
    slope: float | None
    trials: int
    observations: int
    blocks: int
    combinations: int
    logits: list[float]


def overfitting(returns: Floats, *, blocks: int = BLOCKS) -> Overfitting:
    """Overfitting of choosing by Sharpe ratio among trials.

    Parameters
    ----------
    returns : float64 array of shape (observations, trials)
        Returns per period of every trial tried, the discarded ones above all.
    blocks : int
        Even; observations that do not fill a block are left out at the beginning.

    Raises
    ------
    InvalidInput
        For fewer than two trials, an odd number of blocks, or blocks shorter than two
        observations.
    """
    if returns.ndim != 2 or returns.shape[1] < 2:
        raise InvalidInput("overfitting is a property of a choice: give at least two trials")
    if blocks < 2 or blocks % 2:
        raise InvalidInput(f"{blocks} blocks: the number must be even")
    length = len(returns) // blocks
    if length < 2:
        raise InvalidInput(
            f"{len(returns)} observations are too few for {blocks} blocks; use fewer blocks"
        )
    if not np.isfinite(returns).all():
        raise InvalidInput("a return is not a finite number")
    trials = returns.shape[1]
    used = returns[len(returns) - length * blocks :].reshape(blocks, length, trials)
    sums, squares = used.sum(axis=1), (used**2).sum(axis=1)
    halves = np.array(list(itertools.combinations(range(blocks), blocks // 2)))
    member = np.zeros((len(halves), blocks))
    np.put_along_axis(member, halves, 1.0, axis=1)
    count = length * blocks // 2
    logits, here, there, totals = [], [], [], []
    step = max(1, _CHUNK // trials)
    for at in range(0, len(member), step):
        inside = member[at : at + step]
        own = _sharpe(inside @ sums, inside @ squares, count)
        outside = 1.0 - inside
        other_sums = outside @ sums
        other = _sharpe(other_sums, outside @ squares, count)
        best = own.argmax(axis=1)
        rows = np.arange(len(best))
        mine = other[rows, best]
        # Ties share the middle of their ranks.
        below = (other < mine[:, None]).sum(axis=1)
        equal = (other == mine[:, None]).sum(axis=1)
        relative = (below + (equal + 1) / 2) / (trials + 1)
        logits.append(np.log(relative / (1.0 - relative)))
        here.append(own[rows, best])
        there.append(mine)
        totals.append(other_sums[rows, best])
    logit, x, y = (np.concatenate(part) for part in (logits, here, there))
    spread = float(x.var())
    return Overfitting(
        probability=float((logit <= 0.0).mean()),
        loss_probability=float((np.concatenate(totals) < 0.0).mean()),
        slope=float(((x - x.mean()) * (y - y.mean())).mean()) / spread if spread > 0 else None,
        trials=trials,
        observations=length * blocks,
        blocks=blocks,
        combinations=len(halves),
        logits=[float(q) for q in np.quantile(logit, np.linspace(0.0, 1.0, 21))],
    )


def _sharpe(total: Floats, square: Floats, count: int) -> Floats:
    """Ratio per observation from sums; 0 where nothing moved."""
    mean = total / count
    variance = np.maximum(square / count - mean**2, 0.0)
    out = np.zeros_like(mean)
    np.divide(mean, np.sqrt(variance), out=out, where=variance > 1e-20)
    return out
