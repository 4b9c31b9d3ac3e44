"""One measured figure: what it is, its goal, and what a peer needs for the same."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

#: How much is measured: for the table, to see that it works, for a test.
Size = Literal["full", "quick", "tiny"]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table.

    ``goal`` is the largest value that meets it (the smallest where ``more_is_better``), ``None``
    where none was set. ``peer`` says who was measured in the same run, or which recording
    ``peer_value`` comes from; same unit.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    more_is_better: bool = False
    peer: str = ""
    peer_value: float | None = None
    note: str = ""
    low: float | None = None
    high: float | None = None
    runs: int = 1

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; ``None`` without one."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.more_is_better else self.value <= self.goal


def combined(runs: Sequence[Sequence[Figure]]) -> list[Figure]:
    """Medians over the runs of a section, with the range of values.

    Raises
    ------
    ValueError
        When the runs did not measure the same figures.
    """
    names = [f.name for f in runs[0]]
    if any([f.name for f in run] != names for run in runs):
        raise ValueError("runs of one section measured different figures")
    out = []
    for figures in zip(*runs, strict=True):
        values = [f.value for f in figures]
        peers = [f.peer_value for f in figures if f.peer_value is not None]
        middle = statistics.median(values)
        # The note belongs to the run that the median comes from.
        nearest = min(figures, key=lambda f: abs(f.value - middle))
        out.append(
            msgspec.structs.replace(
                nearest,
                value=middle,
                peer_value=statistics.median(peers) if peers else None,
                low=min(values),
                high=max(values),
                runs=len(values),
            )
        )
    return out


def percentile(values: Sequence[float], fraction: float) -> float:
    """The value that this fraction of all values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]
