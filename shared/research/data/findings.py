"""What an audit of candle files found."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

#: ``error``: replay and backtest refuse a range with it. ``warning``: a person should look.
Severity = Literal["error", "warning"]


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing in one place; ``start`` and ``end`` are UTC ms, ``count`` rows or candles."""

    severity: Severity
    kind: str
    file: str
    start: int
    end: int
    count: int
    text: str


class FileSummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One file that was read; times are those of its first and last row."""

    file: str
    rows: int
    first: int
    last: int


class AuditReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything an audit has to say, findings by file and time."""

    files: list[FileSummary]
    findings: list[Finding]

    @property
    def errors(self) -> int:
        return sum(f.severity == "error" for f in self.findings)


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Ranges ``[a, b)`` of places where a mask holds."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
