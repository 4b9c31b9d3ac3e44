"""The compiled engine: bars, decisions and the guardian's rounds of several symbols on one wallet.

Mirrors :mod:`shared.research.exact` with the venue's timeline. Without a position nothing happens
until the next signal; with one, a bar whose extremes reach no level is only looked at by the
guardian. Positions are isolated, so between two instants each walks the path by itself.
"""

from __future__ import annotations

import numpy as np

from shared.research.kernel.compiler import kernel
from shared.research.kernel.fills import END, fund, settle
from shared.research.kernel.instants import decide_all
from shared.research.kernel.passing import pass_rounds, skip_rounds
from shared.research.kernel.path import NEVER, low_first
from shared.research.kernel.records import ACCOUNT, PLAN, POSITION, REASONS
from shared.research.kernel.rounds import (
    DAY_MS,
    GUARD_MS,
    MINUTE_MS,
    POLL_MS,
    clear,
    flatten,
    guard,
    judge_alarms,
)
from shared.research.kernel.walk import equity_of, exit_at, is_quiet, mark_at, see, walk

CAUSES = len(REASONS)


@kernel
def simulate(
    s,
    contracts,
    market,
    first_open,
    signals,
    alarms,
    funding_time,
    funding_rate,
    atr,
    samples,
    trades,
    latches,
):
    """A whole backtest.

    Parameters
    ----------
    s : Settings
    contracts : CONTRACT array, one per symbol
    market : array of shape (symbols, 8, bars)
        Per symbol: open, high, low, close, and the same of the mark price.
    first_open : int
        Opening time of bar 0.
    signals : tuple of arrays
        Times, symbols, sides, figures (strength, threshold, close, ATR, volatility), bar lengths,
        strategies, rows of ``atr``; in the order of decision.
    alarms : tuple of arrays
        Times, bar lengths, usual volatilities and recent moves of abnormal bars.
    funding_time, funding_rate : arrays of shape (symbols, n)
        Settlements per symbol, ascending, padded with times that never come.
    atr : array
        Per symbol and time frame: time of the first value, then true ranges by closed bar.
    samples : array of shape (3, n)
        Filled with equity, wallet and notional at the sample times.
    trades : TRADE array
        Filled; long enough for one trade per signal.
    latches : int64 array
        Filled with the times at which the kill switch latched.

    Returns
    -------
    trades, latches, counts
        Number of trades, of times the kill switch latched, and decisions by reason code.
    """
    base = s.base_ms
    symbols = len(contracts)
    positions = np.zeros(symbols, POSITION)
    plans = np.zeros(len(contracts) * 16, PLAN)
    account = np.zeros(1, ACCOUNT)
    a = account[0]
    a.wallet = s.deposit
    # Bars that opened before the switch was set up do not count.
    a.armed_at = s.start_ms + 1
    counts = np.zeros(CAUSES, np.int64)
    lows = np.zeros(symbols, np.bool_)
    paid = np.zeros(symbols, np.int64)
    times = signals[0]
    n_samples = samples.shape[1]
    row = 0
    k_sample = 0
    now = s.start_ms
    last = s.end_ms - 1
    while True:
        if a.used == 0:
            # Flat: nothing happens until the next signal.
            if row >= len(times) or times[row] + POLL_MS >= s.end_ms:
                break
            now = max(now, times[row] + POLL_MS)
            while k_sample < n_samples and s.sample_first + k_sample * s.sample_ms <= now:
                samples[0, k_sample] = a.wallet
                samples[1, k_sample] = a.wallet
                samples[2, k_sample] = 0.0
                k_sample += 1
        i = (now - first_open) // base
        start = first_open + i * base
        end = start + base - 1
        # The order of the extremes is fixed when the bar begins.
        for k in range(symbols):
            side = positions[k].side
            if s.order != 0 and side == 0:
                peek = row
                while peek < len(times) and times[peek] + POLL_MS <= end:
                    if signals[1][peek] == k:
                        side = signals[2][peek]
                        break
                    peek += 1
            lows[k] = low_first(s.order, side, market[k, 0, i], market[k, 3, i])
        if now > last:
            break
        if a.used == 0:
            judge_alarms(a, s, alarms, now, latches)
        deciding = row < len(times) and times[row] + POLL_MS <= min(end, last)
        quiet = a.used > 0 and not deciding and now == start and end <= last
        if a.alarm < len(alarms[0]) and alarms[0][a.alarm] + POLL_MS <= end:
            quiet = False
        if quiet:
            for k in range(symbols):
                p = positions[k]
                if not p.used:
                    continue
                if not is_quiet(p, contracts[k], market[k], i) or p.time_exit <= end:
                    quiet = False
                    break
                due = paid[k]
                while due < funding_time.shape[1] and funding_time[k, due] < start:
                    due += 1
                paid[k] = due
                if due < funding_time.shape[1] and funding_time[k, due] <= end:
                    quiet = False
                    break
        passed = False
        if quiet and base > MINUTE_MS:
            passed = skip_rounds(positions, contracts, s, a, market, i, start, lows)
            quiet = passed
        if quiet:
            # Nothing is reached; the guardian still reads and trails.
            t_sample = s.sample_first + k_sample * s.sample_ms
            if k_sample < n_samples and t_sample == start:
                equity, held = equity_of(positions, a, market, i, start, start, base, lows)
                samples[0, k_sample] = equity
                samples[1, k_sample] = a.wallet
                samples[2, k_sample] = held
                k_sample += 1
            moved = False
            t = end + 1 if passed else start + GUARD_MS
            while t <= end:
                moved = guard(
                    positions, contracts, s, a, market, i, t, start, lows, atr, trades, latches
                )
                if moved:
                    break
                t += MINUTE_MS
            if not moved:
                for k in range(symbols):
                    p = positions[k]
                    if p.side != 0:
                        p.highest = max(p.highest, market[k, 5, i])
                        p.lowest = min(p.lowest, market[k, 6, i])
                now = end + 1
                continue
            for k in range(symbols):
                p = positions[k]
                if p.side != 0:
                    # What was passed up to now; the rest of the bar is walked below.
                    see(p, market[k], i, start, t, start, base, lows[k])
            now = t
            if a.used == 0:
                now = t + 1
                continue
            since_guard = t
        else:
            since_guard = now - 1
        # Event by event through the rest of the bar.
        while True:
            stop_at = min(end, last)
            t_guard = NEVER
            if a.used > 0:
                t_guard = now - now % MINUTE_MS + GUARD_MS
                if t_guard < now or t_guard <= since_guard:
                    t_guard += MINUTE_MS
            t_other = stop_at + 1
            t_decide = NEVER
            if row < len(times):
                t_decide = times[row] + POLL_MS
                t_other = min(t_other, t_decide)
            t_alarm = NEVER
            if a.alarm < len(alarms[0]):
                t_alarm = alarms[0][a.alarm] + POLL_MS
                t_other = min(t_other, t_alarm)
            t_sample = NEVER
            if k_sample < n_samples:
                t_sample = s.sample_first + k_sample * s.sample_ms
                t_other = min(t_other, t_sample)
            for k in range(symbols):
                if positions[k].side != 0:
                    due = paid[k]
                    while due < funding_time.shape[1] and funding_time[k, due] < now:
                        due += 1
                    paid[k] = due
                    if due < funding_time.shape[1]:
                        t_other = min(t_other, funding_time[k, due])
            if t_guard < t_other:
                final = pass_rounds(
                    positions,
                    contracts,
                    s,
                    a,
                    market,
                    i,
                    now,
                    t_guard,
                    t_other - 1,
                    since_guard,
                    start,
                    lows,
                )
                if final > 0:
                    now = final
                    since_guard = final
                    continue
            t = min(t_guard, t_other)
            reached = min(t, stop_at)
            for k in range(symbols):
                p = positions[k]
                if p.side != 0:
                    walk(p, contracts[k], a, market[k], i, now, reached, start, base, lows[k])
            now = reached
            if t > stop_at:
                break
            for k in range(symbols):
                due = paid[k]
                if due < funding_time.shape[1] and funding_time[k, due] == t:
                    p = positions[k]
                    if p.side != 0:
                        mark = mark_at(market[k], i, t, start, base, lows[k])
                        fund(p, contracts[k], a, np.rint(mark * 1e8) / 1e8, funding_rate[k, due])
                        paid[k] = due + 1
            if t == t_sample:
                equity, held = equity_of(positions, a, market, i, t, start, base, lows)
                samples[0, k_sample] = equity
                samples[1, k_sample] = a.wallet
                samples[2, k_sample] = held
                k_sample += 1
            if t == t_alarm:
                judge_alarms(a, s, alarms, t, latches)
                if a.closing:
                    flatten(positions, contracts, s, a, market, i, t, start, lows, trades)
            if t == t_decide:
                clear(a, s, t)
                count = 1
                while row + count < len(times) and times[row + count] == times[row]:
                    count += 1
                decide_all(
                    row,
                    count,
                    plans,
                    positions,
                    contracts,
                    s,
                    a,
                    market,
                    i,
                    t,
                    start,
                    lows,
                    signals,
                    counts,
                )
                row += count
                for k in range(symbols):
                    # Funding of the past is not owed by a position that is new.
                    due = paid[k]
                    while due < funding_time.shape[1] and funding_time[k, due] <= t:
                        due += 1
                    paid[k] = due
            if t == t_guard:
                guard(positions, contracts, s, a, market, i, t, start, lows, atr, trades, latches)
                since_guard = t
            if a.used == 0:
                break
        if a.used == 0 and now < end:
            now += 1
            continue
        if now >= last:
            break
        now = end + 1
    # Bars after the last signal latch as well, though nothing comes of it.
    judge_alarms(a, s, alarms, last, latches)
    # The end: what is open is closed at the last price.
    i = (last - first_open) // base
    start = first_open + i * base
    for k in range(symbols):
        p = positions[k]
        if p.side != 0:
            exit_at(p, contracts[k], a, market[k], i, last, start, base, lows[k], END)
        if p.used:
            settle(p, k, contracts[k], a, a.day, DAY_MS, trades)
    while k_sample < n_samples:
        samples[0, k_sample] = a.wallet
        samples[1, k_sample] = a.wallet
        samples[2, k_sample] = 0.0
        k_sample += 1
    return a.trades, a.latches, counts
