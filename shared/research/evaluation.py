"""One trial: a configuration run on a market, and the figures a search can go by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import msgspec

from shared.errors import ConfigurationError, InvalidInput
from shared.research.equity import DAYS_A_YEAR, daily_returns
from shared.research.result import Result
from shared.research.sealed import Market
from shared.research.space import Value
from shared.research.statistics import statistics
from shared.research.trials import packed


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: parameters on a span, from a deposit (USDT; ``None``: the configuration's)."""

    params: dict[str, Value]
    start: int
    end: int
    deposit: float | None = None


#: Runs jobs on a market, one result a job, in their order. It raises ConfigurationError for
#: parameters that cannot be used together. Handed to other processes, hence to be picklable.
Runner = Callable[[Market, Sequence[Job]], Iterable[Result]]

#: What a search can maximise, with its meaning.
OBJECTIVES = {
    "sharpe": "Sharpe ratio of daily returns",
    "sortino": "Sortino ratio of daily returns",
    "calmar": "yearly growth over the deepest drawdown",
    "return": "total return",
    "profit_factor": "gains over losses of the trades",
    "expectancy_r": "mean R multiple of the trades",
}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial came to, small enough to be kept by the thousand."""

    params: dict[str, Value]
    figures: dict[str, float | None] = {}
    returns: str = ""
    problem: str = ""

    def score(self, objective: str, minimum_trades: int) -> float | None:
        """The figure to maximise; ``None`` when it is undefined or stands on too few trades."""
        if self.problem or (self.figures.get("trades") or 0.0) < minimum_trades:
            return None
        value = self.figures.get(objective)
        return value if value is not None and math.isfinite(value) else None


def outcome(job: Job, result: Result) -> Outcome:
    """The figures of a result."""
    days = daily_returns(result)
    whole = statistics(result)
    per_day = None if whole.sharpe is None else whole.sharpe / math.sqrt(DAYS_A_YEAR)
    return Outcome(
        params=job.params,
        figures={
            "sharpe_per_day": per_day,
            "sharpe": whole.sharpe,
            "sortino": whole.sortino,
            "calmar": whole.calmar,
            "return": whole.total_return,
            "cagr": whole.cagr,
            "drawdown": whole.max_drawdown,
            "trades": float(whole.trading.trades),
            "win_rate": whole.trading.win_rate,
            "profit_factor": whole.trading.profit_factor,
            "expectancy_r": whole.trading.expectancy_r,
            "fees": whole.trading.fees,
        },
        returns=packed(days),
    )


def outcomes(run: Runner, market: Market, jobs: Sequence[Job]) -> list[Outcome]:
    """Outcomes of jobs; parameters that cannot be used together become a problem, not an error."""
    try:
        return [outcome(j, r) for j, r in zip(jobs, run(market, jobs), strict=True)]
    except ConfigurationError as error:
        if len(jobs) > 1:
            return [o for job in jobs for o in outcomes(run, market, [job])]
        return [Outcome(params=jobs[0].params, problem="; ".join(error.problems))]


def known_objective(name: str) -> str:
    """The name, when there is such an objective."""
    if name not in OBJECTIVES:
        raise InvalidInput(f"unknown objective {name!r}; one of {', '.join(OBJECTIVES)}")
    return name
