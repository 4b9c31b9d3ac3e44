"""Search for parameters: every point of a grid, or points proposed by a Bayesian sampler.

A search sees only the market it is given and writes down every trial. Its proposals follow from
its seed and the outcomes alone, whatever the number of workers, so an interrupted search goes on
by making the same proposals again and looking their outcomes up.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from shared.errors import InvalidInput
from shared.research.code import code_digest
from shared.research.evaluation import Job, Outcome, known_objective
from shared.research.overfitting import BLOCKS, Overfitting, overfitting
from shared.research.sealed import Market, market_digest, seen_until
from shared.research.sharpe import deflated_sharpe
from shared.research.space import Params, Space, Value
from shared.research.statistics import moments
from shared.research.trials import Ledger, Trial, Tried, params_key, study_id, unpacked
from shared.research.workers import Workers

METHODS = ("grid", "bayes")
CHOICES = ("best", "plateau")

#: Proposals made before their outcomes are told: keeps two or more processors busy, and being
#: fixed keeps the search the same on any number of them.
BATCH = 8

_NOTHING = Tried(trials=0, studies=0, variance=None)

Progress = Callable[[int, int, Outcome | None], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How to search.

    Parameters
    ----------
    method : str
        ``grid`` or ``bayes`` (TPE, Bergstra et al., 2011, as in Optuna).
    objective : str
        A key of :data:`shared.research.evaluation.OBJECTIVES`.
    trials : int
        Proposals of ``bayes``.
    minimum_trades : int
        Trials with fewer have no score.
    choose : str
        ``best`` score, or of a grid the ``plateau``: the point whose score and its neighbours'
        have the best mean. A neighbour is at most one step away in every parameter; one without
        a score, or outside the grid, counts as the worst there is.
    """

    method: str = "grid"
    objective: str = "sharpe"
    trials: int = 100
    seed: int = 7
    minimum_trades: int = 20
    choose: str = "best"

    def __post_init__(self) -> None:
        known_objective(self.objective)
        if self.method not in METHODS:
            raise InvalidInput(f"unknown method {self.method!r}; one of {', '.join(METHODS)}")
        if self.choose not in CHOICES:
            raise InvalidInput(f"unknown choice {self.choose!r}; one of {', '.join(CHOICES)}")
        if self.choose == "plateau" and self.method != "grid":
            raise InvalidInput("a plateau is found on a grid; use --method grid or --choose best")
        if not 1 <= self.trials <= 100_000:
            raise InvalidInput(f"{self.trials} trials; use 1 to 100,000")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters chosen by a search, and until when it had seen the market (UTC ms).

    Only what lies behind ``seen_until`` is out of sample for it.
    """

    study: str
    params: dict[str, Value]
    score: float
    seen_until: int


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A finished search.

    Parameters
    ----------
    choice : Choice or None
        ``None`` when no trial has a score.
    deflated : float or None
        Probability that the chosen one's true Sharpe ratio is above zero, after all trials ever
        made on these symbols.
    overfitting : Overfitting or None
        Of choosing the best; ``None`` with too few trials or days.
    distinct : int
        Trials that could be run and differ from each other in any day's return.
    other_code : int
        Trials of this search in the ledger that another version of the code made; not used.
    tried : Tried
        What the ledger knew when the search was over, its own trials included; nothing when luck
        was not asked for.
    """

    plan: Plan
    study: str
    start: int
    end: int
    outcomes: list[Outcome]
    choice: Choice | None
    deflated: float | None
    overfitting: Overfitting | None
    distinct: int
    other_code: int = 0
    tried: Tried

    @property
    def alike(self) -> str:
        """In words how many trials came to the result of another; empty when none did."""
        ran = sum(1 for o in self.outcomes if not o.problem and o.returns)
        if ran < 2 or self.distinct == ran:
            return ""
        if self.distinct == 1:
            return (
                f"all {ran:,} trials came to the same result: what was varied makes no difference "
                "here, so nothing was chosen and overfitting is not defined"
            )
        return (
            f"{ran - self.distinct:,} of {ran:,} trials came to the same result as another; "
            "overfitting is that of the ones that differ"
        )

    @property
    def best(self) -> Outcome | None:
        """The outcome of the choice."""
        if self.choice is None:
            return None
        key = params_key(self.choice.params)
        return next(o for o in self.outcomes if params_key(o.params) == key)


