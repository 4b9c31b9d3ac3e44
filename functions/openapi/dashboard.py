"""The answer of ``GET /api/dashboard``. A part that could not be read is null."""

from __future__ import annotations

from typing import Any, Literal

from functions.openapi.operation import Day, Millis, Money, Shape, Side, When
from shared.portfolio.gauges import Gauge


class HaltInShort(Shape):
    """What the exchange has refused, so that a person has to look: ``code`` is Binance's."""

    code: int
    status: int
    reason: str
    at: Millis


class DashboardSwitch(Shape):
    state: Literal["armed", "halted", "latched"]
    trigger: str | None
    evidence: dict[str, Any] | None
    halt: HaltInShort | None
    latched_at: Millis | None
    armed_at: Millis
    closing: bool
    flat_at: Millis | None
    outstanding_permits: int


class DashboardDrill(Shape):
    at: Millis
    age_seconds: int
    passed: bool


class DashboardMoney(Shape):
    """``dayResult`` is equity less what the UTC day began with."""

    equity: Money
    wallet_balance: Money
    unrealized_pnl: Money
    available_balance: Money
    equity_peak: Money
    drawdown: Money
    day: Day | str
    day_result: Money | None
    day_realized_pnl: Money
    trades_today: int


class DashboardPosition(Shape):
    """``rNow`` is the unrealised result over the amount risked at entry."""

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
    notional: Money
    risk_amount: Money | None
    r_now: Money | None
    leverage: int | None
    timeframe: str | None


class DashboardExposure(Shape):
    symbol: str
    side: Side | None
    notional: Money
    share: float
    unrealized_pnl: Money | None


class DashboardApproval(Shape):
    id: str
    symbol: str
    nonce: str
    state: str
    requested_at: Millis
    expires_at: Millis
    summary: str
    operator: str


class DashboardVote(Shape):
    """``model`` is the version of the model that voted; empty where a formula did."""

    strategy: str
    vote: float
    weight: float
    model: str


class DashboardSignal(Shape):
    id: str
    symbol: str
    timeframe: str
    bar_close_time: Millis
    side: Side | None
    strength: float
    threshold: float
    close: float
    votes: list[DashboardVote]


class DashboardDecision(Shape):
    """``votes`` are those of models alone."""

    id: str
    symbol: str
    timeframe: str
    side: Side | None
    strength: float
    threshold: float
    outcome: str
    why: str
    decided_at: Millis
    votes: list[DashboardVote]


class DashboardTrade(Shape):
    id: str
    symbol: str
    side: Side
    quantity: Money
    entry_price: Money
    exit_price: Money
    opened_at: Millis
    closed_at: Millis
    fees: Money
    funding: Money
    net_pnl: Money
    r_multiple: Money
    exit_reason: str


class DashboardOrder(Shape):
    id: str
    symbol: str
    side: Side
    type: str
    quantity: Money
    price: Money | None
    trigger_price: Money | None
    state: str
    created_at: Millis
    average_price: Money | None


class DashboardAlert(Shape):
    id: str
    severity: str
    kind: str
    title: str
    text: str
    time: When
    state: str


class DashboardViolation(Shape):
    id: str
    kind: str
    severity: str | None
    symbol: str
    text: str
    time: Millis
    state: str


class DashboardHealth(Shape):
    name: str
    state: Literal["ok", "late", "failing", "warning", "unknown"]
    detail: str
    at: Millis | None


class DashboardAnswer(Shape):
    """The account now; lists hold the newest 12, signals the newest of every market."""

    time: When
    seen_at: When
    refresh_seconds: int
    account: str
    environment: str
    stage: str
    stage_problems: list[str]
    needs_approval: bool
    kill_switch: DashboardSwitch | None
    drill: DashboardDrill | None
    money: DashboardMoney | None
    gauges: list[Gauge] | None
    positions: list[DashboardPosition] | None
    exposure: list[DashboardExposure] | None
    approvals: list[DashboardApproval] | None
    models: list[str] | None
    signals: list[DashboardSignal] | None
    decisions: list[DashboardDecision] | None
    trades: list[DashboardTrade] | None
    orders: list[DashboardOrder] | None
    alerts: list[DashboardAlert] | None
    violations: list[DashboardViolation] | None
    health: list[DashboardHealth]
    problems: list[str]
