"""Whether the portfolio may have one more position: asked by the gate and again by the ledger.

What is reserved may fill or not, so everything is judged for each case and the worst counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from shared.risk.checks import at_most, exact, not_judged, text
from shared.risk.correlation import clusters
from shared.risk.exposure import committed_risk
from shared.risk.history import MarketHistory
from shared.risk.holdings import fillings
from shared.risk.plan import Check, Exposure, OrderPlan
from shared.risk.portfolio_limits import PortfolioLimits
from shared.risk.value_at_risk import PortfolioRisk, portfolio_risk

ZERO = Decimal(0)
#: Names of the checks, in order.
PORTFOLIO_CHECKS = (
    "value_at_risk",
    "expected_shortfall",
    "marginal_shortfall",
    "cluster_notional",
    "heat",
)


def portfolio_checks(
    plan: OrderPlan | None,
    exposures: Sequence[Exposure],
    equity: Decimal | None,
    history: MarketHistory | None,
    limits: PortfolioLimits,
    why: str = "",
) -> tuple[Check, ...]:
    """Judge what there would be with the plan's position.

    Exposure that carries the plan's own decision id is not counted: it is the plan itself.

    Parameters
    ----------
    history : MarketHistory, optional
        ``None`` in records of before there were these checks and in backtests: then there are
        none. A contract that it does not know counts with an assumed loss.
    why : str
        Why there is no plan.

    Returns
    -------
    tuple of Check
        One per name of :data:`PORTFOLIO_CHECKS`; money in USDT.
    """
    if history is None:
        return ()
    with exact():
        if plan is None:
            return tuple(not_judged(name, f"not judged: {why}") for name in PORTFOLIO_CHECKS)
        others = [e for e in exposures if e.decision_id != plan.decision_id or not e.decision_id]
        signed = plan.worst_notional if plan.side == "BUY" else -plan.worst_notional
        if equity is None or equity <= 0:
            return _nothing_to_judge_by()
        return position_checks(
            plan.symbol, signed, plan.risk_amount, others, equity, history, limits
        )


def _nothing_to_judge_by() -> tuple[Check, ...]:
    why = "not judged: equity or exposure unknown"
    return tuple(not_judged(name, why) for name in PORTFOLIO_CHECKS)


def position_checks(
    symbol: str,
    notional: Decimal,
    risk: Decimal,
    others: Sequence[Exposure],
    equity: Decimal,
    history: MarketHistory,
    limits: PortfolioLimits,
) -> tuple[Check, ...]:
    """Judge a position of signed ``notional`` and ``risk`` to its stop beside what there is."""
    cases = fillings(others)
    if cases is None:
        return _nothing_to_judge_by()
    rules = limits.rules
    added = [{**held, symbol: held.get(symbol, ZERO) + notional} for held in cases]
    risks = [portfolio_risk(held, history, rules) for held in added]
    before = [portfolio_risk(held, history, rules) for held in cases]
    worst = max(risks, key=lambda r: r.value_at_risk)
    deepest = max(risks, key=lambda r: r.expected_shortfall)
    marginal = max(
        after.expected_shortfall - without.expected_shortfall
        for after, without in zip(risks, before, strict=True)
    )
    bundles = [
        next(c for c in clusters(held, history, limits.cluster_correlation) if symbol in c.symbols)
        for held in added
        if held[symbol]
    ]
    bundle = max(bundles, key=lambda c: c.net) if bundles else None
    at_risk = committed_risk(others)
    level = f"{text(limits.confidence * 100)} %, {limits.horizon_days} d"
    return (
        at_most(
            "value_at_risk",
            worst.value_at_risk,
            limits.max_value_at_risk * equity,
            f"USDT at {level}, this position included; {_origin(worst)}",
        ),
        at_most(
            "expected_shortfall",
            deepest.expected_shortfall,
            limits.max_expected_shortfall * equity,
            f"USDT, the mean beyond {level}, this position included; {_origin(deepest)}",
        ),
        at_most(
            "marginal_shortfall",
            marginal,
            limits.max_marginal_shortfall * equity,
            "USDT that this position adds to the expected shortfall",
        ),
        at_most(
            "cluster_notional",
            ZERO if bundle is None else bundle.net,
            limits.max_cluster_notional,
            "USDT net in "
            + ("no contract" if bundle is None else ", ".join(bundle.symbols))
            + f", which correlate with {text(limits.cluster_correlation)} or more or are unknown",
        ),
        at_most(
            "heat",
            None if at_risk is None else at_risk + risk,
            limits.max_heat * equity,
            "USDT lost if every stop is hit, this one included",
        ),
    )


def _origin(risk: PortfolioRisk) -> str:
    said = f"{risk.days} days of history"
    if risk.unknown:
        said += f", assumed for {', '.join(risk.unknown)}"
    return said
