"""Rounds of the guardian in which nothing can happen, passed over without being played.

What remains of them is what a later one reads: the best mark price of each position, the extremes
of its path, and the ledger's last equity, day and peak.
"""

from __future__ import annotations

import numpy as np

from shared.research.kernel.book import to_price
from shared.research.kernel.compiler import kernel
from shared.research.kernel.path import NEVER, crossing, next_anchor
from shared.research.kernel.rounds import DAY_MS, GUARD_MS, MINUTE_MS, note_equity
from shared.research.kernel.walk import equity_of, mark_at

#: Milliseconds before a level is met from which on rounds are played: times are rounded.
NEAR_MS = 2
#: Part of a tick before a level from which on it counts as met: prices are rounded.
NEAR = 1e-6


@kernel
def clearing_at(a, s):
    """When a person clears the latched switch; never when it is armed or nobody does."""
    if a.latched_at == 0 or s.clear_after_ms <= 0:
        return NEVER
    return a.latched_at + s.clear_after_ms


@kernel
def skip_rounds(positions, contracts, s, a, market, i, start, lows):
    """Pass over the rounds of a quiet bar at once, where none of them can matter; whether it did.

    None can when equity stays between its peak and the drawdown limit and no price in the bar can
    move a stop. What remains of the rounds is the best mark price they read, and the last equity.
    """
    base = s.base_ms
    if a.closing or clearing_at(a, s) < start + base:
        return False
    high, low = a.wallet, a.wallet
    for k in range(len(positions)):
        p = positions[k]
        if p.side == 0:
            continue
        top, bottom = market[k, 5, i], market[k, 6, i]
        ahead, behind = (top, bottom) if p.side > 0 else (bottom, top)
        high += (ahead - p.entry) * p.quantity * p.side
        low += (behind - p.entry) * p.quantity * p.side
        if p.pending or s.trail_atr > 0:
            return False
        if (ahead - p.best) * p.side <= 0:
            continue
        if (ahead / contracts[k].tick - p.activation_ticks) * p.side >= -1e-6:
            return False
        reach = s.break_even_at * p.stop_fraction * p.entry - NEAR * contracts[k].tick
        if s.break_even_at > 0 and (ahead - p.entry) * p.side >= reach:
            return False
    if high >= a.peak or low <= a.peak * (1 - s.max_drawdown) * (1 + 1e-9) or low <= 0:
        return False
    rounds = base // MINUTE_MS
    final = start + (rounds - 1) * MINUTE_MS + GUARD_MS
    for k in range(len(positions)):
        p = positions[k]
        if p.side == 0 or (market[k, 5 if p.side > 0 else 6, i] - p.best) * p.side <= 0:
            continue
        # Between anchors the price is straight: the best reading is next to one of them.
        for n in range(4):
            anchor = start + n * (base // 3) if n < 3 else start + base - 1
            before = start + (anchor - start - GUARD_MS) // MINUTE_MS * MINUTE_MS + GUARD_MS
            for when in (before, before + MINUTE_MS):
                if start + GUARD_MS <= when <= final:
                    mark = mark_at(market[k], i, when, start, base, lows[k])
                    mark = np.rint(mark * 1e8) / 1e8
                    p.best = max(p.best, mark) if p.side > 0 else min(p.best, mark)
    equity, _ = equity_of(positions, a, market, i, final, start, base, lows)
    note_equity(a, np.rint(equity * 1e8) / 1e8, final)
    return True


@kernel
def watched(p, tick, s):
    """Mark price from which on a round may move the stop: a new best that the trail follows, or
    enough profit for break-even."""
    beyond = p.activation_ticks * tick * (1.0 - p.side * 1e-9)
    level = max(p.best, beyond) if p.side > 0 else min(p.best, beyond)
    if s.break_even_at > 0:
        reach = s.break_even_at * p.stop_fraction * p.entry - NEAR * tick
        even = p.entry + p.side * reach
        even = max(p.best, even) if p.side > 0 else min(p.best, even)
        level = min(level, even) if p.side > 0 else max(level, even)
    return level


@kernel
def pass_rounds(positions, contracts, s, a, market, i, now, first, limit, last_round, start, lows):
    """Pass over rounds on a straight piece of the path, from ``first`` on and up to ``limit``.

    Parameters
    ----------
    now : int
        Until when the path was walked; ``first`` is the next round.
    last_round : int
        Time of the last round that was played or passed.

    Returns
    -------
    int
        The last round that was passed, 0 when the next one has to be played.
    """
    base = s.base_ms
    if a.closing:
        return 0
    limit = min(limit, next_anchor(now, start, base), clearing_at(a, s) - 1)
    limit = min(limit, (first // DAY_MS + 1) * DAY_MS - 1)
    if limit < first:
        return 0
    for k in range(len(positions)):
        p = positions[k]
        if not p.used:
            continue
        if p.side == 0 or p.pending or not p.target_live or s.trail_atr > 0:
            return 0
        if p.opened_at > last_round:
            return 0
        long = p.side > 0
        if s.break_even_at > 0 and (p.stop_ticks - p.entry_ticks) * p.side < 0:
            gain = (p.best - p.entry) * p.side
            reach = s.break_even_at * p.stop_fraction * p.entry - NEAR * contracts[k].tick
            if gain >= reach:
                return 0
        limit = min(limit, p.time_exit - 1)
        here = mark_at(market[k], i, now, start, base, lows[k])
        there = mark_at(market[k], i, limit, start, base, lows[k])
        end = limit
        levels = (
            (to_price(contracts[k], p.stop_ticks), long),
            (to_price(contracts[k], p.target_ticks), not long),
            (watched(p, contracts[k].tick, s), not long),
        )
        for level, falls in levels:
            when = crossing(level, falls, here, there, now, end)
            limit = min(limit, when - NEAR_MS)
        if p.liquidation > 0:
            when = crossing(p.liquidation, long, here, there, now, end)
            limit = min(limit, when - NEAR_MS)
        if limit < first:
            return 0
    final = first + (limit - first) // MINUTE_MS * MINUTE_MS
    # Prices are straight, so equity is: its extremes are the first and the last reading.
    one, _ = equity_of(positions, a, market, i, first, start, base, lows)
    two, _ = equity_of(positions, a, market, i, final, start, base, lows)
    least = min(one, two)
    if least <= 0 or least <= max(a.peak, one, two) * (1 - s.max_drawdown) * (1 + 1e-9):
        return 0
    for k in range(len(positions)):
        p = positions[k]
        if p.side == 0:
            continue
        here = mark_at(market[k], i, now, start, base, lows[k])
        begin = mark_at(market[k], i, first, start, base, lows[k])
        there = mark_at(market[k], i, final, start, base, lows[k])
        p.highest = max(p.highest, here, there)
        p.lowest = min(p.lowest, here, there)
        begin, there = np.rint(begin * 1e8) / 1e8, np.rint(there * 1e8) / 1e8
        p.best = max(p.best, begin, there) if p.side > 0 else min(p.best, begin, there)
    note_equity(a, np.rint(one * 1e8) / 1e8, first)
    note_equity(a, np.rint(two * 1e8) / 1e8, final)
    return final
