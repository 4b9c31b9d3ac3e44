"""The heat map: which position is how close to what hurts, per symbol and figure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from shared.portfolio.exposed import Exposed, Held
from shared.risk.correlation import Component
from shared.risk.heat import risk_to_stop
from shared.risk.history import UNIT, MarketHistory

#: Columns in order: name, and what it says. All are fractions; larger is hotter, but for the two
#: distances, where smaller is.
COLUMNS = {
    "exposure": "notional over equity",
    "openRisk": "loss to the stop of now over equity",
    "valueAtRisk": "part of the portfolio's value at risk over equity",
    "expectedShortfall": "part of the portfolio's expected shortfall over equity",
    "volatility": "standard deviation of a day",
    "loss": "unrealised loss over equity",
    "stopDistance": "distance to the stop over the mark price",
    "liquidationDistance": "distance to the liquidation price over the mark price",
}
_NEAR = frozenset({"stopDistance", "liquidationDistance"})


def heat_map(now: Exposed, parts: Sequence[Component], cost_fraction: Decimal) -> dict[str, Any]:
    """Values per position, and a shade from 0 to 1: the share of the hottest in the column."""
    component = {c.symbol: c for c in parts}
    rows: list[dict[str, Any]] = [
        {"symbol": h.position.symbol, "values": _values(h, now, component, cost_fraction)}
        for h in now.held
    ]
    for row in rows:
        row["shades"] = {
            name: _shade(name, row["values"][name], [r["values"][name] for r in rows])
            for name in COLUMNS
        }
    return {"columns": COLUMNS, "rows": rows}


def _values(
    held: Held, now: Exposed, component: dict[str, Component], cost_fraction: Decimal
) -> dict[str, float | None]:
    position, equity = held.position, now.account.equity
    mark = position.mark_price
    part = component.get(position.symbol)
    open_risk = risk_to_stop(position.quantity, mark, held.stop_price, cost_fraction)

    def share(amount: Decimal | None) -> float | None:
        return None if amount is None or equity <= 0 else round(float(amount / equity), 6)

    def distance(price: Decimal | None) -> float | None:
        if price is None or price <= 0 or mark <= 0:
            return None
        return round(float((mark - price) / mark) * (1 if position.quantity > 0 else -1), 6)

    return {
        "exposure": share(abs(position.quantity * mark)),
        "openRisk": share(open_risk),
        "valueAtRisk": share(part.value_at_risk if part else None),
        "expectedShortfall": share(part.expected_shortfall if part else None),
        "volatility": _volatility(position.symbol, now.history),
        "loss": share(max(Decimal(0), -position.unrealized_pnl)),
        "stopDistance": distance(held.stop_price),
        "liquidationDistance": distance(position.liquidation_price),
    }


def _volatility(symbol: str, history: MarketHistory) -> float | None:
    series = history.series(symbol)
    if series is None:
        return None
    return round(float((sum(r * r for r in series) / len(series)) ** 0.5) / UNIT, 6)


def _shade(name: str, value: float | None, column: Sequence[float | None]) -> float | None:
    if value is None:
        return None
    known = [x for x in column if x is not None and x > 0]
    if not known:
        return 0.0
    if name in _NEAR:
        return 1.0 if value <= 0 else round(min(known) / value, 4)
    return round(max(0.0, value) / max(known), 4)
