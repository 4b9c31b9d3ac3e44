"""Bid, ask and what a taker pays, as :mod:`shared.simulation.book` has it."""

from __future__ import annotations

import math

import numpy as np

from shared.research.kernel.compiler import kernel
from shared.simulation.book import DISTANCES, TOUCH_SHARE

LEVELS = np.array(DISTANCES)


@kernel
def touch(contract, price, bar_range):
    """Bid and ask in ticks around the undisturbed price."""
    tick = contract.tick
    half = max(tick, price * contract.spread_bps / 1e4, bar_range * contract.range_share) / 2
    bid = max(1.0, math.floor((price - half) / tick + 1e-6))
    ask = max(bid + 1.0, math.ceil((price + half) / tick - 1e-6))
    return bid, ask


@kernel
def to_price(contract, ticks):
    """A price from its ticks, as the decimal text would read."""
    return ticks * contract.tick_top / contract.tick_bottom


@kernel
def take(contract, price, best_ticks, steps, limit, buy, fill_all):
    """Walk the book from its touch.

    Parameters
    ----------
    price : float
        Undisturbed price.
    best_ticks : float
        The touch on the side that is met.
    limit : float
        Worst price in USDT that is taken.
    fill_all : bool
        What the levels do not hold is filled at the last one (a liquidation).

    Returns
    -------
    steps, quote, fees at rate 1, last ticks
        Filled quantity in steps, its USDT, and the ticks of the last level met.
    """
    used = 0.0
    previous = 0.0
    filled = 0.0
    quote = 0.0
    last = best_ticks
    for i in range(len(LEVELS)):
        bps = LEVELS[i]
        away = max(used, np.rint(price * bps / 1e4 / contract.tick))
        ticks = best_ticks + away if buy else best_ticks - away
        if ticks <= 0:
            break
        at = ticks * contract.tick_top / contract.tick_bottom
        if (at > limit) if buy else (at < limit):
            break
        share = bps - previous if bps > 0 else TOUCH_SHARE
        lots = max(1.0, np.rint(contract.depth_per_bps * share / price / contract.step))
        part = min(steps - filled, lots)
        filled += part
        quote += part * contract.step_top / contract.step_bottom * at
        last = ticks
        if filled >= steps:
            break
        used = away + 1
        previous = bps
    if fill_all and filled < steps:
        at = last * contract.tick_top / contract.tick_bottom
        quote += (steps - filled) * contract.step_top / contract.step_bottom * at
        filled = steps
    return filled, quote, last
