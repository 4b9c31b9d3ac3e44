"""Stop, target and trail, as :mod:`shared.risk.bracket` and :mod:`shared.risk.stops` have them."""

from __future__ import annotations

import math

from shared.research.kernel.compiler import kernel
from shared.research.kernel.grid import down, up

CALLBACK_STEP = 0.001
#: Constants of :mod:`shared.risk.limits`.
STOP_FRACTION_MIN = 0.01
STOP_FRACTION_MAX = 0.05
#: Of :mod:`shared.risk.stops`: part of a tick.
ROUNDED = 1e-7


@kernel
def bracket(side, price, fraction, reward_risk, low, high, activation):
    """Stop, target, stop fraction, reward:risk, trail and activation around a price in ticks.

    A stop of 0 means that the grid has none within ``[low, high]``.
    """
    long = side > 0
    wanted = price * (1.0 - side * fraction)
    stop = 0.0
    distance = 0.0
    found = False
    for attempt in range(2):
        upwards = long if attempt == 0 else not long
        stop = up(wanted) if upwards else down(wanted)
        distance = (price - stop) * side
        if stop > 0 and low <= distance / price <= high:
            found = True
            break
    if not found:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    aim = price + side * reward_risk * distance
    target = up(aim) if long else down(aim)
    if target <= 0:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    begin = price + side * activation * distance
    begin = up(begin) if long else down(begin)
    rounded = distance / price
    notches = rounded / CALLBACK_STEP
    nearest = math.floor(notches + 0.5)
    notches = nearest if abs(notches - nearest) < 1e-9 else math.floor(notches)
    trail = max(1.0, notches) / 1000.0
    return stop, target, rounded, abs(target - price) / distance, trail, max(begin, 1.0)


@kernel
def next_stop(p, mark, tick, settings, atr):
    """Best price, where the stop belongs in ticks, and whether to move it there.

    ``p`` is the position, ``atr`` the true range now (0 without).
    """
    long = p.side > 0
    best = max(p.best, mark) if long else min(p.best, mark)
    fraction = p.trail_fraction
    if settings.trail_atr > 0 and atr > 0:
        fraction = min(STOP_FRACTION_MAX, max(CALLBACK_STEP, settings.trail_atr * atr / p.entry))
    stop = p.stop_ticks
    best_ticks = best / tick
    active = (
        best_ticks >= p.activation_ticks - 1e-7
        if long
        else (best_ticks <= p.activation_ticks + 1e-7)
    )
    if active and fraction > 0:
        raw = best_ticks * (1.0 - fraction if long else 1.0 + fraction)
        candidate = down(raw) if long else up(raw)
        stop = max(candidate, stop) if long else min(candidate, stop)
    if settings.break_even_at > 0:
        profit = (best - p.entry) * p.side
        if profit >= settings.break_even_at * p.stop_fraction * p.entry - ROUNDED * tick:
            raw = p.entry_ticks * (1.0 + p.side * settings.break_even_cost)
            even = up(raw) if long else down(raw)
            if even * tick < mark if long else even * tick > mark:
                stop = max(even, stop) if long else min(even, stop)
    wanted = stop
    if not (stop * tick < mark if long else stop * tick > mark):
        stop = p.stop_ticks
    worth = p.entry_ticks * p.trail_fraction * 0.1
    move = stop != p.stop_ticks and abs(stop - p.stop_ticks) >= worth - 1e-7
    # A move that only the present price forbids may come without a better price.
    pending = wanted != p.stop_ticks and not move and abs(wanted - p.stop_ticks) >= worth - 1e-7
    return best, stop, move, pending
