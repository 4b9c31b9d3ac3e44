"""Operations that tell how the account stands."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from functions.openapi.dashboard import DashboardAnswer, HaltInShort
from functions.openapi.operation import (
    Day,
    Millis,
    Money,
    Operation,
    Parameter,
    Shape,
    Side,
    When,
)


class HealthCheck(Shape):
    """One thing that trading needs."""

    ok: bool
    error: str | msgspec.UnsetType = msgspec.UNSET
    state: str | msgspec.UnsetType = msgspec.UNSET


class Health(Shape):
    status: str
    time: When
    checks: dict[str, HealthCheck]


class SwitchInShort(Shape):
    """The kill switch."""

    state: Literal["armed", "halted", "latched"]
    trigger: str | None
    evidence: dict[str, Any] | None
    halt: HaltInShort | None
    latched_at: Millis | None
    armed_at: Millis
    closing: bool
    flat_at: Millis | None
    outstanding_permits: int


class DrillInShort(Shape):
    """The last drill of the emergency stop."""

    at: Millis
    age_seconds: int
    passed: bool


class LimitsInShort(Shape):
    max_leverage: int
    max_position_notional: Money
    max_total_notional: Money
    max_daily_loss: Money
    max_drawdown: Money


class Status(Shape):
    time: When
    account: str
    stage: str
    stage_problems: list[str]
    kill_switch: SwitchInShort
    drill: DrillInShort | None
    equity: Money
    wallet_balance: Money
    unrealized_pnl: Money
    available_balance: Money
    equity_peak: Money
    drawdown: Money
    day: Day | str
    day_realized_pnl: Money
    trades_today: int
    reserved: Money
    limits: LimitsInShort


class Equity(Shape):
    """Pairs of UTC milliseconds and USDT, ascending."""

    time: When
    trades: int
    points: list[tuple[Millis, Money]]


class OpenPosition(Shape):
    """A position of the exchange; what only our record knows is null for a foreign one."""

    symbol: str
    side: Side
    quantity: Money
    entry_price: Money
    mark_price: Money
    unrealized_pnl: Money
    liquidation_price: Money
    decision_id: str | None
    stop_price: Money | None
    take_profit_price: Money | None
    time_exit: When | None
    opened_at: When | None
    orders_on_exchange: int


class Positions(Shape):
    positions: list[OpenPosition]


class Trading(Shape):
    """Figures of a number of trades; USDT where no other unit is in the name."""

    trades: int
    longs: int
    won: int
    lost: int
    win_rate: float | None
    profit_factor: float | None
    payoff: float | None
    expectancy: float | None
    expectancy_r: float | None
    median_r: float | None
    best: float | None
    worst: float | None
    longest_losing_streak: int
    mean_hours: float | None
    gross_pnl: Money
    fees: Money
    funding: Money
    net_pnl: Money


class Month(Shape):
    trades: int
    net_pnl: Money


class Performance(Shape):
    """Ratios are fractions; what is not defined is null."""

    account: str
    venue: str
    since: When | None
    until: When
    start_equity: Money
    end_equity: Money
    days: float | None
    total_return: float | None
    cagr: float | None
    volatility: float | None
    sharpe: float | None
    sharpe_above_zero: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown: float | None
    max_drawdown_from: When | None
    max_drawdown_to: When | None
    max_drawdown_recovered: When | None
    max_drawdown_days: float | None
    trading: Trading
    by_symbol: dict[str, Trading]
    by_month: dict[str, Month]
    notes: list[str]


OPERATIONS = (
    Operation(
        function="health",
        method="GET",
        route="health",
        summary="Whether the application can trade; names no figure of the account",
        answers={200: Health, 503: Health},
        key=False,
    ),
    Operation(
        function="status",
        method="GET",
        route="status",
        summary="Equity, day, drawdown, kill switch, stage, limits",
        answers={200: Status},
        errors=(502,),
    ),
    Operation(
        function="dashboard",
        method="GET",
        route="dashboard",
        summary="Everything the dashboard shows; what cannot be read is null and in problems",
        answers={200: DashboardAnswer},
    ),
    Operation(
        function="equity",
        method="GET",
        route="equity",
        summary="Realised equity after each of the last 500 closed trades",
        answers={200: Equity},
        errors=(502,),
    ),
    Operation(
        function="positions",
        method="GET",
        route="positions",
        summary="Open positions as the exchange has them, with our record of each",
        answers={200: Positions},
        errors=(502,),
    ),
    Operation(
        function="performance",
        method="GET",
        route="performance",
        summary="Sharpe ratio, drawdown, win rate and the like of the closed trades",
        answers={200: Performance},
        query=(
            Parameter("from", str, "a date or time, UTC"),
            Parameter("to", str, "a date or time, UTC, exclusive"),
        ),
        errors=(400, 502),
    ),
)
