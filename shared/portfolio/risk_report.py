"""The risk of the whole portfolio: value at risk by method, clusters, heat, and a heat map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from shared.clock import iso
from shared.errors import InvalidInput
from shared.execution.desk import Desk
from shared.portfolio import exposed
from shared.portfolio.exposed import Exposed
from shared.portfolio.heat_map import heat_map
from shared.risk import portfolio_limits as law
from shared.risk.checks import text
from shared.risk.correlation import Cluster, clusters, components
from shared.risk.heat import Heat, heat, risk_to_stop
from shared.risk.history import UNIT, MarketHistory
from shared.risk.holdings import fillings, holdings
from shared.risk.portfolio_limits import PortfolioLimits
from shared.risk.simulated_risk import Tail, bootstrap, cornish_fisher, multivariate_t
from shared.risk.value_at_risk import CENT, PortfolioRisk, RiskRules, portfolio_risk, profits

SEED = 7
#: What a caller may ask for.
CONFIDENCES = (Decimal("0.90"), Decimal("0.999"))
MAX_HORIZON_DAYS = 30


def report(
    desk: Desk,
    *,
    confidence: Decimal | None = None,
    horizon_days: int | None = None,
    seed: int = SEED,
) -> dict[str, Any]:
    """Figures of the account now; money as strings of USDT, shares and correlations as numbers.

    Parameters
    ----------
    confidence, horizon_days : optional
        Instead of the level at which the gate measures.
    seed : int
        Of the Monte Carlo methods.

    Raises
    ------
    InvalidInput
        For a level that cannot be used.
    """
    limits = desk.limits.portfolio
    rules = level(limits.rules, confidence, horizon_days)
    now = exposed.read(desk)
    both = holdings(now.exposures)
    if both is None:
        raise InvalidInput("an exposure is not a number; see the account's positions")
    held, coming = both
    risk = portfolio_risk(coming, now.history, rules)
    open_heat = heat(now.exposures, now.account.equity)
    parts = components(coming, now.history, rules)
    equity = now.account.equity
    bundles = clusters(coming, now.history, limits.cluster_correlation)
    return {
        "time": iso(now.at),
        "account": desk.account,
        "venue": desk.environment,
        "equity": str(equity),
        "confidence": str(rules.confidence),
        "horizonDays": rules.horizon_days,
        "historyDays": risk.days,
        "historyEnd": iso(now.history.end) if now.history.end else None,
        "holdings": {s: _money(x) for s, x in coming.items() if x},
        "reserved": {s: _money(coming[s] - held[s]) for s in coming if coming[s] != held[s]},
        "valueAtRisk": {
            **_methods(coming, now.history, rules, risk, seed),
            "assumed": _tail(risk.assumed.value_at_risk, risk.assumed.expected_shortfall),
            "decides": _tail(risk.value_at_risk, risk.expected_shortfall),
            "decidesOfEquity": _share(risk.value_at_risk, equity),
            "shortfallOfEquity": _share(risk.expected_shortfall, equity),
        },
        "components": [
            {
                "symbol": c.symbol,
                "notional": _money(c.notional),
                "valueAtRisk": _money(c.value_at_risk),
                "expectedShortfall": _money(c.expected_shortfall),
                "shareOfShortfall": _share(
                    c.expected_shortfall, sum((p.expected_shortfall for p in parts), Decimal(0))
                ),
            }
            for c in parts
        ],
        "clusters": [
            {"symbols": list(c.symbols), "gross": _money(c.gross), "net": _money(c.net)}
            for c in bundles
        ],
        "correlations": {pair: float(x) for pair, x in now.history.correlations.items()},
        "heat": _heat(now, open_heat, desk.sizing.cost_fraction),
        "heatMap": heat_map(now, parts, desk.sizing.cost_fraction),
        "limits": _limits(now, limits, bundles, open_heat),
        "notes": _notes(risk, now),
    }


def level(own: RiskRules, confidence: Decimal | None, horizon_days: int | None) -> RiskRules:
    """The level asked for, the gate's own where none is.

    Raises
    ------
    InvalidInput
        When it is outside what can be measured.
    """
    chosen = RiskRules(
        confidence=own.confidence if confidence is None else confidence,
        horizon_days=own.horizon_days if horizon_days is None else horizon_days,
    )
    low, high = CONFIDENCES
    if not (chosen.confidence.is_finite() and low <= chosen.confidence <= high):
        raise InvalidInput(f"confidence is {chosen.confidence}; use {low} to {high}")
    if not 1 <= chosen.horizon_days <= MAX_HORIZON_DAYS:
        raise InvalidInput(f"horizon is {chosen.horizon_days} days; use 1 to {MAX_HORIZON_DAYS}")
    return chosen


def _methods(
    held: Mapping[str, Decimal],
    history: MarketHistory,
    rules: RiskRules,
    risk: PortfolioRisk,
    seed: int,
) -> dict[str, Any]:
    import numpy as np

    assumed = risk.assumed
    added = float(assumed.value_at_risk), float(assumed.expected_shortfall)
    gains, unknown = profits(held, history)
    money = [g * float(CENT) / UNIT for g in gains]
    confidence, days = float(rules.confidence), rules.horizon_days
    known = [s for s in sorted(held) if held[s] and s not in unknown]
    returns = np.array([(history.series(s) or ())[-len(gains) :] for s in known], dtype=np.float64)

    def told(tail: Tail | None, scale: float = 1.0) -> dict[str, str] | None:
        if tail is None:
            return None
        return _tail(
            Decimal(f"{tail.value_at_risk * scale + added[0]:.4f}"),
            Decimal(f"{tail.expected_shortfall * scale + added[1]:.4f}"),
        )

    nothing = Tail(value_at_risk=0.0, expected_shortfall=0.0)
    return {
        "historical": _tail(risk.historical.value_at_risk, risk.historical.expected_shortfall),
        "normal": _tail(risk.normal.value_at_risk, risk.normal.expected_shortfall),
        "cornishFisher": told(
            cornish_fisher(money, confidence) if money else nothing, float(days) ** 0.5
        ),
        "bootstrap": told(bootstrap(money, confidence, days, seed=seed)),
        "studentT": told(
            multivariate_t(
                [float(held[s]) for s in known], returns / UNIT, confidence, days, seed=seed
            )
            if known
            else nothing
        ),
    }


def _limits(
    now: Exposed,
    limits: PortfolioLimits,
    bundles: Sequence[Cluster],
    open_heat: Heat | None,
) -> dict[str, Any]:
    """What is used of each limit at the gate's own level, whichever was asked for."""
    equity = now.account.equity
    cases = fillings(now.exposures) or ({},)
    risks = [portfolio_risk(held, now.history, limits.rules) for held in cases]
    added = (_added(held, s, now.history, limits.rules) for held in cases for s in held)
    known: list[tuple[str, Decimal, Decimal, Decimal]] = [
        (
            "maxValueAtRisk",
            max(r.value_at_risk for r in risks),
            limits.max_value_at_risk * equity,
            law.MAX_VALUE_AT_RISK * equity,
        ),
        (
            "maxExpectedShortfall",
            max(r.expected_shortfall for r in risks),
            limits.max_expected_shortfall * equity,
            law.MAX_EXPECTED_SHORTFALL * equity,
        ),
        (
            "maxMarginalShortfall",
            max(added, default=Decimal(0)),
            limits.max_marginal_shortfall * equity,
            law.MAX_MARGINAL_SHORTFALL * equity,
        ),
        (
            "maxClusterNotional",
            max((c.net for c in bundles), default=Decimal(0)),
            limits.max_cluster_notional,
            law.MAX_CLUSTER_NOTIONAL,
        ),
        (
            "maxHeat",
            Decimal(0) if open_heat is None else open_heat.open_risk,
            limits.max_heat * equity,
            law.MAX_HEAT * equity,
        ),
    ]
    return {
        name: {
            "value": _money(value),
            "limit": _money(limit),
            "ceiling": _money(ceiling),
            "used": _share(value, limit),
        }
        for name, value, limit, ceiling in known
    }


