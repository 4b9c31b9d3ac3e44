"""Value at risk and expected shortfall of a portfolio, exact to the last digit.

Losses are positive. With confidence ``c`` and ``n`` days the value at risk is the smallest loss
that was exceeded on at most ``n (1 - c)`` of them, and the expected shortfall is the mean of the
worst ``n (1 - c)`` days, the last of them counted in part (Acerbi and Tasche, "On the coherence of
expected shortfall", Journal of Banking & Finance 26, 2002): a portfolio's shortfall never exceeds
the sum of its parts'. Horizons of more than a day scale with the square root of time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from operator import add, mul

import msgspec

from shared.risk.checks import exact
from shared.risk.history import UNIT, MarketHistory

ZERO = Decimal(0)
CENT = Decimal("0.01")
#: Loss in a day that is assumed, in whichever direction it is held, of a contract without enough
#: history: a fraction of its notional, at the level of value at risk and of expected shortfall.
#: In the median year of 2020 to 2025 (99 %, one day) BTC, ETH, XRP and ADA stood at 10 to 15 % and
#: 11 to 29 %; assumed losses are added up, while those never all fall on the same day.
UNKNOWN_VAR = Decimal("0.20")
UNKNOWN_SHORTFALL = Decimal("0.30")


#: Of the usual levels, so that a cold start need not import what computes them.
_FACTORS = {
    Decimal("0.95"): (Decimal("1.644854"), Decimal("2.062713")),
    Decimal("0.975"): (Decimal("1.959964"), Decimal("2.337803")),
    Decimal("0.99"): (Decimal("2.326348"), Decimal("2.665214")),
}


class RiskRules(msgspec.Struct, frozen=True, kw_only=True):
    """At which level risk is measured: confidence, and the horizon in days."""

    confidence: Decimal = Decimal("0.99")
    horizon_days: int = 1


class TailRisk(msgspec.Struct, frozen=True, kw_only=True):
    """Value at risk and expected shortfall, USDT, positive for a loss."""

    value_at_risk: Decimal
    expected_shortfall: Decimal


class PortfolioRisk(msgspec.Struct, frozen=True, kw_only=True):
    """Tail risk of a portfolio by method; ``assumed`` is of contracts without enough history.

    ``days`` is how many days were looked at, ``unknown`` names the symbols that are assumed. The
    assumed part is in both methods: added, as if it were lost on the same day as the rest.
    """

    historical: TailRisk
    normal: TailRisk
    assumed: TailRisk
    days: int
    unknown: tuple[str, ...]

    @property
    def value_at_risk(self) -> Decimal:
        """The larger of the methods'."""
        return max(self.historical.value_at_risk, self.normal.value_at_risk)

    @property
    def expected_shortfall(self) -> Decimal:
        """The larger of the methods'."""
        return max(self.historical.expected_shortfall, self.normal.expected_shortfall)


def profits(
    holdings: Mapping[str, Decimal], history: MarketHistory
) -> tuple[list[int], tuple[str, ...]]:
    """What the holdings would have earned on each past day, and the symbols that have no past.

    Parameters
    ----------
    holdings : mapping
        Symbol -> signed notional in USDT, negative for a short.
    history : MarketHistory

    Returns
    -------
    list of int
        In cents times :data:`~shared.risk.history.UNIT`, oldest first, over the days that all
        known symbols have.
    tuple of str
        Symbols without enough history.
    """
    known, unknown = _known(holdings, history)
    return list(_summed(known)), unknown


def _known(
    holdings: Mapping[str, Decimal], history: MarketHistory
) -> tuple[tuple[tuple[int, tuple[int, ...]], ...], tuple[str, ...]]:
    """Cents and returns of each holding that has a past, and the symbols that have none."""
    known: list[tuple[int, tuple[int, ...]]] = []
    unknown = []
    # In the order given: what is added last costs one addition to what was summed before.
    for symbol, notional in holdings.items():
        if not notional:
            continue
        series = history.series(symbol)
        if series is None:
            unknown.append(symbol)
            continue
        known.append((int((notional / CENT).to_integral_value(ROUND_HALF_EVEN)), series))
    return tuple(known), tuple(sorted(unknown))


def _samples(known: tuple[tuple[int, tuple[int, ...]], ...]) -> list[Sequence[int]]:
    """Profits of the days all have; and, where one is young, of all days, without it before.

    A contract of half a year must not make the others' worst days of before forgotten.
    """
    together = _summed(known)
    longest = max((len(series) for _, series in known), default=0)
    if len(together) == longest:
        return [together]
    whole = [0] * longest
    for cents, series in known:
        for at, one in enumerate(series, longest - len(series)):
            whole[at] += cents * one
    return [together, whole]


