"""The same figures per symbol, strategy, side and way out, and per month and year."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.research.equity import by_calendar, calendar, curve
from shared.research.result import EXIT_REASONS, Result
from shared.research.statistics import TradeStatistics, trade_statistics


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Trades that have something in common. ``share`` is of the net result of all trades."""

    name: str
    statistics: TradeStatistics
    share: float | None


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """One calendar month or year (UTC).

    ``change`` is that of equity as a fraction, open positions included; ``drawdown`` the deepest
    fall from the highest equity within the period; ``trades``, ``won`` and ``net`` of the trades
    that closed in it.
    """

    name: str
    change: float
    drawdown: float
    trades: int
    won: int
    net: float


class Breakdown(msgspec.Struct, frozen=True, kw_only=True):
    """All groups and periods of a result; groups without a trade are left out."""

    symbols: list[Group]
    strategies: list[Group]
    sides: list[Group]
    exits: list[Group]
    months: list[Period]
    years: list[Period]


def breakdown(result: Result) -> Breakdown:
    """Group the trades of a result and cut its equity into months and years."""
    trades = result.trades
    return Breakdown(
        symbols=_groups(result, trades.symbol, result.symbols),
        strategies=_groups(result, trades.strategy, result.strategies),
        sides=_groups(result, (trades.side < 0).astype(np.int8), ("long", "short")),
        exits=_groups(result, trades.exit_reason, EXIT_REASONS),
        months=_periods(result, "M"),
        years=_periods(result, "Y"),
    )


def _groups(result: Result, code: NDArray[Any], names: Sequence[str]) -> list[Group]:
    total = float(result.trades.net.sum())
    found = []
    for number, name in enumerate(names):
        rows = np.flatnonzero(code == number)
        if len(rows):
            figures = trade_statistics(result.trades.where(rows))
            share = figures.net / total if total else None
            found.append(Group(name=name, statistics=figures, share=share))
    return found


def _periods(result: Result, unit: str) -> list[Period]:
    names, changes, falls = by_calendar(curve(result), unit)
    closed = calendar(result.trades.closed_at, unit).astype(str)
    net = result.trades.net
    periods = []
    for name, change, fall in zip(names, changes.tolist(), falls.tolist(), strict=True):
        mine = net[closed == name]
        periods.append(
            Period(
                name=name,
                change=change,
                drawdown=fall,
                trades=len(mine),
                won=int((mine > 0.0).sum()),
                net=float(mine.sum()),
            )
        )
    return periods
