"""The Binance USD-M adapter. python-binance is imported on first use, not here."""

from shared.execution.binance.adapter import BinanceExchange
from shared.execution.binance.budget import LocalRateBudget, RateBudget
from shared.execution.binance.environment import (
    DEMO,
    PRODUCTION,
    Credentials,
    Environment,
    environment,
    simulated,
)

__all__ = [
    "DEMO",
    "PRODUCTION",
    "BinanceExchange",
    "Credentials",
    "Environment",
    "LocalRateBudget",
    "RateBudget",
    "environment",
    "simulated",
]
