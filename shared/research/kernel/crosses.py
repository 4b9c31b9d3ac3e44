"""Signals in, trades out: a fixed quantity on plain bars, for benchmarks, sweeps and comparison.

The conventions are those of bar backtesters: decided at a close, filled at the next open. Orders
cost a fraction of their value. Stop and target lie at a fraction from the entry; a bar that opens
beyond one fills at its open, and of two that a bar reaches the stop counts.
"""

from __future__ import annotations

import numpy as np

from shared.research.kernel.compiler import kernel

#: Reasons of an exit: the other signal, stop, target, end of data.
SIGNAL, STOP, TARGET, END = 0, 1, 2, 3


@kernel
def first_wrong(time, step, o, h, low, c):
    """Row and column (0 time, 1 to 4 prices) of the first value that cannot be; -1 where none."""
    for i in range(len(time)):
        if i > 0 and time[i] - time[i - 1] != step:
            return i, 0
        # Not a number is not above zero either.
        if not (0.0 < o[i] < np.inf and 0.0 < h[i] < np.inf):
            return i, 1 if not 0.0 < o[i] < np.inf else 2
        if not (0.0 < low[i] < np.inf and 0.0 < c[i] < np.inf):
            return i, 3 if not 0.0 < low[i] < np.inf else 4
    return -1, 0


@kernel
def ema_crosses(close, fast, slow, want):
    """Fill in 1 after a fast average crossed above a slow one, -1 after below, 0 before either.

    Averages with ``alpha = 2 / (period + 1)`` that begin with the first close.
    """
    a, b = 2.0 / (fast + 1.0), 2.0 / (slow + 1.0)
    quick = slowly = close[0]
    before = 0
    wanted = 0
    for i in range(len(close)):
        quick += a * (close[i] - quick)
        slowly += b * (close[i] - slowly)
        now = 1 if quick > slowly else -1 if quick < slowly else before
        if before != 0 and now != before:
            wanted = now
        before = now
        want[i] = wanted


@kernel
def follow(o, h, low, c, want, quantity, fee, slip, stop, target, cash, curves, rows, figures):
    """Hold what is wanted, from the open after it is wanted.

    Parameters
    ----------
    o, h, low, c : float64 arrays
    want : int8 array
        1, -1 or 0 at each close. After a stop or target nothing is held until it changes.
    quantity, fee, slip, stop, target : float
        Base asset; fractions of an order's value and of a price; twice of the entry price, 0 for
        none.
    cash : float
    curves : float64 array of shape (3, n)
        Filled at each close with equity, cash and notional held.
    rows : int64 array of shape (n, 4)
        Opening and closing bar, side and reason of each trade.
    figures : float64 array of shape (n, 4)
        Entry price, exit price, fees and net result of each trade.

    Returns
    -------
    int
        Trades, more than ``n`` when some did not fit.
    """
    count = 0
    side = 0
    held = 0
    entry = paid = 0.0
    opened = 0
    room = len(rows)
    wanted = 0
    for i in range(len(c)):
        if wanted != held:
            price = o[i]
            if side != 0:
                out = price * (1.0 - side * slip)
                cost = fee * out * quantity
                cash += side * (out - entry) * quantity - cost
                if count < room:
                    rows[count, 0], rows[count, 1] = opened, i
                    rows[count, 2], rows[count, 3] = side, SIGNAL
                    figures[count, 0], figures[count, 1] = entry, out
                    figures[count, 2] = paid + cost
                    figures[count, 3] = side * (out - entry) * quantity - paid - cost
                count += 1
            side = wanted
            held = wanted
            if side != 0:
                entry = price * (1.0 + side * slip)
                paid = fee * entry * quantity
                cash -= paid
                opened = i
        if side != 0 and (stop > 0.0 or target > 0.0):
            reason = -1
            at = 0.0
            floor = entry * (1.0 - side * stop)
            if stop > 0.0 and (low[i] <= floor if side > 0 else h[i] >= floor):
                reason = STOP
                at = floor
                if o[i] < floor if side > 0 else o[i] > floor:
                    at = o[i]
            elif target > 0.0:
                goal = entry * (1.0 + side * target)
                if h[i] >= goal if side > 0 else low[i] <= goal:
                    reason = TARGET
                    at = goal
                    if o[i] > goal if side > 0 else o[i] < goal:
                        at = o[i]
            if reason >= 0:
                out = at * (1.0 - side * slip)
                cost = fee * out * quantity
                cash += side * (out - entry) * quantity - cost
                if count < room:
                    rows[count, 0], rows[count, 1] = opened, i
                    rows[count, 2], rows[count, 3] = side, reason
                    figures[count, 0], figures[count, 1] = entry, out
                    figures[count, 2] = paid + cost
                    figures[count, 3] = side * (out - entry) * quantity - paid - cost
                count += 1
                side = 0
        wanted = want[i]
        curves[0, i] = cash + side * (c[i] - entry) * quantity
        curves[1, i] = cash
        curves[2, i] = quantity * c[i] if side != 0 else 0.0
    if side != 0:
        last = len(c) - 1
        out = c[last] * (1.0 - side * slip)
        cost = fee * out * quantity
        cash += side * (out - entry) * quantity - cost
        curves[0, last] = cash
        curves[1, last] = cash
        curves[2, last] = 0.0
        if count < room:
            rows[count, 0], rows[count, 1] = opened, last
            rows[count, 2], rows[count, 3] = side, END
            figures[count, 0], figures[count, 1] = entry, out
            figures[count, 2] = paid + cost
            figures[count, 3] = side * (out - entry) * quantity - paid - cost
        count += 1
    return count


