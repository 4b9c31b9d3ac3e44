"""The market of a replay: candle files or the seeded generator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shared.market.files import load_market
from shared.simulation.candles import CandleSource
from shared.simulation.source import MarketSource
from shared.simulation.synthetic import SyntheticMarket

#: Bars before the range that strategies may need for their first signal.
WARMUP_BARS = 30_000


def from_files(
    folder: Path, symbols: Sequence[str], start_ms: int, end_ms: int
) -> tuple[MarketSource, int, int, list[str]]:
    """A source from candle files.

    Returns
    -------
    source, start, end, notes
        The range that the files really cover, and what a reader of the result should know.

    Raises
    ------
    InvalidInput, MarketDataError
        Saying which file, column, range or row is the trouble, and what to do.
    """
    markets = load_market(folder, symbols, start_ms, end_ms, warmup_bars=WARMUP_BARS)
    notes = [
        f"{s}: no mark price file; the mark price is the contract price"
        for s, m in markets.items()
        if m.mark is None
    ]
    notes += [
        f"{s}: no funding file; 0.01 % every 8 hours"
        for s, m in markets.items()
        if m.funding is None
    ]
    source = CandleSource(
        {s: m.candles for s, m in markets.items()},
        mark={s: m.mark for s, m in markets.items() if m.mark is not None},
        funding={
            s: list(zip(m.funding.time.tolist(), m.funding.rate.tolist(), strict=True))
            for s, m in markets.items()
            if m.funding is not None
        },
        older={s: m.longer for s, m in markets.items()},
    )
    start = max(m.start_ms for m in markets.values())
    end = min(m.end_ms for m in markets.values())
    return source, start, end, notes


def synthetic(seed: int, symbols: Sequence[str]) -> MarketSource:
    """The seeded generator."""
    return SyntheticMarket(seed, symbols)