def search(
    workers: Workers,
    market: Market,
    space: Space,
    plan: Plan,
    ledger: Ledger,
    *,
    start: int,
    end: int,
    timeframes: Sequence[str],
    base: object = None,
    now_ms: int = 0,
    luck: bool = True,
    progress: Progress = lambda done, total, outcome: None,
) -> Search:
    """Find parameters on a market.

    Parameters
    ----------
    market : Market
        All that may be seen; trials run from ``start`` to ``end`` within it.
    base : object
        JSON-able: whatever else a trial depends on, to tell studies apart.
    luck : bool
        Work out the deflated ratio and overfitting; without, they are ``None``.

    Raises
    ------
    InvalidInput
        When the grid is too large, or the market does not reach to ``end``.
    """
    known = max(seen_until(market), workers.seen_until)
    last = max(one.end_ms for one in market.values())
    if not start < end <= last:
        raise InvalidInput("the span of the search is not inside the market it is given")
    study = study_id(market_digest(market), start, end, list(timeframes), base)
    fixed, code = study_id(list(timeframes), base), code_digest()
    before = ledger.of_study(study)
    workers.use(market)
    desk = _Desk(
        workers=workers,
        ledger=ledger,
        known={t.key: t for t in before if t.code == code},
        trial=lambda o: Trial(
            study=study,
            params=o.params,
            symbols=sorted(market),
            timeframes=list(timeframes),
            start=start,
            end=end,
            figures=o.figures,
            returns=o.returns,
            problem=o.problem,
            at=now_ms,
            base=fixed,
            code=code,
        ),
        job=lambda p: Job(params=dict(p), start=start, end=end),
        progress=progress,
    )
    found = _grid(desk, space) if plan.method == "grid" else _bayes(desk, space, plan)
    best = chosen(found, plan)
    tried = ledger.tried(sorted(market)) if luck else _NOTHING
    return Search(
        plan=plan,
        study=study,
        start=start,
        end=end,
        outcomes=found,
        choice=None
        if best is None
        else Choice(
            study=study,
            params=best.params,
            score=best.score(plan.objective, plan.minimum_trades) or 0.0,
            seen_until=known,
        ),
        deflated=None if best is None else _deflated(best, tried),
        overfitting=_overfitting(found) if luck else None,
        distinct=len(_records(found)),
        other_code=len({t.key for t in before if t.code != code}),
        tried=tried,
    )


def chosen(found: Sequence[Outcome], plan: Plan) -> Outcome | None:
    """The outcome to take; the first of equal ones, ``None`` when none has a score."""
    scores = [one.score(plan.objective, plan.minimum_trades) for one in found]
    ranks = _of_plateau(found, scores) if plan.choose == "plateau" else scores
    best, top = None, -np.inf
    for one, score, rank in zip(found, scores, ranks, strict=True):
        if score is not None and rank is not None and rank > top:
            best, top = one, rank
    return best


def _of_plateau(found: Sequence[Outcome], scores: Sequence[float | None]) -> list[float | None]:
    """Mean score of each point of a grid and its neighbours."""
    names = sorted({name for one in found for name in one.params})
    names = [name for name in names if len({one.params[name] for one in found}) > 1]
    known = [score for score in scores if score is not None]
    worst = min(known, default=0.0)
    steps = {
        name: {
            value: i
            for i, value in enumerate(
                sorted({one.params[name] for one in found}, key=lambda v: (isinstance(v, str), v))
            )
        }
        for name in names
    }
    places = [tuple(steps[name][one.params[name]] for name in names) for one in found]
    by_place = dict(zip(places, scores, strict=True))
    means: list[float | None] = []
    for place in places:
        around = itertools.product(*((i - 1, i, i + 1) for i in place))
        values = [by_place.get(other) for other in around]
        means.append(float(np.mean([worst if v is None else v for v in values])))
    return means


def why_none(found: Sequence[Outcome], plan: Plan) -> str:
    """What to tell when no outcome has a score."""
    problems = list(dict.fromkeys(o.problem for o in found if o.problem))
    if problems and all(o.problem for o in found):
        return f"none of {len(found):,} trials could be run: {problems[0]}"
    return (
        f"none of {len(found):,} trials had {plan.minimum_trades} trades and a {plan.objective}; "
        "widen the space, take longer spans, or lower the least number of trades"
    )


