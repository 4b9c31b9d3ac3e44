"""Walk-forward analysis: choose on one span, be judged on the next, step on.

What is reported as out of sample is produced by :func:`judging` alone, which refuses a choice whose
search has seen anything at or after the beginning of the test span. The searches get sealed
markets: copies that end with their training span.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.clock import iso
from shared.errors import InvalidInput
from shared.research.backtest import few_trades
from shared.research.evaluation import Job, Outcome
from shared.research.result import Result, Trades
from shared.research.sealed import Market, sealed
from shared.research.search import Choice, Plan, Search, search, why_none
from shared.research.space import Space
from shared.research.statistics import Statistics, statistics
from shared.research.trials import Ledger
from shared.research.windows import Window
from shared.research.workers import Workers

#: Told the window, of how many, trials done, of how many.
Progress = Callable[[int, int, int, int], None]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One window: what was chosen, how it did where it was chosen and where it was judged.

    ``test`` is ``None`` when no trial had a score; then nothing was traded.
    """

    window: Window
    choice: Choice | None
    trials: int
    train: Outcome | None
    test: Statistics | None


@dataclass(frozen=True, eq=False)
class WalkForward:
    """A whole analysis.

    Attributes
    ----------
    steps : list of Step
    result : Result
        All test spans as one record, each beginning flat with what the one before left.
    efficiency : float or None
        Yearly growth out of sample over that in sample, means over the windows with a choice
        (Pardo, 2008); ``None`` when there was none in sample.
    """

    steps: list[Step]
    result: Result
    efficiency: float | None


def walk_forward(
    workers: Workers,
    market: Market,
    space: Space,
    plan: Plan,
    ledger: Ledger,
    windows: Sequence[Window],
    *,
    timeframes: Sequence[str],
    deposit: float,
    base: object = None,
    now_ms: int = 0,
    progress: Progress = lambda window, windows, done, total: None,
) -> WalkForward:
    """Search in every training span and run the choice in the test span after it.

    Raises
    ------
    InvalidInput
        When no window had a choice, or a test span was not out of sample.
    """
    if windows and workers.seen_until > windows[0].test_start:
        raise InvalidInput(
            f"not out of sample: a model of the configuration was trained on bars until "
            f"{iso(workers.seen_until)}, the first test begins {iso(windows[0].test_start)}; begin "
            "later, or take the model out"
        )
    steps: list[Step] = []
    parts: list[Result] = []
    equity = deposit
    last: list[Outcome] = []

    def conclude(window: Window, found: Search, verdict: Callable[[], Result] | None) -> None:
        nonlocal equity
        test = None
        if verdict is not None:
            result = verdict()
            parts.append(result)
            equity = float(result.equity[-1])
            test = statistics(result)
        steps.append(_step(window, found, test))

    # A window is judged while the next one is searched, which does not depend on it.
    waiting: tuple[Window, Search, Callable[[], Result] | None] | None = None
    for window in windows:

        def tell(done: int, total: int, _: Outcome | None, number: int = window.number) -> None:
            progress(number, len(windows), done, total)

        found = search(
            workers,
            sealed(market, window.train_end),
            space,
            plan,
            ledger,
            start=window.train_start,
            end=window.train_end,
            timeframes=timeframes,
            base=base,
            now_ms=now_ms,
            luck=False,
            progress=tell,
        )
        last = found.outcomes
        if waiting is not None:
            conclude(*waiting)
        verdict = None
        if found.choice is not None and equity > 0.0:
            verdict = judging(
                workers,
                market,
                found.choice,
                start=window.test_start,
                end=window.test_end,
                deposit=equity,
            )
        waiting = (window, found, verdict)
    if waiting is not None:
        conclude(*waiting)
    if not parts:
        raise InvalidInput(f"no window had a choice: {why_none(last, plan)}")
    whole = joined(parts, windows[0].test_start, windows[-1].test_end)
    return WalkForward(steps, whole, _efficiency(steps))


def judge(
    workers: Workers, market: Market, choice: Choice, *, start: int, end: int, deposit: float
) -> Result:
    """Run a choice on a span that its search has not seen.

    Raises
    ------
    InvalidInput
        When the search had seen any of it.
    """
    return judging(workers, market, choice, start=start, end=end, deposit=deposit)()


def judging(
    workers: Workers, market: Market, choice: Choice, *, start: int, end: int, deposit: float
) -> Callable[[], Result]:
    """Begin what :func:`judge` does; the answer waits for its end.

    Raises
    ------
    InvalidInput
        When the search had seen any of it.
    """
    if choice.seen_until > start:
        raise InvalidInput(
            f"not out of sample: the search, or a model in it, had seen the market until "
            f"{iso(choice.seen_until)}, the test begins {iso(start)}"
        )
    workers.use(sealed(market, end))
    begun = workers.begin(Job(params=choice.params, start=start, end=end, deposit=deposit))

    def verdict() -> Result:
        result = begun()
        settings = {**result.settings, "chosen": choice.params, "seen_until": choice.seen_until}
        return replace(result, settings=settings)

    return verdict


def joined(parts: Sequence[Result], start: int, end: int) -> Result:
    """Results that follow each other in time as one, from ``start`` to ``end`` (UTC ms).

    Where there is none the equity stays as it was.

    Raises
    ------
    InvalidInput
        When they overlap or are not of the same symbols and strategies.
    """
    first = parts[0]
    for before, after in itertools.pairwise(parts):
        if before.symbols != after.symbols or before.strategies != after.strategies:
            raise InvalidInput("results of different symbols or strategies cannot be joined")
        if before.time[-1] >= after.time[0]:
            raise InvalidInput("the results overlap in time")
    step = int(np.min(np.diff(first.time))) if len(first.time) > 1 else end - start
    time = np.arange(start + step, end + 1, step, dtype=np.int64)
    known = np.concatenate([part.time for part in parts])
    last = np.searchsorted(known, time, side="right") - 1
    sampled = (last >= 0) & (known[np.maximum(last, 0)] == time)

    def held(name: str) -> NDArray[np.float64]:
        values = np.concatenate([getattr(part, name) for part in parts])
        return np.where(last < 0, first.start_equity, values[np.maximum(last, 0)])

    columns: Mapping[str, Any] = {
        name: np.concatenate([getattr(part.trades, name) for part in parts])
        for name in Trades.__dataclass_fields__
    }
    decisions: Counter[str] = Counter()
    for part in parts:
        decisions.update(part.decisions)
    return replace(
        first,
        time=time,
        equity=held("equity"),
        wallet=held("wallet"),
        exposure=np.where(sampled, held("exposure"), 0.0),
        trades=Trades(**columns),
        decisions=dict(decisions),
        notes=tuple(
            dict.fromkeys(
                note
                for part in parts
                for note in part.notes
                if note != few_trades(len(part.trades))  # of a part, not of the whole
            )
        ),
        settings={"windows": [dict(part.settings) for part in parts]},
    )


def _step(window: Window, found: Search, test: Statistics | None) -> Step:
    return Step(
        window=window,
        choice=found.choice,
        trials=len(found.outcomes),
        train=None if found.best is None else msgspec.structs.replace(found.best, returns=""),
        test=test,
    )


def _efficiency(steps: Sequence[Step]) -> float | None:
    pairs = [
        (s.train.figures.get("cagr"), s.test.cagr)
        for s in steps
        if s.train is not None and s.test is not None
    ]
    inside = [a for a, b in pairs if a is not None and b is not None]
    outside = [b for a, b in pairs if a is not None and b is not None]
    if not inside or sum(inside) <= 0.0:
        return None
    return sum(outside) / sum(inside)