@kernel
def sweep_crosses(o, h, low, c, first, stop_at, pairs, quantity, fee, slip, stop, cash, out):
    """EMA crosses of many pairs on the bars ``first <= i < stop_at``, without keeping trades.

    ``out`` gets, per pair: final equity, trades, deepest drawdown in USDT, mean and standard
    deviation of the change of equity per bar.
    """
    for n in range(len(pairs)):
        a, b = 2.0 / (pairs[n, 0] + 1.0), 2.0 / (pairs[n, 1] + 1.0)
        quick = slowly = c[first]
        before = 0
        wanted = 0
        side = 0
        held = 0
        count = 0
        entry = floor = 0.0
        wallet = cash
        equity = cash
        peak = cash
        deepest = 0.0
        squares = 0.0
        for i in range(first, stop_at):
            if wanted != held:
                price = o[i]
                if side != 0:
                    exit_price = price * (1.0 - side * slip)
                    wallet += side * (exit_price - entry) * quantity - fee * exit_price * quantity
                    count += 1
                side = wanted
                held = wanted
                entry = price * (1.0 + side * slip)
                wallet -= fee * entry * quantity
                floor = entry * (1.0 - side * stop)
            if side != 0 and stop > 0.0 and (low[i] <= floor if side > 0 else h[i] >= floor):
                at = min(o[i], floor) if side > 0 else max(o[i], floor)
                exit_price = at * (1.0 - side * slip)
                wallet += side * (exit_price - entry) * quantity - fee * exit_price * quantity
                count += 1
                side = 0
            price = c[i]
            quick += a * (price - quick)
            slowly += b * (price - slowly)
            now = 1 if quick > slowly else -1 if quick < slowly else before
            if before != 0 and now != before:
                wanted = now
            before = now
            value = wallet + side * (price - entry) * quantity
            change = value - equity
            squares += change * change
            equity = value
            peak = max(peak, value)
            deepest = max(deepest, peak - value)
        if side != 0:
            exit_price = c[stop_at - 1] * (1.0 - side * slip)
            wallet += side * (exit_price - entry) * quantity - fee * exit_price * quantity
            equity = wallet
            deepest = max(deepest, peak - wallet)
            count += 1
        bars = stop_at - first
        mean = (equity - cash) / bars
        out[n, 0] = equity
        out[n, 1] = count
        out[n, 2] = deepest
        out[n, 3] = mean
        out[n, 4] = max(0.0, squares / bars - mean * mean) ** 0.5