class _Desk:
    """Evaluates points: those of an earlier run of the study are looked up."""

    def __init__(
        self,
        *,
        workers: Workers,
        ledger: Ledger,
        known: dict[str, Trial],
        trial: Callable[[Outcome], Trial],
        job: Callable[[Params], Job],
        progress: Progress,
    ) -> None:
        self._workers = workers
        self._ledger = ledger
        self._known = {key: _outcome_of(t) for key, t in known.items()}
        self._trial = trial
        self._job = job
        self._progress = progress
        self.done = 0

    def evaluate(self, points: Sequence[Params], total: int) -> list[Outcome]:
        """Outcomes of points, in their order."""
        missing: dict[str, Params] = {}
        for point in points:
            key = params_key(point)
            if key not in self._known:
                missing[key] = point
        self.done += len(points) - len(missing)
        if len(missing) < len(points):
            self._progress(self.done, total, None)
        keys = list(missing)
        for some in self._workers.outcomes([self._job(missing[key]) for key in keys]):
            self._ledger.append(self._trial(outcome) for _, outcome in some)
            for place, outcome in some:
                self._known[keys[place]] = outcome
                self.done += 1
                self._progress(self.done, total, outcome)
        return [self._known[params_key(point)] for point in points]


def _grid(desk: _Desk, space: Space) -> list[Outcome]:
    points = list(space.grid())
    return desk.evaluate(points, len(points))


def _bayes(desk: _Desk, space: Space, plan: Plan) -> list[Outcome]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=plan.seed, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    domains = _domains(space)
    found: dict[str, Outcome] = {}
    for size in _batches(plan.trials):
        asked = [study.ask(domains) for _ in range(size)]
        for trial, outcome in zip(
            asked, desk.evaluate([t.params for t in asked], plan.trials), strict=True
        ):
            score = outcome.score(plan.objective, plan.minimum_trades)
            if score is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, score)
            found.setdefault(params_key(outcome.params), outcome)
    return list(found.values())


def _batches(trials: int) -> Iterator[int]:
    for at in range(0, trials, BATCH):
        yield min(BATCH, trials - at)


def _domains(space: Space) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    domains: dict[str, Any] = {}
    for p in space.parameters:
        steps = set(np.diff([v for v in p.values if not isinstance(v, str)]).tolist())
        if p.continuous:
            domains[p.name] = FloatDistribution(p.low, p.high)
        elif all(type(v) is int for v in p.values) and len(steps) == 1 and min(steps) > 0:
            low, high = int(p.values[0]), int(p.values[-1])
            domains[p.name] = IntDistribution(low, high, step=int(min(steps)))
        else:
            domains[p.name] = CategoricalDistribution(p.values)
    return domains


def _outcome_of(t: Trial) -> Outcome:
    return Outcome(params=t.params, figures=t.figures, returns=t.returns, problem=t.problem)


def _deflated(best: Outcome, tried: Tried) -> float | None:
    ratio = best.figures.get("sharpe_per_day")
    returns = unpacked(best.returns)
    if ratio is None or len(returns) < 3 or tried.variance is None:
        return None
    skewness, kurtosis = moments(returns)
    if skewness is None or kurtosis is None:
        return None
    return deflated_sharpe(
        ratio,
        len(returns),
        trials=max(1, tried.trials),
        variance=tried.variance,
        skewness=skewness,
        kurtosis=kurtosis,
    )


def _records(found: Sequence[Outcome]) -> list[str]:
    """Daily returns of the trials that could be run, equal ones once."""
    return list(dict.fromkeys(o.returns for o in found if not o.problem and o.returns))


def _overfitting(found: Sequence[Outcome]) -> Overfitting | None:
    """Of choosing among trials that differ: between equal ones nothing is chosen."""
    columns = [unpacked(returns) for returns in _records(found)]
    if len(columns) < 2:
        return None
    days = min(map(len, columns))
    blocks = min(BLOCKS, days // 10 // 2 * 2)
    if blocks < 4:
        return None
    return overfitting(np.column_stack([c[-days:] for c in columns]), blocks=blocks)
