"""What counts as an anomaly, and one that was found: settings and records, no arithmetic."""

from __future__ import annotations

import math
from typing import Annotated

import msgspec

KINDS = ("jump", "return", "range", "volume", "quiet", "frozen")

Threshold = Annotated[float, msgspec.Meta(ge=1, le=1000)]


class Sensitivity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where on a figure is an anomaly.

    Parameters
    ----------
    kinds : tuple of str
        Which ones count.
    alarm : float
        Probability of a false ``jump`` within a year of a market that has none.
    returns, range, volume, quiet : float
        Robust deviations from the median.
    frozen : int
        Bars in a row.
    """

    kinds: tuple[str, ...] = KINDS
    alarm: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.01
    returns: Threshold = 12.0
    range: Threshold = 5.0
    volume: Threshold = 5.0
    quiet: Threshold = 5.0
    frozen: Annotated[int, msgspec.Meta(ge=2, le=48)] = 3

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise ValueError(f"unknown kind {kind}; use {', '.join(KINDS)}")

    def threshold(self, kind: str) -> float:
        """Figure of the kind from which on it is an anomaly."""
        if kind == "jump":
            return -math.log(-math.log(1.0 - self.alarm))
        return float(getattr(self, "returns" if kind == "return" else kind))


class Anomaly(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one bar that is out of the ordinary.

    Parameters
    ----------
    kind : str
    figure, threshold : float
        As :class:`Sensitivity` counts them: for ``jump`` the standardised maximum, for ``frozen``
        bars in a row, else robust deviations.
    value, usual : float
        What the bar had, and the median that it is compared with: the return (as a fraction, with
        its sign), the range as a share of the price, the volume in the base asset, seconds without
        a price. ``usual`` of a jump is the local deviation of returns, of a frozen price the share
        of bars that stand still.
    back : int
        How many bars before the one that is judged it was.
    """

    kind: str
    figure: float
    threshold: float
    value: float
    usual: float
    back: int = 0