def _added(
    held: Mapping[str, Decimal], symbol: str, history: MarketHistory, rules: RiskRules
) -> Decimal:
    """What one holding adds to the expected shortfall of the others; a hedge adds nothing."""
    others = {s: x for s, x in held.items() if s != symbol}
    whole = portfolio_risk(held, history, rules).expected_shortfall
    return max(Decimal(0), whole - portfolio_risk(others, history, rules).expected_shortfall)


def _heat(now: Exposed, found: Heat | None, cost_fraction: Decimal) -> dict[str, Any]:
    equity = now.account.equity
    current = sum(
        (
            risk_to_stop(h.position.quantity, h.position.mark_price, h.stop_price, cost_fraction)
            for h in now.held
        ),
        Decimal(0),
    )
    return {
        "openRisk": None if found is None else _money(found.open_risk),
        "ofEquity": None if found is None else _share(found.open_risk, equity),
        "bySymbol": {} if found is None else {s: _money(x) for s, x in found.by_symbol.items()},
        "toStopsNow": _money(current),
        "withoutStop": [h.position.symbol for h in now.held if h.stop_price is None],
    }


def _notes(risk: PortfolioRisk, now: Exposed) -> list[str]:
    notes = []
    if not now.exposures:
        notes.append("nothing is held")
    if risk.unknown:
        notes.append(
            f"too little history of {', '.join(risk.unknown)}: a loss of 20 % (value at risk) and "
            "30 % (shortfall) a day is assumed, on top of the rest"
        )
    for h in now.held:
        if h.stop_price is None:
            notes.append(f"{h.position.symbol} has no stop on the exchange that covers all of it")
    return notes


def _tail(value_at_risk: Decimal, expected_shortfall: Decimal) -> dict[str, str]:
    return {
        "valueAtRisk": _money(value_at_risk),
        "expectedShortfall": _money(expected_shortfall),
    }


def _money(amount: Decimal) -> str:
    return text(amount.quantize(Decimal("0.0001"))) or "0"


def _share(amount: Decimal, whole: Decimal) -> float | None:
    return round(float(amount / whole), 6) if whole > 0 else None
