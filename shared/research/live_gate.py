"""Which entries of a backtest the live gate on the whole portfolio would have refused."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from shared.research.past import Past
from shared.risk.checks import failures
from shared.risk.plan import Exposure
from shared.risk.portfolio_gate import position_checks

if TYPE_CHECKING:
    from shared.research.config import BacktestConfig
    from shared.research.result import Result
    from shared.simulation.source import MarketSource


def refused_live(source: MarketSource, config: BacktestConfig, result: Result) -> Counter[str]:
    """Entries by the first check that they would have failed, judged after the fact.

    Each is judged beside the trades that were open when it was made, at their entry prices, and by
    the equity of the bar before. What would have been refused is still among the others: with it
    gone, later ones might have passed.
    """
    past, limits, trades = Past(source, config), config.limits.portfolio, result.trades
    names = [result.symbols[k] for k in trades.symbol.tolist()]
    notional = [
        Decimal(f"{x:.8f}") for x in (trades.side * trades.quantity * trades.entry_price).tolist()
    ]
    risk = [Decimal(f"{x:.8f}") for x in trades.risk.tolist()]
    opened, closed = trades.opened_at.tolist(), trades.closed_at.tolist()
    before = np.searchsorted(result.time, trades.opened_at, side="right") - 1
    found: Counter[str] = Counter()
    held: list[int] = []
    for n in np.argsort(trades.opened_at, kind="stable").tolist():
        held = [k for k in held if closed[k] > opened[n]]
        others = [
            Exposure(
                symbol=names[k],
                quantity=notional[k],
                notional=abs(notional[k]),
                kind="open",
                decision_id=str(k),
                risk=risk[k],
            )
            for k in held
        ]
        equity = result.equity[before[n]] if before[n] >= 0 else result.start_equity
        known = past.at(opened[n], (names[n], *(names[k] for k in held)))
        failed = failures(
            position_checks(
                names[n], notional[n], risk[n], others, Decimal(f"{equity:.8f}"), known, limits
            )
        )
        if failed:
            found[failed[0].name] += 1
        held.append(n)
    return found


def note_of(refused: Counter[str], entries: int) -> list[str]:
    """What a reader must know of it; nothing where nothing would have been refused."""
    if not refused:
        return []
    reasons = ", ".join(f"{name} {count}" for name, count in refused.most_common())
    return [
        f"live, {sum(refused.values())} of {entries} entries would have been refused for the risk "
        f"of the whole portfolio ({reasons}); --portfolio-gate judges them as they come"
    ]
