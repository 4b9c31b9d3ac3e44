"""How large a position may be: every method and every limit gives a size, the smallest wins.

A sizing method is a pure function from :class:`SizingFacts` to USDT notional, registered by name;
another method (risk parity) is one more function.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from shared.errors import ConfigurationError
from shared.market.timeframe import DAY_MS
from shared.risk.checks import finite, text
from shared.risk.kelly import RECORD_TRADES, TradeRecord

YEAR_MS = 365 * DAY_MS
ZERO = Decimal(0)
ONE = Decimal(1)


class SizingFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a sizing method may look at.

    ``volatility`` is the standard deviation per bar; ``record`` what the account's closed trades
    say, where somebody looked.
    """

    equity: Decimal
    stop_fraction: Decimal
    volatility: Decimal
    bar_ms: int
    scale: Decimal
    record: TradeRecord | None = None


#: ``None``: the method has nothing to say, the others decide.
Sizer = Callable[["SizingConfig", SizingFacts], Decimal | None]
SIZERS: dict[str, Sizer] = {}


def sizer(name: str) -> Callable[[Sizer], Sizer]:
    """Register a sizing method under a name."""

    def register(function: Sizer) -> Sizer:
        SIZERS[name] = function
        return function

    return register


class SizingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How sizes and brackets are derived. Fractions of 1.

    Parameters
    ----------
    methods : tuple of str
        Names in :data:`SIZERS`; the smallest result counts.
    risk_per_trade : Decimal
        Fraction of equity lost when the stop is hit, costs included.
    target_volatility : Decimal
        Annualised volatility, as a fraction of equity, one position may add.
    atr_multiple : Decimal
        Stop distance in ATRs before it is clamped into the limits.
    reward_risk : Decimal
        Target distance over stop distance; never below the limit.
    strength_floor : Decimal
        Scale of a signal just at its threshold; a signal of strength 1 has scale 1.
    drawdown_floor : Decimal
        Scale at the drawdown limit; no drawdown has scale 1, linear in between.
    cost_fraction : Decimal
        Fees of entry and exit plus slippage of the stop, of notional.
    entry_slippage : Decimal
        How much worse than the reference price the entry may fill.
    max_holding_bars : int
        Bars of the signal's time frame after which the position is closed.
    trail_activation : Decimal
        Profit in multiples of the stop distance at which trailing starts.
    kelly_fraction : Decimal
        Part of the full Kelly fraction that ``kelly`` risks; a half at most.
    kelly_min_trades : int
        Closed trades before ``kelly`` says anything.
    """

    methods: tuple[str, ...] = ("fixed_fractional", "volatility_target")
    risk_per_trade: Decimal = Decimal("0.005")
    target_volatility: Decimal = Decimal("0.20")
    atr_multiple: Decimal = Decimal(2)
    reward_risk: Decimal = Decimal(2)
    strength_floor: Decimal = Decimal("0.5")
    drawdown_floor: Decimal = Decimal("0.25")
    cost_fraction: Decimal = Decimal("0.0015")
    entry_slippage: Decimal = Decimal("0.002")
    max_holding_bars: int = 48
    trail_activation: Decimal = Decimal(1)
    kelly_fraction: Decimal = Decimal("0.25")
    kelly_min_trades: int = 100

    def __post_init__(self) -> None:
        problems = []
        for name, given, low, high in (
            ("risk_per_trade", self.risk_per_trade, Decimal("0.0001"), Decimal("0.05")),
            ("target_volatility", self.target_volatility, Decimal("0.001"), Decimal(5)),
            ("atr_multiple", self.atr_multiple, Decimal("0.1"), Decimal(20)),
            ("reward_risk", self.reward_risk, Decimal(2), Decimal(10)),
            ("strength_floor", self.strength_floor, Decimal("0.01"), ONE),
            ("drawdown_floor", self.drawdown_floor, ZERO, ONE),
            ("cost_fraction", self.cost_fraction, ZERO, Decimal("0.02")),
            ("entry_slippage", self.entry_slippage, ZERO, Decimal("0.01")),
            ("max_holding_bars", self.max_holding_bars, 1, 100_000),
            ("trail_activation", self.trail_activation, Decimal("0.1"), Decimal(10)),
            ("kelly_fraction", self.kelly_fraction, Decimal("0.0001"), Decimal("0.5")),
            ("kelly_min_trades", self.kelly_min_trades, 30, RECORD_TRADES),
        ):
            number = finite(given)
            if number is None or not low <= number <= high:
                problems.append(f"{name} is {given}; set a value from {text(low)} to {text(high)}")
        unknown = [m for m in self.methods if m not in SIZERS]
        if unknown or not self.methods:
            known = ", ".join(sorted(SIZERS))
            problems.append(f"methods is {', '.join(self.methods) or 'empty'}; choose from {known}")
        elif set(self.methods) == {"kelly"}:
            problems.append("methods is kelly alone; without enough trades it says nothing")
        if problems:
            raise ConfigurationError(problems)


@sizer("fixed_fractional")
def fixed_fractional(config: SizingConfig, facts: SizingFacts) -> Decimal:
    """``equity * risk_per_trade * scale / (stop_fraction + cost_fraction)``."""
    risk = facts.equity * config.risk_per_trade * facts.scale
    return risk / (facts.stop_fraction + config.cost_fraction)


@sizer("volatility_target")
def volatility_target(config: SizingConfig, facts: SizingFacts) -> Decimal:
    """``equity * target_volatility * scale / annualised volatility``; 0 for a dead market."""
    if facts.volatility <= 0:
        return ZERO
    annual = facts.volatility * (Decimal(YEAR_MS) / facts.bar_ms).sqrt()
    return facts.equity * config.target_volatility * facts.scale / annual


@sizer("kelly")
def kelly(config: SizingConfig, facts: SizingFacts) -> Decimal | None:
    """``equity * kelly_fraction * full Kelly * scale / (stop_fraction + cost_fraction)``.

    Nothing with too few closed trades. A record that has lost has a full Kelly of 0, and so has
    the position: without an edge there is no size.
    """
    record = facts.record
    if record is None or record.trades < config.kelly_min_trades:
        return None
    risk = facts.equity * config.kelly_fraction * record.kelly * facts.scale
    return risk / (facts.stop_fraction + config.cost_fraction)


def strength_scale(strength: Decimal, threshold: Decimal, floor: Decimal) -> Decimal:
    """``floor`` at the threshold, 1 at full strength, linear in between."""
    if threshold >= 1:
        return ONE
    above = (abs(strength) - threshold) / (ONE - threshold)
    return floor + (ONE - floor) * min(ONE, max(ZERO, above))


def drawdown_scale(drawdown: Decimal, max_drawdown: Decimal, floor: Decimal) -> Decimal:
    """1 without drawdown, ``floor`` at its limit, linear in between."""
    used = min(ONE, max(ZERO, drawdown / max_drawdown))
    return ONE - (ONE - floor) * used


def smallest(sizes: dict[str, Decimal]) -> tuple[str, Decimal]:
    """The binding size and its name; the first named on a tie, never below zero."""
    name = min(sizes, key=lambda n: sizes[n])
    return name, max(ZERO, sizes[name])
