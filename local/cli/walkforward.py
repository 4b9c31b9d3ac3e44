"""``./run walkforward``: choose on one span, be judged on the next."""

from __future__ import annotations

import argparse
import math

from local.cli.progress import counted
from local.cli.searching import boundary, noted, now_ms, task, written
from shared.clock import iso
from shared.market.timeframe import duration_ms
from shared.research.config import BacktestConfig
from shared.research.report.assemble import HOLD, hold
from shared.research.report.extras import Extras
from shared.research.report.page import write_report
from shared.research.space import Space, params_text
from shared.research.statistics import Statistics, statistics
from shared.research.walkforward import WalkForward, walk_forward
from shared.research.windows import span, walk_forward_windows
from shared.research.workers import Workers


def run(options: argparse.Namespace) -> int:
    """0 when at least one window was traded."""
    asked = task(options)
    config = asked.config
    purge = span(options.purge) if options.purge else longest_holding(asked.space, config)
    windows = walk_forward_windows(
        config.start_ms,
        boundary(config.end_ms, config),
        train=span(options.train),
        test=span(options.test),
        anchored=options.anchored,
        purge=purge,
        embargo=span(options.embargo),
    )
    with (
        Workers(asked.runner, options.workers) as workers,
        counted("walk-forward", options.quiet) as tell,
    ):

        def told(window: int, of: int, done: int, total: int) -> None:
            tell((window - 1) * total + done, of * total, f"window {window} of {of}")

        found = walk_forward(
            workers,
            asked.market,
            asked.space,
            asked.plan,
            asked.ledger,
            windows,
            timeframes=config.timeframes,
            deposit=float(config.deposit),
            base=asked.base,
            now_ms=now_ms(),
            progress=told,
        )
    result = noted(found.result, asked.notes)
    write_report(
        result,
        Extras(
            title=f"Walk-forward, {len(windows)} windows",
            prices={s: m.candles for s, m in asked.market.items()},
            benchmarks={HOLD: hold(asked.market, result)},
            walk=found,
        ),
        options.out / "report.html",
    )
    _tell(options, found, statistics(result))
    return 0


def longest_holding(space: Space, config: BacktestConfig) -> int:
    """Milliseconds that a position of any trial may be held."""
    searched = [
        value
        for parameter in space.parameters
        if parameter.name == "MAX_HOLDING_BARS"
        for value in (parameter.values or (parameter.high,))
        if not isinstance(value, str)
    ]
    bars = max(searched) if searched else config.sizing.max_holding_bars
    return math.ceil(bars) * max(duration_ms(t) for t in config.timeframes)


def _tell(options: argparse.Namespace, found: WalkForward, whole: Statistics) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Walk-forward, out of sample")
    table.add_column("judged from", no_wrap=True)
    table.add_column("chosen", min_width=16, overflow="fold")
    for name in ("there", "judged", "Sharpe", "drawdown", "trades"):
        table.add_column(name, justify="right")
    for step in found.steps:
        inside = step.train.figures.get("return") if step.train else None
        test = step.test
        table.add_row(
            iso(step.window.test_start)[:10],
            params_text(step.choice.params) if step.choice else "nothing",
            "-" if inside is None else f"{inside:+.1%}",
            "not traded" if test is None else f"{test.total_return:+.1%}",
            "-" if test is None or test.sharpe is None else f"{test.sharpe:.2f}",
            "-" if test is None else f"{test.max_drawdown:.1%}",
            "-" if test is None else str(test.trading.trades),
        )
    table.add_section()
    table.add_row(
        whole.start[:10],
        f"all, to {whole.end[:10]}",
        "",
        f"{whole.total_return:+.1%}",
        "-" if whole.sharpe is None else f"{whole.sharpe:.2f}",
        f"{whole.max_drawdown:.1%}",
        str(whole.trading.trades),
    )
    console = Console()
    console.print(table)
    console.print(written(options.out))
