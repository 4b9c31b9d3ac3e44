"""Where the stop of an open position belongs: its layers, as pure functions.

Live trading (the guardian) and the backtester call the same functions; they read no clock and no
store, and everything is ``Decimal``. The layers, each of which can only tighten the stop:

hard
    where the plan put it around the real entry; rests on the exchange from the first second.
trailing
    follows the best mark price at a distance once a profit was reached; the stop moves in steps.
volatility
    the trailing distance is a multiple of the ATR of now instead of the one planned.
break-even
    from a profit in multiples of the risk on, the stop is at least where costs are covered.

Emergency and time exits close at market: :func:`time_is_up`.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal, Protocol

import msgspec

from shared.errors import ConfigurationError
from shared.execution.exchange import Side
from shared.risk.bracket import CALLBACK_STEP
from shared.risk.limits import STOP_FRACTION_MAX

ZERO = Decimal(0)

Layer = Literal["hard", "trailing", "volatility", "break-even"]

#: Part of the trailing distance a move must be worth: each replacement costs two orders.
WORTH = Decimal("0.1")

#: Part of a tick by which a product may be off: the stop fraction is a rounded quotient, and a
#: profit of exactly so many R counts.
ROUNDED = Decimal("0.0000001")


class StopRules(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Layers beyond the hard and the trailing stop. Zero switches one off.

    Parameters
    ----------
    break_even_at : Decimal
        Profit in multiples of the initial stop distance at which the stop goes to break-even.
    break_even_cost : Decimal
        How far beyond the entry break-even lies, as a fraction of it: fees of both ways.
    trail_atr : Decimal
        Trailing distance in ATRs of the signal's time frame, measured now; bounded by Binance's
        smallest callback (0.1 %) and the largest stop distance.

    Raises
    ------
    ConfigurationError
        Naming every value out of its range.
    """

    break_even_at: Decimal = ZERO
    break_even_cost: Decimal = Decimal("0.0015")
    trail_atr: Decimal = ZERO

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}; set a value from 0 to {high}"
            for name, value, high in (
                ("break_even_at", self.break_even_at, Decimal(10)),
                ("break_even_cost", self.break_even_cost, Decimal("0.02")),
                ("trail_atr", self.trail_atr, Decimal(20)),
            )
            if not value.is_finite() or not 0 <= value <= high
        ]
        if problems:
            raise ConfigurationError(problems)


