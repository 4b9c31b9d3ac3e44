"""What ``./run optimize`` and ``./run walkforward`` share: market, configuration, plan."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from local.cli.market_options import pairs
from local.configuration import configuration
from shared.clock import iso
from shared.errors import InvalidInput
from shared.market.files import load_market
from shared.market.timeframe import duration_ms
from shared.research.config import BacktestConfig, from_environment
from shared.research.fits import check_fit
from shared.research.market import WARMUP_BARS, what_is_missing
from shared.research.result import Result
from shared.research.runner import BacktestRunner
from shared.research.sealed import Market
from shared.research.search import Plan
from shared.research.space import Space, from_file, parse
from shared.research.trials import Ledger


@dataclass(frozen=True)
class Task:
    """A search as asked for on the command line."""

    market: Market
    config: BacktestConfig
    settings: dict[str, str]
    space: Space
    plan: Plan
    ledger: Ledger
    notes: tuple[str, ...]

    @property
    def runner(self) -> BacktestRunner:
        return BacktestRunner(self.config, self.settings)

    @property
    def base(self) -> Any:
        """What trials depend on besides market, span and parameters."""
        body = self.config.as_json()
        return [{k: v for k, v in body.items() if k not in ("start_ms", "end_ms")}, self.settings]


def task(options: argparse.Namespace) -> Task:
    """Read files and options.

    Raises
    ------
    InvalidInput, ConfigurationError, MarketDataError
        Whatever is wrong with them.
    """
    if options.end <= options.start:
        raise InvalidInput(
            f"--to {iso(options.end)} is not after --from {iso(options.start)}; swap them"
        )
    space = Space(
        [
            *(from_file(options.params).parameters if options.params else ()),
            *(parse(text) for text in options.param),
        ]
    )
    plan = Plan(
        method=options.method,
        objective=options.objective,
        trials=options.trials,
        seed=options.seed,
        minimum_trades=options.min_trades,
        choose=options.choose,
    )
    if plan.method == "grid":
        space.grid()  # too many points are refused before anything is read
    chosen = configuration(options.config)
    settings = {**chosen.rest, **pairs(options.set)}
    symbols = options.symbols or chosen.symbols
    config = from_environment(
        settings,
        symbols=symbols,
        timeframes=options.timeframes or chosen.timeframes,
        start_ms=options.start,
        end_ms=options.end,
        deposit=options.deposit,
        clear_after_ms=round(options.clear_after * 3_600_000),
    )
    # A mistake in a name is told now, not by every trial.
    check_fit(config, space, settings)
    market = load_market(options.data, symbols, options.start, options.end, warmup_bars=WARMUP_BARS)
    config = msgspec.structs.replace(
        config,
        start_ms=max(m.start_ms for m in market.values()),
        end_ms=min(m.end_ms for m in market.values()),
    )
    notes = what_is_missing(market, config.start_ms, config.end_ms)
    return Task(market, config, settings, space, plan, Ledger(options.ledger), tuple(notes))


def boundary(ms: int, config: BacktestConfig) -> int:
    """The last moment before ``ms`` at which bars of every time frame close."""
    step = max(duration_ms(t) for t in config.timeframes)
    return ms - ms % step


def noted(result: Result, notes: tuple[str, ...]) -> Result:
    """The result with further notes, each once."""
    from dataclasses import replace

    return replace(result, notes=tuple(dict.fromkeys((*notes, *result.notes))))


def now_ms() -> int:
    """For the ledger: when a trial was made; nothing is decided by it."""
    return time.time_ns() // 1_000_000


def written(out: Path) -> str:
    """What the command says at its end."""
    return f"{out / 'report.html'}, report.json"
