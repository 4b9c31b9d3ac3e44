"""Luck in one record: how sure a result is, and what else could have happened."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shared.errors import InvalidInput
from shared.research.equity import DAYS_A_YEAR, daily_returns
from shared.research.montecarlo import (
    CostStress,
    Paths,
    block_bootstrap,
    break_even_multiple,
    cost_stress,
    resampled,
    shuffled,
    trade_returns,
)
from shared.research.result import Result
from shared.research.sharpe import deflated_sharpe, minimum_observations, probabilistic_sharpe
from shared.research.statistics import moments, sharpe
from shared.research.trials import Tried


@dataclass(frozen=True)
class Luck:
    """How much of a result luck could explain. What cannot be computed is ``None``.

    Attributes
    ----------
    shuffled, resampled, blocks : Paths or None
        Monte Carlo over trades and days.
    stress : list of CostStress
    break_even : float or None
        Multiple of fees and slippage at which nothing is left.
    probability : float or None
        Probability that the true Sharpe ratio is above zero, one trial assumed.
    deflated : float or None
        The same after all trials that were made.
    needed_days : float or None
        Days after which the measured ratio would be above zero at 95 %.
    trials : int
        Configurations tried on these symbols; 0 when unknown.
    """

    shuffled: Paths | None
    resampled: Paths | None
    blocks: Paths | None
    stress: list[CostStress]
    break_even: float | None
    probability: float | None
    deflated: float | None
    needed_days: float | None
    trials: int


def assess(
    result: Result, *, tried: Tried | None = None, paths: int = 10_000, seed: int = 7
) -> Luck:
    """Assess a result.

    Parameters
    ----------
    tried : Tried, optional
        From the ledger of trials.
    """
    days = daily_returns(result)
    ratio = sharpe(days)
    skewness, kurtosis = moments(days)
    per_day = None if ratio is None else ratio / math.sqrt(DAYS_A_YEAR)
    probability = deflated = needed = None
    if per_day is not None and skewness is not None and kurtosis is not None:
        shape = {"skewness": skewness, "kurtosis": kurtosis}
        probability = probabilistic_sharpe(per_day, len(days), **shape)
        needed = minimum_observations(per_day, **shape)
        if tried is not None and tried.trials > 1 and tried.variance is not None:
            deflated = deflated_sharpe(
                per_day, len(days), trials=tried.trials, variance=tried.variance, **shape
            )
    try:
        trades = trade_returns(result.trades, result.start_equity)
    except InvalidInput:
        trades = None
    some = trades is not None and len(trades) > 1
    return Luck(
        shuffled=shuffled(trades, paths=paths, seed=seed) if some and trades is not None else None,
        resampled=resampled(trades, paths=paths, seed=seed)
        if some and trades is not None
        else None,
        blocks=block_bootstrap(days, paths=paths, seed=seed) if len(days) > 20 else None,
        stress=cost_stress(result.trades) if len(result.trades) else [],
        break_even=break_even_multiple(result.trades) if len(result.trades) else None,
        probability=probability,
        deflated=deflated,
        needed_days=needed,
        trials=0 if tried is None else tried.trials,
    )
