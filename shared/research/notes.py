"""What a reader of a backtest must know, in words."""

from __future__ import annotations

from collections.abc import Sequence

from shared.clock import iso


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
