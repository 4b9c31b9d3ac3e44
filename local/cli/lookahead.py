"""``./run lookahead``: does a strategy or a feature know the future?"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from shared.errors import BorsaError, InvalidInput
from shared.market.candle import Columns
from shared.market.timeframe import DAY_MS, duration_ms
from shared.research.lookahead import LookAhead, look_ahead, look_ahead_of_voter
from shared.research.space import parse

#: End of the built-in market's candles: 2025-01-01.
BUILT_IN_END = 1_735_689_600_000

Check = Callable[[Columns], LookAhead]
T = TypeVar("T")


def run(options: argparse.Namespace) -> int:
    """0 when nothing knows the future, 1 when something does."""
    checks = list(_checks(options))
    columns = _columns(options)
    found = [check(columns) for check in checks]
    _tell(found, columns)
    return 0 if all(one.clean for one in found) else 1


def _checks(options: argparse.Namespace) -> Iterator[Check]:
    from shared.strategies.registry import available, strategy

    params = {p.name: p.values[0] for p in map(parse, options.param) if len(p.values) == 1}
    if len(params) != len(options.param):
        raise InvalidInput("--param of this command takes one value: --param fast=10")
    subject: str = options.subject
    if subject.startswith("ta:"):
        yield _indicator(subject[3:], params, options)
    elif ":" in subject:
        yield _own(subject, params, options)
    else:
        for name in available() if subject == "all" else (subject,):
            bound = strategy(name).with_params(params)
            if refused := bound.refusal(options.timeframe):
                if subject == "all":
                    continue
                raise InvalidInput("; ".join(refused))
            yield _voter(bound, options)


def _voter(voter: Any, options: argparse.Namespace) -> Check:
    return lambda columns: look_ahead_of_voter(voter, columns, cuts=options.cuts, seed=options.seed)


def _feature(name: str, feature: Callable[[Columns], Any], warmup: int, options: Any) -> Check:
    def named(columns: Columns) -> dict[str, Any]:
        found = feature(columns)
        return dict(found) if hasattr(found, "items") else {name: np.asarray(found)}

    return lambda columns: look_ahead(
        name, named, columns, warmup=warmup, cuts=options.cuts, seed=options.seed
    )


def _indicator(name: str, params: dict[str, Any], options: argparse.Namespace) -> Check:
    from shared.indicators.catalogue import columns as compute
    from shared.indicators.catalogue import lookback

    first = lookback(name, **params) + 2
    return _feature(name, lambda c: compute(name, c, **params), first, options)


def _own(subject: str, params: dict[str, Any], options: argparse.Namespace) -> Check:
    """A strategy, a voter or a function of the user's own, from the folder they are in."""
    from shared.strategies.strategy import Strategy

    module, _, name = subject.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise InvalidInput(f"{subject}: {error}") from error
    if found is None:
        raise InvalidInput(f"{subject}: there is no module {module} here or among the packages")
    loaded = _told(module, lambda: importlib.import_module(module))
    if not hasattr(loaded, name):
        raise InvalidInput(f"{subject}: module {module} has no {name}")
    thing = getattr(loaded, name)
    if isinstance(thing, Strategy):
        check = _voter(thing.with_params(params), options)
    elif hasattr(thing, "votes") and hasattr(thing, "history"):
        check = _voter(thing, options)
    elif callable(thing):
        check = _feature(name, lambda c: thing(_read_only(c), **params), 2, options)
    else:
        raise InvalidInput(f"{subject} is neither a strategy nor a function from candles to arrays")

    def checked(columns: Columns) -> LookAhead:
        found = _told(subject, lambda: check(columns))
        if found.empty == found.figures:
            raise InvalidInput(
                f"{subject} has no number on any of {len(columns)} bars, so there is nothing to "
                "judge; give more bars, or other ones"
            )
        return found

    return checked


def _told(subject: str, call: Callable[[], T]) -> T:
    """Call code of the user's own; what it dies of is told in a line, with the place."""
    try:
        return call()
    except BorsaError:
        raise
    except Exception as error:
        frames = [
            f"{Path(f.filename).name} line {f.lineno}"
            for f in traceback.extract_tb(error.__traceback__)
            if not f.filename.startswith("<")
        ]
        raise InvalidInput(
            f"{subject} raised {type(error).__name__}: {error} ({frames[-1]})"
        ) from error


def _read_only(columns: Columns) -> Columns:
    """The candles as they are: a function that writes into them would judge its own writing."""
    arrays = []
    for name in ("open_time", "open", "high", "low", "close", "volume"):
        array = getattr(columns, name).view()
        array.flags.writeable = False
        arrays.append(array)
    return Columns(columns.symbol, columns.timeframe, *arrays)


def _columns(options: argparse.Namespace) -> Columns:
    step = duration_ms(options.timeframe)
    if options.data is None:
        from shared.market.resample import resample
        from shared.simulation.synthetic import SyntheticMarket

        end = BUILT_IN_END - BUILT_IN_END % step
        start = end - options.bars * step
        base = SyntheticMarket(options.seed, (options.symbol,)).columns(options.symbol, start, end)
        return resample(base, options.timeframe)
    if options.start is None or options.end is None:
        raise InvalidInput("with --data name the range with --from and --to")
    from shared.market.files import load_market
    from shared.market.resample import resample

    market = load_market(options.data, (options.symbol,), options.start, options.end)
    return resample(market[options.symbol].candles, options.timeframe)


def _tell(found: list[LookAhead], columns: Columns) -> None:
    from rich.console import Console
    from rich.table import Table

    days = len(columns) * duration_ms(columns.timeframe) / DAY_MS
    table = Table(
        title=f"{columns.symbol} {columns.timeframe}, {len(columns)} bars, {days:.0f} days"
    )
    for name in ("subject", "figures", "cuts", "verdict"):
        table.add_column(name)
    for one in found:
        verdict = (
            "[green]blind to the future[/green]" if one.clean else "[red]KNOWS THE FUTURE[/red]"
        )
        table.add_row(one.name, ", ".join(one.figures), str(len(one.cuts)), verdict)
    console = Console()
    console.print(table)
    for one in found:
        for figure, leak in one.worst().items():
            how = {
                "truncated": "with the bars after it removed",
                "shuffled": "with the bars after it shuffled",
                "live": "decided live, from its own window",
            }[leak.how]
            console.print(
                f"{one.name}: {figure} of bar {leak.bar} is {leak.expected:g}, and {leak.found:g} "
                f"{how}; it looks at least {leak.reach} bar{'s' if leak.reach > 1 else ''} ahead",
                markup=False,
            )
