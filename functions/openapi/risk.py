"""Operations on the risk of the whole portfolio."""

from __future__ import annotations

from functions.openapi.operation import Money, Operation, Parameter, Shape, When
from functions.risk import StressRequest


class Tail(Shape):
    value_at_risk: Money
    expected_shortfall: Money


class ValueAtRisk(Shape):
    """By method; one that cannot say anything is null."""

    historical: Tail | None
    normal: Tail | None
    cornish_fisher: Tail | None
    bootstrap: Tail | None
    student_t: Tail | None
    assumed: Tail
    decides: Tail
    decides_of_equity: float | None
    shortfall_of_equity: float | None


class RiskComponent(Shape):
    symbol: str
    notional: Money
    value_at_risk: Money
    expected_shortfall: Money
    share_of_shortfall: float | None


class RiskCluster(Shape):
    symbols: list[str]
    gross: Money
    net: Money


class OpenHeat(Shape):
    open_risk: Money | None
    of_equity: float | None
    by_symbol: dict[str, Money]
    to_stops_now: Money
    without_stop: list[str]


class HeatRow(Shape):
    symbol: str
    values: dict[str, float | None]
    shades: dict[str, float | None]


class HeatMap(Shape):
    columns: dict[str, str]
    rows: list[HeatRow]


class UsedLimit(Shape):
    """``ceiling`` is the constant in code that no configuration can exceed."""

    value: Money
    limit: Money
    ceiling: Money
    used: float | None


class RiskReport(Shape):
    """Money in USDT; holdings are signed, negative for a short."""

    time: When
    account: str
    venue: str
    equity: Money
    confidence: Money
    horizon_days: int
    history_days: int
    history_end: When | None
    holdings: dict[str, Money]
    reserved: dict[str, Money]
    value_at_risk: ValueAtRisk
    components: list[RiskComponent]
    clusters: list[RiskCluster]
    correlations: dict[str, float]
    heat: OpenHeat
    heat_map: HeatMap
    limits: dict[str, UsedLimit]
    notes: list[str]


class StressedPosition(Shape):
    symbol: str
    shock: Money | None
    shock_from: str
    outcome: str
    price: Money | None
    pnl: Money | None


class StressOutcome(Shape):
    id: str
    title: str
    approximate: bool
    source: str
    pnl: Money | None
    pnl_of_equity: float | None
    pnl_without_stops: Money | None
    equity_after: Money | None
    drawdown_after: Money | None
    liquidated: list[str]
    liquidated_without_stops: list[str]
    limits: list[str]
    positions: list[StressedPosition]


class StressAnswer(Shape):
    """The worst scenario comes first."""

    time: When
    account: str
    venue: str
    equity: Money
    stop_gap: Money
    results: list[StressOutcome]
    notes: list[str]


OPERATIONS = (
    Operation(
        function="risk",
        method="GET",
        route="risk",
        summary="Value at risk, expected shortfall, clusters, heat and heat map of what is held",
        answers={200: RiskReport},
        query=(
            Parameter("confidence", float, "0.90 to 0.999; the gate's own where it is left out"),
            Parameter("horizon", int, "days, 1 to 30; the gate's own where it is left out"),
            Parameter("seed", int, "of the Monte Carlo methods"),
        ),
        errors=(400, 502),
    ),
    Operation(
        function="stress",
        method="POST",
        route="risk/stress",
        summary="Crashes of the past, or shocks of one's own, played on what is held",
        body=StressRequest,
        body_required=False,
        answers={200: StressAnswer},
        errors=(502,),
    ),
)
