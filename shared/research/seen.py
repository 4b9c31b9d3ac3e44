"""Members that were fitted to data: where a backtest of them is out of sample, and where not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.clock import iso

if TYPE_CHECKING:
    from shared.research.config import BacktestConfig

_TRAINED = "was trained on bars until"


def seen(config: BacktestConfig) -> dict[str, int]:
    """Until when the members of a configuration that were fitted have seen data, UTC ms by name."""
    from shared.strategies.registry import strategy

    found: dict[str, int] = {}
    for symbol in config.symbols:
        for timeframe in config.timeframes:
            for member in config.signals.ensemble(symbol, timeframe).members:
                known = strategy(member.strategy)
                if known.seen_until is not None:
                    until = known.with_params(member.params).seen_until
                    found[member.strategy] = max(until, found.get(member.strategy, 0))
    return found


def seen_notes(config: BacktestConfig) -> list[str]:
    """What the result of a backtest must say about its members' training."""
    return [
        f"{name} {_TRAINED} {iso(until)}; what it earned before that is not out of sample"
        for name, until in seen(config).items()
        if until > config.start_ms
    ]


def is_seen_note(note: str) -> bool:
    """Whether a note is one of :func:`seen_notes`."""
    return _TRAINED in note
