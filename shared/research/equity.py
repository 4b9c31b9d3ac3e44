"""The equity curve by day and by calendar month, its returns and its drawdowns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.market.timeframe import DAY_MS
from shared.research.result import Result

#: Days of a year: crypto trades on all of them.
DAYS_A_YEAR = 365

Floats = NDArray[np.float64]
Times = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Curve:
    """Equity at ascending times, the start included.

    Attributes
    ----------
    time : int64 array
        UTC milliseconds; the first is the beginning of the first bar.
    equity : float64 array
        USDT.
    """

    time: Times
    equity: Floats

    @property
    def days(self) -> float:
        """Length in days."""
        return float(self.time[-1] - self.time[0]) / DAY_MS


def curve(result: Result) -> Curve:
    """All equity samples with the start before them.

    Raises
    ------
    InvalidInput
        When the result has no sample, or one that is not finite.
    """
    if len(result.time) == 0:
        raise InvalidInput("the result has no equity sample; was there a single bar?")
    if len(result.time) != len(result.equity) or not np.isfinite(result.equity).all():
        raise InvalidInput("the equity of the result is not one finite number per sample")
    if np.any(np.diff(result.time) <= 0):
        raise InvalidInput("the equity samples of the result are not in order")
    step = int(np.diff(result.time).min()) if len(result.time) > 1 else DAY_MS
    return Curve(
        np.concatenate(([result.time[0] - step], result.time)),
        np.concatenate(([result.start_equity], result.equity)),
    )


def daily(whole: Curve) -> Curve:
    """The last equity of each UTC day, the start before them.

    A sample at midnight closes the day before it. A first or last day that is only partly covered
    counts as a day.
    """
    day = (whole.time - 1) // DAY_MS
    day[0] = min(day[0], day[1] - 1) if len(day) > 1 else day[0]
    last = np.flatnonzero(np.append(np.diff(day) > 0, True))
    return Curve(whole.time[last], whole.equity[last])


def returns(of: Curve) -> Floats:
    """Simple returns from one sample to the next; -1 from the sample where nothing was left."""
    before, after = of.equity[:-1], of.equity[1:]
    out = np.zeros(len(after))
    np.divide(after - before, before, out=out, where=before > 0.0)
    return np.maximum(out, -1.0)


def daily_returns(result: Result) -> Floats:
    """Returns of the UTC days."""
    return returns(daily(curve(result)))


def drawdowns(equity: Floats) -> Floats:
    """Fall from the highest equity so far, as a fraction of it, at every sample; 0 at a peak."""
    peak = np.maximum.accumulate(equity)
    return np.asarray(np.divide(peak - equity, peak, out=np.ones(len(peak)), where=peak > 0.0))


@dataclass(frozen=True)
class Drawdown:
    """The deepest fall. Times are UTC milliseconds; ``recovered_at`` is ``None`` if never."""

    depth: float
    peak_at: int
    trough_at: int
    recovered_at: int | None


def deepest(of: Curve) -> Drawdown:
    """The largest fall from a peak, where it began, ended and was made good."""
    falls = drawdowns(of.equity)
    trough = int(np.argmax(falls))
    peak = int(np.argmax(of.equity[: trough + 1]))
    # The last time at that height before the fall is where it began.
    peak = trough - int(np.argmax(of.equity[: trough + 1][::-1] >= of.equity[peak]))
    back = np.flatnonzero(of.equity[trough:] >= of.equity[peak])
    return Drawdown(
        float(falls[trough]),
        int(of.time[peak]),
        int(of.time[trough]),
        int(of.time[trough + int(back[0])]) if len(back) else None,
    )


def longest_under_water(of: Curve) -> int:
    """Milliseconds of the longest time between a peak and the next equity as high (or the end)."""
    falls = drawdowns(of.equity) > 0.0
    if not falls.any():
        return 0
    edges = np.diff(np.concatenate(([False], falls, [False])).astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    # From the sample before the fall to the sample that regains it, or the last one.
    until = np.minimum(ends, len(falls) - 1)
    return int(np.max(of.time[until] - of.time[np.maximum(starts - 1, 0)]))


def calendar(time: Times, unit: str) -> NDArray[np.datetime64]:
    """Calendar month (``"M"``) or year (``"Y"``) in UTC that each closing time belongs to."""
    found: NDArray[np.datetime64] = (
        (time - 1).astype("datetime64[ms]").astype(f"datetime64[{unit}]")
    )
    return found


def by_calendar(whole: Curve, unit: str) -> tuple[list[str], Floats, Floats]:
    """Return and deepest drawdown of each month or year.

    Returns
    -------
    names, returns, drawdowns
        ``2025-03`` or ``2025``; fractions. The drawdown counts from the highest equity within
        the period, its opening included.
    """
    of = calendar(whole.time, unit)
    of[0] = of[1] if len(of) > 1 else of[0]
    edges = np.flatnonzero(np.append(of[1:] != of[:-1], True))
    names, gains, falls = [], [], []
    before = 0
    for edge in edges.tolist():
        part = whole.equity[before : edge + 1]
        names.append(str(of[edge]))
        gains.append(part[-1] / part[0] - 1.0 if part[0] > 0.0 else 0.0)
        falls.append(float(np.max(drawdowns(part))))
        before = edge
    return names, np.array(gains), np.array(falls)