@lru_cache(maxsize=64)
def _summed(known: tuple[tuple[int, tuple[int, ...]], ...]) -> tuple[int, ...]:
    """Profits of each day all have; whole numbers, so that the order of adding changes nothing."""
    if not known:
        return ()
    cents, series = known[-1]
    last = tuple(map(cents.__mul__, series))
    if len(known) == 1:
        return last
    before = _summed(known[:-1])
    days = min(len(before), len(last))
    return tuple(map(add, before[-days:], last[-days:]))


def portfolio_risk(
    holdings: Mapping[str, Decimal], history: MarketHistory, rules: RiskRules
) -> PortfolioRisk:
    """Tail risk of signed notionals by history and by the normal distribution."""
    return _portfolio_risk(
        tuple((s, x, history.returns.get(s, "")) for s, x in holdings.items() if x), rules
    )


# The ledger asks what the gate has just asked, of the same texts.
@lru_cache(maxsize=64)
def _portfolio_risk(held: tuple[tuple[str, Decimal, str], ...], rules: RiskRules) -> PortfolioRisk:
    holdings = {symbol: notional for symbol, notional, _ in held}
    history = MarketHistory(end=0, returns={symbol: text for symbol, _, text in held})
    with exact():
        known, unknown = _known(holdings, history)
        samples = _samples(known)
        root = Decimal(rules.horizon_days).sqrt()
        gross = sum((abs(holdings[s]) for s in unknown), ZERO)
        assumed = TailRisk(
            value_at_risk=_cents(gross * UNKNOWN_VAR * root),
            expected_shortfall=_cents(gross * UNKNOWN_SHORTFALL * root),
        )
        scale = root * CENT / UNIT
        return PortfolioRisk(
            historical=_scaled(_larger(historical, samples, rules), scale, assumed),
            normal=_scaled(_larger(normal, samples, rules), scale, assumed),
            assumed=assumed,
            days=len(samples[0]),
            unknown=unknown,
        )


def _larger(
    method: Callable[[Sequence[int], Decimal], TailRisk],
    samples: Sequence[Sequence[int]],
    rules: RiskRules,
) -> TailRisk:
    found = [method(gains, rules.confidence) for gains in samples]
    return TailRisk(
        value_at_risk=max(t.value_at_risk for t in found),
        expected_shortfall=max(t.expected_shortfall for t in found),
    )


def historical(gains: Sequence[int], confidence: Decimal) -> TailRisk:
    """Tail risk of past profits, in their own unit; a loss is positive."""
    if not gains:
        return TailRisk(value_at_risk=ZERO, expected_shortfall=ZERO)
    with exact():
        ordered = sorted(gains)
        tail = len(ordered) * (1 - confidence)
        whole = int(tail)
        # The next one counts with the rest of the tail; with whole days only, not at all.
        last = -ordered[min(whole, len(ordered) - 1)]
        mean = ((tail - whole) * last - sum(ordered[:whole])) / tail
        return TailRisk(value_at_risk=Decimal(last), expected_shortfall=mean)


def normal(gains: Sequence[int], confidence: Decimal) -> TailRisk:
    """Tail risk if profits were normal around zero, in their own unit.

    The mean is taken as zero, as RiskMetrics does: that of a year says nothing about tomorrow.
    """
    if not gains:
        return TailRisk(value_at_risk=ZERO, expected_shortfall=ZERO)
    with exact():
        deviation = (Decimal(sum(map(mul, gains, gains))) / len(gains)).sqrt()
        quantile, mean = normal_factors(confidence)
        return TailRisk(value_at_risk=quantile * deviation, expected_shortfall=mean * deviation)


@lru_cache(maxsize=32)
def normal_factors(confidence: Decimal) -> tuple[Decimal, Decimal]:
    """Quantile of the standard normal distribution and the mean beyond it, six digits.

    Rounded, so that the last bits of a machine's logarithm decide nothing.
    """
    known = _FACTORS.get(confidence)
    if known is not None:
        return known
    from statistics import NormalDist

    z = NormalDist().inv_cdf(float(confidence))
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return Decimal(f"{z:.6f}"), Decimal(f"{density / (1 - float(confidence)):.6f}")


def _scaled(risk: TailRisk, scale: Decimal, assumed: TailRisk) -> TailRisk:
    return TailRisk(
        value_at_risk=_cents(risk.value_at_risk * scale + assumed.value_at_risk),
        expected_shortfall=_cents(risk.expected_shortfall * scale + assumed.expected_shortfall),
    )


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.0001"), ROUND_HALF_EVEN)
