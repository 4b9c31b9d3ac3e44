"""What moves together: clusters of contracts, and what each holding adds to the risk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from shared.risk.checks import exact
from shared.risk.history import UNIT, MarketHistory
from shared.risk.value_at_risk import CENT, RiskRules, normal_factors, profits

ZERO = Decimal(0)
PLACES = Decimal("0.0001")


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """Contracts whose correlations join them, with the USDT held in them.

    ``gross`` adds notionals up whatever their direction; ``net`` is what is at stake when all
    move together, never negative. A contract whose correlations are unknown joins every other,
    and its notional adds to ``net`` in whichever direction it is held.
    """

    symbols: tuple[str, ...]
    gross: Decimal
    net: Decimal


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """What one holding adds to the whole, USDT; negative for a hedge.

    The components of a measure add up to the portfolio's (Euler allocation). ``value_at_risk`` is
    that of the normal method, ``expected_shortfall`` the holding's part of the historical one.
    """

    symbol: str
    notional: Decimal
    value_at_risk: Decimal
    expected_shortfall: Decimal


def clusters(
    holdings: Mapping[str, Decimal], history: MarketHistory, threshold: Decimal
) -> tuple[Cluster, ...]:
    """Groups of holdings that are linked by correlations of ``threshold`` or more.

    Two contracts are together when a chain of such pairs leads from one to the other. The
    largest net comes first.
    """
    with exact():
        groups = [{s} for s in sorted(holdings) if holdings[s]]
        merged = True
        while merged:
            merged = False
            for at, group in enumerate(groups):
                for other in groups[at + 1 :]:
                    if _linked(group, other, history, threshold):
                        group |= other
                        groups.remove(other)
                        merged = True
                        break
                if merged:
                    break
        found = [_cluster(group, holdings, history) for group in groups]
        return tuple(sorted(found, key=lambda c: (-c.net, c.symbols)))


def _linked(
    one: Iterable[str], other: Iterable[str], history: MarketHistory, threshold: Decimal
) -> bool:
    for a in one:
        for b in other:
            known = history.correlation(a, b)
            if known is None or known >= threshold:
                return True
    return False


def _cluster(symbols: set[str], holdings: Mapping[str, Decimal], history: MarketHistory) -> Cluster:
    together = opposed = ZERO
    for symbol in sorted(symbols):
        if history.series(symbol) is None:
            opposed += abs(holdings[symbol])
        else:
            together += holdings[symbol]
    return Cluster(
        symbols=tuple(sorted(symbols)),
        gross=sum((abs(holdings[s]) for s in symbols), ZERO),
        net=abs(together) + opposed,
    )


def components(
    holdings: Mapping[str, Decimal], history: MarketHistory, rules: RiskRules
) -> tuple[Component, ...]:
    """Each known holding's part of the portfolio's tail risk, the largest first."""
    with exact():
        gains, unknown = profits(holdings, history)
        days = len(gains)
        if not days:
            return ()
        root = Decimal(rules.horizon_days).sqrt()
        second = Decimal(sum(g * g for g in gains)) / days
        quantile, _ = normal_factors(rules.confidence)
        weights = _tail_weights(gains, rules.confidence)
        found = []
        for symbol in sorted(holdings):
            series = history.series(symbol)
            if not holdings[symbol] or symbol in unknown or series is None:
                continue
            recent = series[-days:]
            shared = Decimal(sum(g * r for g, r in zip(gains, recent, strict=True))) / days
            beta = shared / second if second else ZERO
            volatility = second.sqrt() * CENT / UNIT
            lost = -sum((w * recent[day] for day, w in weights), ZERO) / UNIT
            found.append(
                Component(
                    symbol=symbol,
                    notional=holdings[symbol],
                    # beta is in units of 1 / cent: profits are cents times UNIT, returns UNIT.
                    value_at_risk=(
                        quantile * volatility * beta * holdings[symbol] / CENT * root
                    ).quantize(PLACES),
                    expected_shortfall=(lost * holdings[symbol] * root).quantize(PLACES),
                )
            )
        return tuple(sorted(found, key=lambda c: (-c.expected_shortfall, c.symbol)))


def _tail_weights(gains: list[int], confidence: Decimal) -> list[tuple[int, Decimal]]:
    """The days of the tail and how much each counts; the weights add up to 1."""
    order = sorted(range(len(gains)), key=lambda day: (gains[day], day))
    tail = len(gains) * (1 - confidence)
    whole = int(tail)
    found = [(day, Decimal(1) / tail) for day in order[:whole]]
    if tail > whole:
        found.append((order[whole], (tail - whole) / tail))
    return found


def beta(symbol: str, market: str, history: MarketHistory) -> Decimal | None:
    """How many percent a contract has moved per percent of another; ``None`` if unknown."""
    one, other = history.series(symbol), history.series(market)
    if one is None or other is None:
        return None
    days = min(len(one), len(other))
    a, b = one[-days:], other[-days:]
    with exact():
        variance = sum(x * x for x in b)
        if not variance:
            return None
        covariance = sum(x * y for x, y in zip(a, b, strict=True))
        return (Decimal(covariance) / variance).quantize(PLACES)
