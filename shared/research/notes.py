"""What a reader of a backtest must know, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from shared.clock import iso

if TYPE_CHECKING:
    from shared.research.config import BacktestConfig


def sentiment_notes(config: BacktestConfig) -> list[str]:
    """That sentiment, which the plan makes use of live, is none here."""
    used = [
        f"{symbol} {timeframe}"
        for symbol in config.symbols
        for timeframe in config.timeframes
        if config.signals.ensemble(symbol, timeframe).sentiment is not msgspec.UNSET
    ]
    if not used:
        return []
    return [
        f"the plan lets sentiment scale the signal ({', '.join(used)}); there are no recorded "
        "texts of the past, so here it is none, and live signals will differ"
    ]


def latched_notes(latches: Sequence[int], clear_after_ms: int) -> list[str]:
    """When the kill switch latched, and what that meant."""
    if not latches:
        return []
    first = iso(latches[0])
    if not clear_after_ms:
        return [f"the kill switch latched at {first}: nothing was opened afterwards"]
    hours = clear_after_ms / 3_600_000
    return [
        f"the kill switch latched {len(latches)} time(s), first at {first}; a person is assumed "
        f"to have cleared it {hours:g} hours later"
    ]
