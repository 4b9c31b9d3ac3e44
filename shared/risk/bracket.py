"""Where the stop and the target go.

The stop is a multiple of the ATR, clamped into the permitted distances, then put on the tick grid
towards the entry, so that rounding never adds risk; only when that would leave it closer than
permitted does it round away. The target is measured from the rounded stop and rounds away from
the entry, so the reward:risk ratio never falls below what was asked for.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

import msgspec

from shared.execution.exchange import Side
from shared.market.instrument import Instrument
from shared.risk.checks import exact

#: Grid and minimum of the trail; Binance takes callback rates from 0.1 %.
CALLBACK_STEP = Decimal("0.001")


class Bracket(msgspec.Struct, frozen=True, kw_only=True):
    """Protective prices around an entry; fractions and ratio are those after rounding."""

    stop_price: Decimal
    take_profit_price: Decimal
    stop_fraction: Decimal
    reward_risk: Decimal
    trail_fraction: Decimal
    trail_activation_price: Decimal


def stop_distance(
    atr: Decimal, price: Decimal, multiple: Decimal, low: Decimal, high: Decimal
) -> Decimal:
    """``multiple * atr / price`` clamped into ``[low, high]``."""
    return min(high, max(low, multiple * atr / price))


def bracket(
    side: Side,
    price: Decimal,
    fraction: Decimal,
    reward_risk: Decimal,
    instrument: Instrument,
    *,
    low: Decimal,
    high: Decimal,
    trail_activation: Decimal = Decimal(1),
) -> Bracket | None:
    """Stop, target and trail around ``price``.

    Used by the gate around the reference price, and again around the average fill price once the
    entry is filled: the distances are promised from where the position really stands.

    Parameters
    ----------
    fraction : Decimal
        Wanted stop distance as a fraction of the price.
    low, high : Decimal
        Permitted stop distances; the rounded stop lies within.
    trail_activation : Decimal
        Profit in stop distances at which the trail becomes active.

    Returns
    -------
    Bracket or None
        ``None`` when the tick grid has no stop within the permitted distances, or no target
        above zero.
    """
    with exact():
        long = side == "BUY"
        sign = 1 if long else -1
        wanted = price * (1 - sign * fraction)
        for towards in (long, not long):
            stop = instrument.round_price(wanted, up=towards)
            distance = (price - stop) * sign
            if stop > 0 and low <= distance / price <= high:
                break
        else:
            return None
        target = instrument.round_price(price + sign * reward_risk * distance, up=long)
        if target <= 0:
            return None
        activation = instrument.round_price(price + sign * trail_activation * distance, up=long)
        rounded = distance / price
        trail = (rounded / CALLBACK_STEP).to_integral_value(ROUND_DOWN) * CALLBACK_STEP
        return Bracket(
            stop_price=stop,
            take_profit_price=target,
            stop_fraction=rounded,
            reward_risk=abs(target - price) / distance,
            trail_fraction=max(CALLBACK_STEP, trail),
            trail_activation_price=max(activation, instrument.tick_size),
        )
