"""The hard limits: ceilings in code, stricter values in configuration, and the re-check.

The module constants are the law. :class:`Limits` cannot be constructed looser than they are.
:func:`verify_plan` is asked by the gate, inside the ledger's compare-and-swap and once more right
before the order, so the three can never disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from shared.errors import ConfigurationError
from shared.market.instrument import Instrument
from shared.risk.checks import at_least, at_most, between, exact, failures, finite, holds, text
from shared.risk.exposure import committed_notional, open_symbols
from shared.risk.plan import Check, Exposure, OrderPlan, StageRules
from shared.risk.portfolio_limits import PortfolioLimits

MAX_LEVERAGE = 10
MAX_POSITION_NOTIONAL = Decimal(500)
STOP_FRACTION_MIN = Decimal("0.01")
STOP_FRACTION_MAX = Decimal("0.05")
MAX_DAILY_LOSS = Decimal(1000)
MAX_DRAWDOWN = Decimal("0.20")
MIN_REWARD_RISK = Decimal(2)
MAX_REWARD_RISK = Decimal(10)
MAX_OPEN_POSITIONS = 10
MAX_POSITIONS_PER_SYMBOL = 1
MAX_TOTAL_NOTIONAL = MAX_POSITION_NOTIONAL * MAX_OPEN_POSITIONS
MAX_TRADES_PER_DAY = 1000
MAX_DATA_AGE_MS = 300_000


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in force: the defaults, or configuration stricter than the ceilings.

    Money in USDT, fractions of 1, ages in milliseconds. ``max_spread`` is the book's spread over
    its middle; ``max_price_deviation`` bounds how far book, mark price and the signal's close may
    lie apart; ``loss_cooldown_ms`` is the pause on a symbol after a losing exit, multiplied by
    the number of losses in a row (at most six times). ``portfolio`` is what all positions may
    amount to together.

    Raises
    ------
    ConfigurationError
        On construction, naming every value that is looser than its ceiling or makes no sense.
    """

    max_leverage: int = 5
    max_position_notional: Decimal = Decimal(500)
    max_total_notional: Decimal = Decimal(2000)
    max_open_positions: int = 5
    max_trades_per_day: int = 50
    min_stop_fraction: Decimal = STOP_FRACTION_MIN
    max_stop_fraction: Decimal = STOP_FRACTION_MAX
    max_daily_loss: Decimal = Decimal(200)
    max_drawdown: Decimal = Decimal("0.10")
    min_reward_risk: Decimal = MIN_REWARD_RISK
    max_signal_age_ms: int = 120_000
    max_market_data_age_ms: int = 15_000
    max_account_data_age_ms: int = 30_000
    max_spread: Decimal = Decimal("0.005")
    max_price_deviation: Decimal = Decimal("0.02")
    loss_cooldown_ms: int = 0
    portfolio: PortfolioLimits = PortfolioLimits()

    def __post_init__(self) -> None:
        problems = self._problems()
        if problems:
            raise ConfigurationError(problems)

    def _problems(self) -> list[str]:
        ranges: tuple[tuple[str, Decimal | int, Decimal | int, Decimal | int], ...] = (
            ("max_leverage", self.max_leverage, 1, MAX_LEVERAGE),
            ("max_open_positions", self.max_open_positions, 1, MAX_OPEN_POSITIONS),
            ("max_trades_per_day", self.max_trades_per_day, 1, MAX_TRADES_PER_DAY),
            ("min_stop_fraction", self.min_stop_fraction, STOP_FRACTION_MIN, STOP_FRACTION_MAX),
            ("max_stop_fraction", self.max_stop_fraction, STOP_FRACTION_MIN, STOP_FRACTION_MAX),
            ("min_reward_risk", self.min_reward_risk, MIN_REWARD_RISK, MAX_REWARD_RISK),
            ("max_signal_age_ms", self.max_signal_age_ms, 1, MAX_DATA_AGE_MS),
            ("max_market_data_age_ms", self.max_market_data_age_ms, 1, MAX_DATA_AGE_MS),
            ("max_account_data_age_ms", self.max_account_data_age_ms, 1, MAX_DATA_AGE_MS),
            ("loss_cooldown_ms", self.loss_cooldown_ms, 0, 86_400_000),
        )
        ceilings = (
            ("max_position_notional", self.max_position_notional, MAX_POSITION_NOTIONAL),
            ("max_total_notional", self.max_total_notional, MAX_TOTAL_NOTIONAL),
            ("max_daily_loss", self.max_daily_loss, MAX_DAILY_LOSS),
            ("max_drawdown", self.max_drawdown, MAX_DRAWDOWN),
            ("max_spread", self.max_spread, Decimal("0.02")),
            ("max_price_deviation", self.max_price_deviation, Decimal("0.05")),
        )
        problems = []
        for name, given, low, high in ranges:
            number = finite(given)
            if number is None or not low <= number <= high:
                problems.append(f"{name} is {given}; set a value from {text(low)} to {text(high)}")
        for name, given, high in ceilings:
            number = finite(given)
            if number is None or not 0 < number <= high:
                problems.append(f"{name} is {given}; set a value above 0 and up to {text(high)}")
        if not problems and self.min_stop_fraction > self.max_stop_fraction:
            problems.append(
                f"min_stop_fraction {self.min_stop_fraction} is above max_stop_fraction "
                f"{self.max_stop_fraction}; set it lower"
            )
        return problems


