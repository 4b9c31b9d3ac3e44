"""The guardian's round, as :mod:`shared.execution.guardian` and the ledger have it."""

from __future__ import annotations

import numpy as np

from shared.research.kernel.book import to_price
from shared.research.kernel.compiler import kernel
from shared.research.kernel.fills import KILL, TAKE_PROFIT, TIME_EXIT, settle
from shared.research.kernel.stops import next_stop
from shared.research.kernel.walk import equity_of, exit_at, mark_at

DAY_MS = 86_400_000
MINUTE_MS = 60_000
#: Into the minute at which the guardian looks.
GUARD_MS = 20_000
#: Into the minute at which candles are polled.
POLL_MS = 2_000


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
def clear(a, s, now):
    """A person clears the switch when it is time; the equity peak starts anew."""
    if a.latched_at != 0 and s.clear_after_ms > 0 and now >= a.latched_at + s.clear_after_ms:
        a.armed_at = a.latched_at + s.clear_after_ms
        a.latched_at = 0
        a.closing = False
        a.peak = 0.0


@kernel
def latch(a, now, closing, latches):
    """Latch the switch, or make one that is latched close as well."""
    if a.latched_at == 0:
        a.latched_at = now
        if a.latches < len(latches):
            latches[a.latches] = now
        a.latches += 1
    a.closing = a.closing or closing


@kernel
def judge_alarms(a, s, alarms, until, latches):
    """Abnormal bars up to a time, in order; as :mod:`shared.research.alarms` judges them."""
    when, step, usual, moves = alarms
    while a.alarm < len(when) and when[a.alarm] + POLL_MS <= until:
        row = a.alarm
        a.alarm += 1
        now = when[row] + POLL_MS
        clear(a, s, now)
        if a.latched_at != 0:
            continue
        total = 0.0
        count = moves.shape[1]
        for n in range(count):
            if when[row] - step[row] * (count - n) >= a.armed_at:
                total += moves[row, n] ** 2
        recent = np.sqrt(total / count)
        floor = s.volatility_floor * np.sqrt(step[row] / MINUTE_MS)
        least = max(floor, usual[row] * s.volatility_ratio)
        if usual[row] > 0 and recent >= least:
            latch(a, now, s.volatility_closes, latches)


@kernel
def flatten(positions, contracts, s, a, market, i, now, start, lows, trades):
    """The emergency stop: everything is closed and settled at once."""
    for k in range(len(positions)):
        p = positions[k]
        if p.used and p.side != 0:
            exit_at(p, contracts[k], a, market[k], i, now, start, s.base_ms, lows[k], KILL)
        if p.used:
            settle(p, k, contracts[k], a, a.day, DAY_MS, trades)


@kernel
def guard(positions, contracts, s, a, market, i, now, start, lows, atr, trades, latches):
    """One round of the guardian; whether any stop moved or a position ended."""
    base = s.base_ms
    equity, _ = equity_of(positions, a, market, i, now, start, base, lows)
    equity = np.rint(equity * 1e8) / 1e8
    clear(a, s, now)
    note_equity(a, equity, now)
    fall = (a.peak - equity) / a.peak if equity > 0 and a.peak > equity else 0.0
    if not a.closing and fall > 0 and fall >= s.max_drawdown:
        latch(a, now, True, latches)
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
    if a.closing and any_open:
        flatten(positions, contracts, s, a, market, i, now, start, lows, trades)
        changed = True
    return changed
