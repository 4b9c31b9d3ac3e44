"""The market of a replay: candle files or the seeded generator."""

from __future__ import annotations

from collections.abc import Sequence

from shared.research.market import from_files as from_files
from shared.simulation.source import MarketSource
from shared.simulation.synthetic import SyntheticMarket


def synthetic(seed: int, symbols: Sequence[str]) -> MarketSource:
    """The seeded generator."""
    return SyntheticMarket(seed, symbols)