#: Names of the checks of :func:`plan_checks`, in order.
PLAN_CHECKS = (
    "plan_consistent",
    "leverage",
    "stop_side",
    "stop_distance",
    "reward_risk",
    "symbol_free",
    "open_positions",
    "position_notional",
    "total_notional",
    "quantity",
    "min_notional",
)


def verify_plan(
    plan: OrderPlan,
    limits: Limits,
    instrument: Instrument,
    exposures: Sequence[Exposure],
    stage: StageRules | None = None,
) -> tuple[str, ...]:
    """What stands against a plan now, in words with figures; empty when nothing does."""
    failed = failures(plan_checks(plan, limits, instrument, exposures, stage))
    return tuple(f"{c.name}: {c.value}, limit {c.limit} ({c.detail})" for c in failed)


def plan_checks(
    plan: OrderPlan,
    limits: Limits,
    instrument: Instrument,
    exposures: Sequence[Exposure],
    stage: StageRules | None = None,
) -> tuple[Check, ...]:
    """Judge a plan against every static limit and the exposure there is now.

    Exposure that carries the plan's own decision id is not counted: it is the plan itself.

    Returns
    -------
    tuple of Check
        One per name of :data:`PLAN_CHECKS`, each with its figures; the plan may be executed only
        if all passed.
    """
    with exact():
        return _verify(plan, limits, instrument, exposures, stage)


