"""Limits of the whole portfolio: ceilings in code, stricter values in configuration."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from shared.errors import ConfigurationError
from shared.risk.checks import finite, text
from shared.risk.value_at_risk import RiskRules

MAX_VALUE_AT_RISK = Decimal("0.20")
MAX_EXPECTED_SHORTFALL = Decimal("0.30")
MAX_MARGINAL_SHORTFALL = Decimal("0.15")
MAX_CLUSTER_NOTIONAL = Decimal(5000)
MAX_CLUSTER_CORRELATION = Decimal("0.9")
MAX_HEAT = Decimal("0.20")
#: The ceilings are for this level: at a lower one the same figure would allow more.
MIN_CONFIDENCE = Decimal("0.99")


class PortfolioLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What positions may amount to together. Fractions of equity, money in USDT.

    The defaults belong to the other ones: a day as bad as one in a hundred costs no more than the
    drawdown limit, the mean of those days half as much again, and one position adds at most half
    of that. With the default notionals and 5,000 USDT of equity none of them is met.

    Parameters
    ----------
    max_value_at_risk, max_expected_shortfall : Decimal
        Of the portfolio with the new position.
    max_marginal_shortfall : Decimal
        What the new position adds to the expected shortfall.
    max_cluster_notional : Decimal
        Net USDT in contracts that move together.
    cluster_correlation : Decimal
        From which correlation on they do.
    max_heat : Decimal
        Loss if every stop is hit, the new one included.
    confidence, horizon_days : Decimal, int
        Level at which risk is measured.

    Raises
    ------
    ConfigurationError
        On construction, naming every value that is looser than its ceiling or makes no sense.
    """

    max_value_at_risk: Decimal = Decimal("0.10")
    max_expected_shortfall: Decimal = Decimal("0.15")
    max_marginal_shortfall: Decimal = Decimal("0.075")
    max_cluster_notional: Decimal = Decimal(2000)
    cluster_correlation: Decimal = Decimal("0.7")
    max_heat: Decimal = Decimal("0.10")
    confidence: Decimal = Decimal("0.99")
    horizon_days: int = 1

    def __post_init__(self) -> None:
        problems = []
        for name, given, high in (
            ("max_value_at_risk", self.max_value_at_risk, MAX_VALUE_AT_RISK),
            ("max_expected_shortfall", self.max_expected_shortfall, MAX_EXPECTED_SHORTFALL),
            ("max_marginal_shortfall", self.max_marginal_shortfall, MAX_MARGINAL_SHORTFALL),
            ("max_cluster_notional", self.max_cluster_notional, MAX_CLUSTER_NOTIONAL),
            ("max_heat", self.max_heat, MAX_HEAT),
        ):
            number = finite(given)
            if number is None or not 0 < number <= high:
                problems.append(f"{name} is {given}; set a value above 0 and up to {text(high)}")
        for name, given, low, high in (
            (
                "cluster_correlation",
                self.cluster_correlation,
                Decimal("0.3"),
                MAX_CLUSTER_CORRELATION,
            ),
            ("confidence", self.confidence, MIN_CONFIDENCE, Decimal("0.995")),
            ("horizon_days", Decimal(self.horizon_days), Decimal(1), Decimal(10)),
        ):
            number = finite(given)
            if number is None or not low <= number <= high:
                problems.append(f"{name} is {given}; set a value from {text(low)} to {text(high)}")
        if problems:
            raise ConfigurationError(problems)

    @property
    def rules(self) -> RiskRules:
        """The level at which risk is measured."""
        return RiskRules(confidence=self.confidence, horizon_days=self.horizon_days)
