"""Options of ``./run optimize``, ``./run walkforward`` and ``./run lookahead``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from local.cli.config_option import add_config
from local.cli.data_options import Commands, amount
from local.cli.dates import count, end_moment, hours, moment, names
from local.cli.market_options import add_set
from local.configuration import SHIPPED
from shared.research.switch import CLEAR_AFTER_HOURS


def add_searches(commands: Commands[argparse.ArgumentParser], state: Path) -> None:
    """``./run optimize`` and ``./run walkforward``."""
    optimize = commands.add_parser(
        "optimize",
        help="search for parameters, judged on data that the search did not see",
        description="Runs a backtest for every point of a grid, or for points that a Bayesian "
        "sampler proposes, on the first part of the range. The best one is then run once on the "
        "rest, the holdout, and reported. Every trial is written down, so that the number of "
        "trials is known; an interrupted search goes on where it was.",
    )
    _search(optimize, state)
    optimize.add_argument(
        "--holdout",
        default="",
        metavar="90d",
        help="the end of the range that the search does not see (default: a quarter; 0d: none)",
    )
    optimize.add_argument(
        "--jitter",
        type=count,
        default=40,
        metavar="N",
        help="variations around the best parameters",
    )
    optimize.add_argument(
        "--paths", type=count, default=20, metavar="N", help="synthetic markets to run the best on"
    )
    optimize.set_defaults(module="local.cli.optimize")

    walk = commands.add_parser(
        "walkforward",
        help="search on one span, be judged on the next, step on",
        description="Steps through the range: parameters are chosen on a training span and run on "
        "the test span after it. What is reported are the test spans alone, which no search had "
        "seen; the searches run in processes that hold nothing after their training span.",
    )
    _search(walk, state)
    walk.add_argument("--train", default="365d", metavar="365d", help="span to choose on")
    walk.add_argument("--test", default="90d", metavar="90d", help="span to be judged on")
    walk.add_argument(
        "--anchored", action="store_true", help="training begins at the start every time"
    )
    walk.add_argument(
        "--purge",
        default="",
        metavar="48h",
        help="end of the training span that is left out (default: the longest holding time)",
    )
    walk.add_argument("--embargo", default="0h", metavar="24h", help="a further distance")
    walk.set_defaults(module="local.cli.walkforward")


def add_lookahead(commands: Commands[argparse.ArgumentParser]) -> None:
    """``./run lookahead``."""
    one = commands.add_parser(
        "lookahead",
        help="does a strategy or a feature know the future?",
        description="Cuts the history off, and shuffles what comes after, at many bars; whatever "
        "changes before the cut was computed from the future. Exit code 1 when something did.",
    )
    one.add_argument(
        "subject",
        metavar="STRATEGY",
        help="a strategy, 'all' of them, 'ta:RSI' for a TA-Lib function, or 'module:NAME' of your "
        "own strategy or function from candles to arrays",
    )
    one.add_argument(
        "--data", type=Path, metavar="DIR", help="candle files; else a built-in market"
    )
    one.add_argument("--symbol", default="BTCUSDT")
    one.add_argument("--timeframe", default="1h")
    one.add_argument("--from", dest="start", type=moment, metavar="DATE")
    one.add_argument("--to", dest="end", type=end_moment, metavar="DATE")
    one.add_argument("--bars", type=int, default=3000, help="of the built-in market")
    one.add_argument("--cuts", type=int, default=24, help="bars at which the future is taken away")
    one.add_argument("--seed", type=count, default=7)
    one.add_argument(
        "--param", action="append", default=[], metavar="fast=10", help="of the strategy"
    )
    one.set_defaults(module="local.cli.lookahead")


def _search(one: argparse.ArgumentParser, state: Path) -> None:
    one.add_argument("--data", type=Path, required=True, metavar="DIR", help="candle files")
    add_config(one, SHIPPED)
    one.add_argument("--symbols", type=names, default=(), metavar="A,B")
    one.add_argument("--timeframes", type=names, default=(), metavar="1h,4h")
    one.add_argument("--from", dest="start", type=moment, required=True, metavar="DATE")
    one.add_argument("--to", dest="end", type=end_moment, required=True, metavar="DATE")
    one.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=5:50:5",
        help="what to vary: trend.fast=5:50:5, threshold=0.3,0.4, RISK_PER_TRADE=0.005:0.02",
    )
    one.add_argument("--params", type=Path, metavar="FILE", help="the same as JSON or TOML")
    one.add_argument("--method", default="grid", metavar="grid|bayes")
    one.add_argument("--trials", type=int, default=100, metavar="N", help="of --method bayes")
    one.add_argument(
        "--objective",
        default="sharpe",
        metavar="NAME",
        help="sharpe, sortino, calmar, return, profit_factor or expectancy_r",
    )
    one.add_argument(
        "--choose",
        default="best",
        metavar="best|plateau",
        help="the best point, or of a grid the best neighbourhood",
    )
    one.add_argument(
        "--min-trades", type=count, default=20, metavar="N", help="trials with fewer do not count"
    )
    one.add_argument("--seed", type=count, default=7)
    one.add_argument(
        "--workers", type=int, default=min(os.cpu_count() or 1, 16), metavar="N", help="processes"
    )
    one.add_argument(
        "--clear-after",
        type=hours,
        default=CLEAR_AFTER_HOURS,
        metavar="HOURS",
        help="a person clears a latched kill switch after so long (default: %(default)s; 0: never)",
    )
    one.add_argument("--deposit", type=amount, default=amount("5000"), metavar="USDT")
    add_set(one, "an application setting")
    one.add_argument(
        "--ledger",
        type=Path,
        default=state / "trials.jsonl",
        metavar="FILE",
        help="where every trial is written down (default: %(default)s)",
    )
    one.add_argument("--out", type=Path, required=True, metavar="DIR", help="results go here")
    one.add_argument("--quiet", action="store_true", help="no progress bar")
