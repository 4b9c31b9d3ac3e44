"""One position on the path of a bar, and the account's equity at a moment of it."""

from __future__ import annotations

import numpy as np

from shared.research.kernel.book import to_price
from shared.research.kernel.compiler import kernel
from shared.research.kernel.fills import LIQUIDATION, STOP, TAKE_PROFIT, TRAILING, close
from shared.research.kernel.path import NEVER, at, crossing, next_anchor


@kernel
def mark_at(m, i, ms, start, base, first_low):
    """Mark price of a symbol in the bar ``i``; ``m`` holds its eight price columns."""
    return at(ms, start, base, first_low, m[4, i], m[5, i], m[6, i], m[7, i])


@kernel
def last_at(m, i, ms, start, base, first_low):
    """Contract price of a symbol in the bar ``i``."""
    return at(ms, start, base, first_low, m[0, i], m[1, i], m[2, i], m[3, i])


@kernel
def exit_at(p, contract, a, m, i, now, start, base, first_low, reason):
    """Close a position at the market of a moment."""
    price = last_at(m, i, now, start, base, first_low)
    mark = mark_at(m, i, now, start, base, first_low)
    p.highest = max(p.highest, mark)
    p.lowest = min(p.lowest, mark)
    rounded = np.rint(mark * 1e8) / 1e8
    close(p, contract, a, now, price, m[1, i] - m[2, i], rounded, reason)


@kernel
def walk(p, contract, a, m, i, since, until, start, base, first_low):
    """Let one position meet the path from ``since`` to ``until`` within a bar."""
    long = p.side > 0
    stop, target = to_price(contract, p.stop_ticks), to_price(contract, p.target_ticks)
    now = since
    price = mark_at(m, i, now, start, base, first_low)
    p.highest = max(p.highest, price)
    p.lowest = min(p.lowest, price)
    while True:
        end = min(until, next_anchor(now, start, base)) if now < until else until
        reach = mark_at(m, i, end, start, base, first_low)
        best = NEVER
        reason = STOP
        if p.liquidation > 0:
            best = crossing(p.liquidation, long, price, reach, now, end)
            reason = LIQUIDATION
        when = crossing(stop, long, price, reach, now, end)
        if when < best:
            best = when
            reason = STOP if p.stop_ticks == p.first_stop_ticks else TRAILING
        if p.target_live:
            when = crossing(target, not long, price, reach, now, end)
            if when < best:
                best = when
                reason = TAKE_PROFIT
        if best != NEVER:
            exit_at(p, contract, a, m, i, best, start, base, first_low, reason)
            return
        p.highest = max(p.highest, reach)
        p.lowest = min(p.lowest, reach)
        if end >= until:
            return
        now = end
        price = reach


@kernel
def see(p, m, i, since, until, start, base, first_low):
    """Note the extremes of the mark price between two moments of a bar."""
    now = since
    while True:
        price = mark_at(m, i, now, start, base, first_low)
        p.highest = max(p.highest, price)
        p.lowest = min(p.lowest, price)
        if now >= until:
            return
        now = min(until, next_anchor(now, start, base))


@kernel
def is_quiet(p, contract, m, i):
    """Whether the bar's extremes reach none of the position's levels."""
    if p.side == 0 or not p.target_live:
        return False
    high, low = m[5, i], m[6, i]
    stop, target = to_price(contract, p.stop_ticks), to_price(contract, p.target_ticks)
    if p.side > 0:
        return low > stop and low > p.liquidation and high < target
    return high < stop and low > target and (p.liquidation <= 0 or high < p.liquidation)


@kernel
def equity_of(positions, a, market, i, now, start, base, lows):
    """Wallet plus unrealised P&L at mark prices, and the notional held."""
    total = a.wallet
    notional = 0.0
    for k in range(len(positions)):
        p = positions[k]
        if p.side != 0:
            mark = np.rint(mark_at(market[k], i, now, start, base, lows[k]) * 1e8) / 1e8
            total += (mark - p.entry) * p.quantity * p.side
            notional += mark * p.quantity
    return total, notional
