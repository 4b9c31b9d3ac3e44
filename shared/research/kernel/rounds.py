"""The guardian's round, as :mod:`shared.execution.guardian` and the ledger have it."""

from __future__ import annotations

import numpy as np

from shared.research.kernel.book import to_price
from shared.research.kernel.compiler import kernel
from shared.research.kernel.fills import KILL, TAKE_PROFIT, TIME_EXIT, settle
from shared.research.kernel.stops import next_stop
from shared.research.kernel.walk import equity_of, exit_at, mark_at

DAY_MS = 86_400_000


@kernel
def note_equity(a, equity, now):
    """The ledger's reading of equity, and the roll of its day."""
    day = now // DAY_MS
    if day != a.day:
        a.day = day
        a.day_start = a.equity
        a.day_realized = 0.0
        a.opened_today = 0
    if a.day_start <= 0:
        a.day_start = equity
    a.equity = equity
    a.peak = max(a.peak, equity)


@kernel
def atr_now(atr, row, now, bar_ms):
    """True range of the last bars closed at ``now``; ``atr`` rows begin with their first time."""
    if row < 0:
        return 0.0
    place = (now // bar_ms * bar_ms - int(atr[row, 0])) // bar_ms + 1
    if place < 1 or place >= atr.shape[1]:
        return 0.0
    return atr[row, place]


@kernel
def guard(positions, contracts, s, a, market, i, now, start, lows, atr, trades):
    """One round of the guardian; whether any stop moved or a position ended."""
    base = s.base_ms
    equity, _ = equity_of(positions, a, market, i, now, start, base, lows)
    equity = np.rint(equity * 1e8) / 1e8
    note_equity(a, equity, now)
    fall = (a.peak - equity) / a.peak if equity > 0 and a.peak > equity else 0.0
    latch = a.latched_at == 0 and fall > 0 and fall >= s.max_drawdown
    if latch:
        a.latched_at = now
    changed = False
    any_open = False
    for k in range(len(positions)):
        p = positions[k]
        if not p.used:
            continue
        if p.side == 0:
            settle(p, k, contracts[k], a, a.day, DAY_MS, trades)
            changed = True
            continue
        any_open = True
        if now >= p.time_exit:
            exit_at(p, contracts[k], a, market[k], i, now, start, base, lows[k], TIME_EXIT)
            changed = True
            continue
        mark = np.rint(mark_at(market[k], i, now, start, base, lows[k]) * 1e8) / 1e8
        best, stop, move, pending = next_stop(
            p, mark, contracts[k].tick, s, atr_now(atr, p.atr_row, now, p.bar_ms)
        )
        p.best = best
        p.pending = pending
        if move:
            p.stop_ticks = stop
            changed = True
        if not p.target_live:
            target = to_price(contracts[k], p.target_ticks)
            if mark >= target if p.side > 0 else mark <= target:
                exit_at(p, contracts[k], a, market[k], i, now, start, base, lows[k], TAKE_PROFIT)
            else:
                p.target_live = True
            changed = True
    if latch and any_open:
        for k in range(len(positions)):
            p = positions[k]
            if p.used and p.side != 0:
                exit_at(p, contracts[k], a, market[k], i, now, start, base, lows[k], KILL)
            if p.used:
                settle(p, k, contracts[k], a, a.day, DAY_MS, trades)
        changed = True
    return changed
