"""``./run optimize``: parameters from the first part of a range, judged on the rest."""

from __future__ import annotations

import argparse

import msgspec

from local.cli.progress import counted
from local.cli.searching import Task, boundary, noted, now_ms, task, written
from local.cli.tables import two_columns
from shared.clock import iso
from shared.errors import InvalidInput
from shared.research.evaluation import Job, Outcome
from shared.research.report.assemble import HOLD, hold, jitter, variations
from shared.research.report.extras import Extras
from shared.research.report.page import write_report
from shared.research.result import Result
from shared.research.runner import with_params
from shared.research.sealed import Market, sealed
from shared.research.search import Choice, Search, search, why_none
from shared.research.space import params_text
from shared.research.statistics import statistics
from shared.research.synthetic import on_synthetic_markets
from shared.research.walkforward import judge
from shared.research.windows import span
from shared.research.workers import Workers

#: How far parameters are moved around the chosen ones.
WIDTH = 0.1


def run(options: argparse.Namespace) -> int:
    """0 when a configuration was found."""
    asked = task(options)
    config = asked.config
    whole = config.end_ms - config.start_ms
    held = span(options.holdout) if options.holdout else whole // 4
    split = boundary(config.end_ms - held, config) if held else config.end_ms
    if not config.start_ms < split:
        raise InvalidInput(f"--holdout {options.holdout} leaves nothing to search in")
    if held and asked.runner.seen_until > split:
        raise InvalidInput(
            f"a model of the configuration was trained on bars until "
            f"{iso(asked.runner.seen_until)}, the holdout begins {iso(split)} and would not be "
            "unseen; choose a later range, --holdout 0, or take the model out"
        )
    seen = sealed(asked.market, split)
    with Workers(asked.runner, options.workers) as workers:
        with counted("trials", options.quiet) as tell:

            def told(done: int, total: int, one: Outcome | None) -> None:
                tell(done, total, "" if one is None else params_text(one.params))

            found = search(
                workers,
                seen,
                asked.space,
                asked.plan,
                asked.ledger,
                start=config.start_ms,
                end=split,
                timeframes=config.timeframes,
                base=asked.base,
                now_ms=now_ms(),
                progress=told,
            )
        if found.choice is None:
            raise InvalidInput(why_none(found.outcomes, asked.plan))
        result, market, start = _reported(workers, asked, found, found.choice, seen, split)
    _report(options, asked, found, found.choice, result, market, start, split)
    _tell(options, asked, found, found.choice, result, split)
    return 0


def _reported(
    workers: Workers, asked: Task, found: Search, choice: Choice, seen: Market, split: int
) -> tuple[Result, Market, int]:
    """The holdout, or without one the span of the search itself, which is said."""
    config, deposit = asked.config, float(asked.config.deposit)
    if split < config.end_ms:
        result = judge(
            workers, asked.market, choice, start=split, end=config.end_ms, deposit=deposit
        )
        return noted(result, asked.notes), asked.market, split
    workers.use(seen)
    result = workers.result(Job(params=choice.params, start=config.start_ms, end=split))
    return noted(result, asked.notes), seen, config.start_ms


def _report(
    options: argparse.Namespace,
    asked: Task,
    found: Search,
    choice: Choice,
    result: Result,
    market: Market,
    start: int,
    split: int,
) -> None:
    chosen = msgspec.structs.replace(
        with_params(asked.config, choice.params, asked.settings),
        start_ms=start,
        end_ms=int(result.time[-1]),
    )
    points = asked.space.near(choice.params, max(0, options.jitter), width=WIDTH, seed=options.seed)
    judged = "holdout, unseen by the search" if split < asked.config.end_ms else "IN SAMPLE"
    extras = Extras(
        title=f"Best of {len(found.outcomes):,} trials ({judged})",
        prices={s: m.candles for s, m in market.items()},
        benchmarks={HOLD: hold(market, result)},
        variations=variations(market, chosen),
        jitter=jitter(market, chosen, asked.settings, points, width=WIDTH) if points else None,
        redrawn=on_synthetic_markets(market, chosen, options.paths, seed=options.seed)
        if options.paths > 0
        else None,
        search=found,
        unseen=split < asked.config.end_ms,
    )
    write_report(result, extras, options.out / "report.html")


def _tell(
    options: argparse.Namespace,
    asked: Task,
    found: Search,
    choice: Choice,
    result: Result,
    split: int,
) -> None:
    from rich.console import Console

    whole = statistics(result)
    best = found.best
    console = Console()
    rows = [
        ("trials", f"{len(found.outcomes):,}; {found.tried.trials:,} on these symbols so far"),
        ("searched", f"{iso(found.start)[:10]} to {iso(found.end)[:10]}"),
        ("chosen", params_text(choice.params)),
        (asked.plan.objective, f"{choice.score:.3f} where it was chosen"),
        ("return there", _percent(best.figures.get("return") if best else None)),
        (
            "holdout" if split < asked.config.end_ms else "in sample",
            f"{whole.start[:10]} to {whole.end[:10]}: {_percent(whole.total_return)}, Sharpe "
            f"{'-' if whole.sharpe is None else format(whole.sharpe, '.2f')}, drawdown "
            f"{whole.max_drawdown:.1%}, {whole.trading.trades} trades",
        ),
        ("deflated Sharpe", _percent(found.deflated, sign=False)),
        (
            "overfitting",
            _percent(
                None if found.overfitting is None else found.overfitting.probability, sign=False
            ),
        ),
    ]
    console.print(two_columns("Search", rows))
    notes = [*asked.notes, *([found.alike] if found.alike else [])]
    unusable = [o.problem for o in found.outcomes if o.problem]
    if unusable:
        notes.append(f"{len(unusable):,} trials could not be run, the first: {unusable[0]}")
    if found.other_code:
        notes.append(
            f"{found.other_code:,} trials of this search in the ledger were made by another "
            "version of the code; they were made again"
        )
    for note in notes:
        console.print(f"note: {note}", markup=False)
    console.print(written(options.out))


def _percent(value: float | None, *, sign: bool = True) -> str:
    return "-" if value is None else format(value, "+.1%" if sign else ".1%")