def _verify(
    plan: OrderPlan,
    limits: Limits,
    instrument: Instrument,
    exposures: Sequence[Exposure],
    stage: StageRules | None,
) -> tuple[Check, ...]:
    others = [e for e in exposures if e.decision_id is None or e.decision_id != plan.decision_id]
    by_symbol = committed_notional(others)
    symbols = open_symbols(others)
    on_symbol = sum(
        1 for e in others if e.symbol == plan.symbol and (e.quantity != 0 or e.notional != 0)
    )
    total = None if by_symbol is None else sum(by_symbol.values(), plan.worst_notional)
    max_leverage = min(limits.max_leverage, stage.max_leverage if stage else MAX_LEVERAGE)
    max_notional = min(
        limits.max_position_notional, stage.max_notional if stage else MAX_POSITION_NOTIONAL
    )
    min_notional = max(instrument.min_notional, stage.min_notional if stage else Decimal(0))
    quantity = finite(plan.quantity)
    on_step = quantity is not None and instrument.round_quantity(quantity) == quantity > 0
    long = plan.side == "BUY"
    return (
        _consistent(plan, instrument),
        between(
            "leverage",
            plan.leverage,
            stage.min_leverage if stage else 1,
            max_leverage,
            "leverage of the symbol",
        ),
        holds(
            "stop_side",
            _ordered(
                (plan.stop_price, plan.reference_price, plan.take_profit_price)
                if long
                else (plan.take_profit_price, plan.reference_price, plan.stop_price)
            ),
            f"{text(plan.stop_price)} / {text(plan.take_profit_price)}",
            text(plan.reference_price),
            "stop on the losing side of the reference price, target on the winning side",
        ),
        between(
            "stop_distance",
            plan.stop_fraction,
            limits.min_stop_fraction,
            limits.max_stop_fraction,
            "distance to the stop as a fraction of the price, after tick rounding",
        ),
        at_least(
            "reward_risk",
            plan.reward_risk,
            limits.min_reward_risk,
            "distance to the target over distance to the stop, after tick rounding",
        ),
        at_most(
            "symbol_free",
            on_symbol,
            MAX_POSITIONS_PER_SYMBOL - 1,
            "other exposure on the symbol, reserved or open",
        ),
        at_most(
            "open_positions",
            None if symbols is None else len(symbols | {plan.symbol}),
            limits.max_open_positions,
            "symbols with exposure, this one included",
        ),
        at_most(
            "position_notional",
            plan.worst_notional,
            max_notional,
            "USDT at the worst entry price",
        ),
        at_most(
            "total_notional",
            total,
            limits.max_total_notional,
            "USDT over all symbols, reserved and open, this one included",
        ),
        holds(
            "quantity",
            on_step,
            text(plan.quantity),
            f"{text(instrument.market_min_quantity)}..{text(instrument.market_max_quantity)} "
            f"step {text(instrument.market_step_size)}",
            "on the market step, within the market lot size",
        ),
        at_least(
            "min_notional",
            plan.notional,
            min_notional,
            "USDT at the reference price; the smallest order of venue and stage",
        ),
    )


def _ordered(prices: tuple[Decimal, Decimal, Decimal]) -> bool:
    low, middle, high = (finite(p) for p in prices)
    return low is not None and middle is not None and high is not None and 0 < low < middle < high


def _consistent(plan: OrderPlan, instrument: Instrument) -> Check:
    """The plan's derived figures follow from its prices, so that no limit is judged on fiction."""
    wrong = []
    figures = (
        plan.quantity,
        plan.reference_price,
        plan.worst_price,
        plan.stop_price,
        plan.take_profit_price,
        plan.stop_fraction,
        plan.reward_risk,
        plan.notional,
        plan.worst_notional,
        plan.margin,
        plan.risk_amount,
    )
    if any(finite(f) is None or f < 0 for f in figures) or plan.reference_price <= 0:
        wrong.append("a figure is missing, negative or not finite")
    else:
        stop_distance = abs(plan.reference_price - plan.stop_price)
        target_distance = abs(plan.take_profit_price - plan.reference_price)
        if plan.symbol != instrument.symbol:
            wrong.append("symbol is not the instrument's")
        if plan.notional > plan.worst_notional:
            wrong.append("notional exceeds worst_notional")
        if plan.worst_notional < plan.quantity * max(plan.reference_price, plan.worst_price):
            wrong.append("worst_notional is below quantity at the worst price")
        if stop_distance / plan.reference_price != plan.stop_fraction:
            wrong.append("stop_fraction does not follow from the stop price")
        if stop_distance == 0 or target_distance / stop_distance != plan.reward_risk:
            wrong.append("reward_risk does not follow from the prices")
        for name, price in (("stop", plan.stop_price), ("target", plan.take_profit_price)):
            if price % instrument.tick_size != 0:
                wrong.append(f"{name} price is off the tick grid")
            if not instrument.min_price <= price or (
                instrument.max_price > 0 and price > instrument.max_price
            ):
                wrong.append(f"{name} price is outside the venue's price range")
        if plan.risk_amount < plan.worst_notional * plan.stop_fraction:
            wrong.append("risk_amount is below the loss at the stop")
    return holds(
        "plan_consistent",
        not wrong,
        "; ".join(wrong) or "consistent",
        "consistent",
        "derived figures follow from prices and quantity; prices on the tick grid",
    )