class Guarded(Protocol):
    """What the layers look at; a position record is one, and so is a backtester's position.

    Prices in quote currency, ``stop_fraction`` and ``trail_fraction`` of 1, ``time_exit`` UTC ms.
    """

    @property
    def side(self) -> Side: ...
    @property
    def entry_price(self) -> Decimal: ...
    @property
    def stop_price(self) -> Decimal: ...
    @property
    def take_profit_price(self) -> Decimal: ...
    @property
    def best_price(self) -> Decimal: ...
    @property
    def stop_fraction(self) -> Decimal: ...
    @property
    def trail_fraction(self) -> Decimal: ...
    @property
    def trail_activation_price(self) -> Decimal: ...
    @property
    def time_exit(self) -> int: ...


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What a new mark price asks for.

    ``move`` says whether the difference to the present stop is worth its two orders; ``layer`` is
    the one that binds.
    """

    best_price: Decimal
    stop_price: Decimal
    layer: Layer
    move: bool


def trailing_distance(position: Guarded, rules: StopRules, atr: Decimal | None) -> Decimal:
    """Distance of the trail as a fraction of the best price.

    Parameters
    ----------
    atr : Decimal or None
        Average true range now, in quote currency; without one the planned distance counts.
    """
    if not rules.trail_atr or atr is None or not atr.is_finite() or atr <= 0:
        return position.trail_fraction
    return min(STOP_FRACTION_MAX, max(CALLBACK_STEP, rules.trail_atr * atr / position.entry_price))


def trailing_stop(
    position: Guarded,
    mark: Decimal,
    tick: Decimal,
    distance: Decimal | None = None,
) -> tuple[Decimal, Decimal]:
    """New best price and where the trailing stop belongs for it.

    Before the activation price is reached the stop stays. Afterwards it follows the best mark
    price at ``distance`` (by default the planned one), rounded away from the price; it only ever
    tightens.
    """
    long = position.side == "BUY"
    best = max(position.best_price, mark) if long else min(position.best_price, mark)
    activation = position.trail_activation_price
    active = best >= activation if long else best <= activation
    fraction = position.trail_fraction if distance is None else distance
    if not active or not fraction:
        return best, position.stop_price
    raw = best * (1 - fraction if long else 1 + fraction)
    stop = (raw / tick).to_integral_value(ROUND_FLOOR if long else ROUND_CEILING) * tick
    return best, tighter(position.side, stop, position.stop_price)


def break_even_stop(
    position: Guarded, best: Decimal, tick: Decimal, rules: StopRules
) -> Decimal | None:
    """Where costs are covered, once ``best`` was far enough in profit; ``None`` before.

    Rounded away from the entry, so that rounding does not eat the costs.
    """
    if not rules.break_even_at:
        return None
    long = position.side == "BUY"
    sign = 1 if long else -1
    profit = (best - position.entry_price) * sign
    reach = rules.break_even_at * position.stop_fraction * position.entry_price
    if profit < reach - tick * ROUNDED:
        return None
    raw = position.entry_price * (1 + sign * rules.break_even_cost)
    return (raw / tick).to_integral_value(ROUND_CEILING if long else ROUND_FLOOR) * tick


def next_stop(
    position: Guarded,
    mark: Decimal,
    tick: Decimal,
    rules: StopRules,
    atr: Decimal | None = None,
) -> Step:
    """All layers together: the tightest counts, and none may lie beyond the mark price.

    Parameters
    ----------
    mark : Decimal
        Mark price now. Only the best one seen matters, so the steps between two looks are lost.
    tick : Decimal
        Price grid of the instrument.
    atr : Decimal, optional
        Average true range now, for the volatility layer.
    """
    distance = trailing_distance(position, rules, atr)
    best, stop = trailing_stop(position, mark, tick, distance)
    layer: Layer = "hard"
    if stop != position.stop_price:
        layer = "trailing" if distance == position.trail_fraction else "volatility"
    even = break_even_stop(position, best, tick, rules)
    # A stop beyond the price would be refused (-2021): the profit that earned it is gone again.
    if even is not None and (even < mark if position.side == "BUY" else even > mark):
        moved = tighter(position.side, even, stop)
        layer = "break-even" if moved != stop else layer
        stop = moved
    if not (stop < mark if position.side == "BUY" else stop > mark):
        layer, stop = "hard", position.stop_price
    worth = position.entry_price * position.trail_fraction * WORTH
    changed = stop != position.stop_price
    return Step(
        best_price=best,
        stop_price=stop,
        layer=layer,
        move=changed and abs(stop - position.stop_price) >= worth,
    )


def tighter(side: Side, one: Decimal, other: Decimal) -> Decimal:
    """The stop that gives back less."""
    return max(one, other) if side == "BUY" else min(one, other)


def reached(position: Guarded, mark: Decimal) -> bool:
    """Whether the target is reached."""
    target = position.take_profit_price
    return mark >= target if position.side == "BUY" else mark <= target


def breached(position: Guarded, mark: Decimal) -> bool:
    """Whether the price is at or beyond the stop: a live stop should be on its way."""
    return mark <= position.stop_price if position.side == "BUY" else mark >= position.stop_price


def time_is_up(position: Guarded, now_ms: int) -> bool:
    """Whether the position is closed for its age alone (UTC ms)."""
    return now_ms >= position.time_exit


def average_true_range(
    highs: list[Decimal], lows: list[Decimal], closes: list[Decimal]
) -> Decimal | None:
    """Mean true range of closed bars; the first bar only lends its close. ``None`` if too few.

    The plain mean (Wilder's own first value), so that a window of the newest bars is enough and
    gives live and backtest the same figure.
    """
    count = len(closes) - 1
    if count < 1 or len(highs) != len(closes) or len(lows) != len(closes):
        return None
    total = ZERO
    for i in range(1, count + 1):
        before = closes[i - 1]
        total += max(highs[i] - lows[i], abs(highs[i] - before), abs(lows[i] - before))
    return total / count
