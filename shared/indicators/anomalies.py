"""Bars that are out of the ordinary: jumps, bursts of range and volume, prices that stand still.

Every figure of a bar is computed from that bar and those before it, from its own window and not as
a running sum, with operations that give the same bits wherever the bar lies in an array. A live
window of :data:`HISTORY` bars and all of history therefore say the same of it.

Methods
-------
``jump``
    Lee and Mykland (2008): the return over the square root of the mean bipower variation of the
    bars before it (Barndorff-Nielsen and Shephard 2004), compared with the distribution of the
    largest such figure of a year without jumps.
``return``, ``range``, ``volume``, ``quiet``
    Distance from the median of the same hours of earlier weeks, in median absolute deviations
    times 1.4826 (Iglewicz and Hoaglin 1993; Rousseeuw and Croux 1993): of the size of the return,
    and of the logarithms of the bar's range and volume. ``quiet`` is a volume far below.
``frozen``
    Several bars in a row without any trade off the last price, where that is not usual.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.indicators.sensitivity import KINDS, Anomaly, Sensitivity
from shared.market.timeframe import DAY_MS, duration_ms

if TYPE_CHECKING:
    from shared.market.candle import Columns

Floats = NDArray[np.float64]

#: Bars that "the same hours of earlier weeks" reach back: thirteen weeks of hourly bars.
REFERENCE = 2184
#: Bars that are compared with at least, and earlier weeks or days at most.
LEAST, PERIODS = 39, 13
#: Weeks that have to fit into the reference; of shorter bars the same time of earlier days counts.
WEEKS = 6
#: Bars, the last one included, that the figures of a bar are computed from.
HISTORY = REFERENCE + LEAST // 2 + 2
#: Bars that are evaluated at once.
PIECE = 1 << 14

#: Times the median absolute deviation it is the standard deviation of a normal distribution.
MAD = 1.4826
#: Log returns as whole numbers, so that sums of them are exact in any order.
UNITS = 2.0**30
#: Mean absolute value of a standard normal variable.
_C = math.sqrt(2.0 / math.pi)
#: Share of bars that stand still above which a frozen price is nothing special.
OFTEN = 0.05


class Season(NamedTuple):
    """Which earlier bars one is compared with: ``periods`` times ``period`` bars back, and
    ``around`` bars to either side of each."""

    period: int
    periods: int
    around: int


def season(timeframe: str) -> Season:
    """The same hours of earlier weeks, or of earlier days where weeks are too many bars."""
    step = duration_ms(timeframe)
    day = DAY_MS // step
    week = 7 * day
    period = week if week * WEEKS <= REFERENCE else day
    periods = min(PERIODS, REFERENCE // period)
    around = math.ceil((LEAST / periods - 1) / 2)
    return Season(period, periods, max(1, around))


def scores(columns: Columns, *, last: int | None = None) -> dict[str, Floats]:
    """The figure of each kind, and what it is made of, at every bar or at the ``last`` ones.

    Returns
    -------
    dict
        Arrays by kind, and ``value`` and ``usual`` of each as ``kind.value`` and ``kind.usual``.
        NaN where a bar has no history.

    Raises
    ------
    InvalidInput
        When ``last`` is not at least one.
    """
    bars = len(columns)
    if last is not None and last < 1:
        raise InvalidInput(f"the last {last} bars cannot be judged")
    count = bars if last is None else min(last, bars)
    names = [n for kind in KINDS for n in (kind, f"{kind}.value", f"{kind}.usual")]
    found = {name: np.full(count, np.nan) for name in names}
    for start in range(max(HISTORY - 1, bars - count), bars, PIECE):
        stop = min(bars, start + PIECE)
        part = columns.window(start - HISTORY + 1, stop)
        at = np.arange(HISTORY - 1, len(part))
        place = slice(start - (bars - count), stop - (bars - count))
        for name, values in _of(part, at):
            found[name][place] = values
    return found


def _of(columns: Columns, at: NDArray[np.int64]) -> Iterator[tuple[str, Floats]]:
    """Figures of the bars ``at``, which have their history in the columns."""
    returns = _log_returns(columns)
    close_before = np.concatenate((columns.close[:1], columns.close[:-1]))
    yield from _jump(columns, returns, at)
    signed = returns / UNITS
    z, usual = _deviations(np.abs(signed), columns.timeframe, at)
    yield from zip(("return", "return.value", "return.usual"), (z, signed[at], usual), strict=True)
    span = (columns.high - columns.low) / close_before
    z, usual = _deviations(_logs(span), columns.timeframe, at)
    yield from zip(
        ("range", "range.value", "range.usual"), (z, span[at], np.exp(usual)), strict=True
    )
    z, usual = _deviations(_logs(columns.volume), columns.timeframe, at)
    for kind, figure in (("volume", z), ("quiet", -z)):
        yield kind, figure
        yield f"{kind}.value", columns.volume[at]
        yield f"{kind}.usual", np.exp(usual)
    yield from _frozen(columns, close_before, at)


def _log_returns(columns: Columns) -> NDArray[np.int64]:
    """Log returns in whole units; 0 for the first bar, which no figure reads."""
    logs = np.array(list(map(math.log, columns.close.tolist())))
    units = np.zeros(len(logs), np.int64)
    units[1:] = np.rint((logs[1:] - logs[:-1]) * UNITS)
    return units


def _logs(values: Floats) -> Floats:
    """Natural logarithms one by one: a vector's may differ in the last bit with its place."""
    return np.array([math.log(v) if v > 0.0 else -math.inf for v in values.tolist()])


def _jump(
    columns: Columns, returns: NDArray[np.int64], at: NDArray[np.int64]
) -> Iterator[tuple[str, Floats]]:
    """Lee and Mykland (2008), equations 7 and 11 to 13, over the bars of a year."""
    year = 365 * DAY_MS / duration_ms(columns.timeframe)
    # Their choice of the window: the least that exceeds the root of a year's observations.
    bars = max(8, math.ceil(math.sqrt(year)))
    size = np.abs(returns)
    pairs = np.concatenate((np.zeros(2, np.int64), size[1:] * size[:-1]))
    total = np.cumsum(pairs)
    # Pairs that end at bars i - bars + 2 to i - 1; pair j is at place j + 1.
    local = np.sqrt((total[at] - total[at - bars + 2]) / float(bars - 2))
    ratio = np.zeros(len(at))
    np.divide(size[at].astype(np.float64), local, out=ratio, where=local > 0.0)
    root = math.sqrt(2.0 * math.log(year))
    centre = root / _C - (math.log(math.pi) + math.log(math.log(year))) / (2.0 * _C * root)
    spread = 1.0 / (_C * root)
    yield "jump", (ratio - centre) / spread
    yield "jump.value", returns[at] / UNITS
    # Bipower variation is that of returns times the square of the mean absolute value.
    yield "jump.usual", local / UNITS / _C


def _deviations(values: Floats, timeframe: str, at: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Robust deviations of bars from the same hours before, and the medians of those."""
    when = season(timeframe)
    offsets = np.array(
        [
            around - back * when.period
            for back in range(1, when.periods + 1)
            for around in range(-when.around, when.around + 1)
        ]
    )
    before = values[at[:, None] + offsets]
    usual = np.median(before, axis=1)
    with np.errstate(invalid="ignore"):  # nothing less nothing, where bars without volume meet
        spread = np.median(np.abs(before - usual[:, None]), axis=1) * MAD
        apart = values[at] - usual
    z = np.zeros(len(at))
    usable = np.isfinite(spread) & (spread > 0.0) & ~np.isnan(apart)
    np.divide(apart, spread, out=z, where=usable)
    return np.clip(z, -1000.0, 1000.0), usual


def _frozen(
    columns: Columns, close_before: Floats, at: NDArray[np.int64]
) -> Iterator[tuple[str, Floats]]:
    """Bars in a row without any price but the last one, up to half of the reference.

    A market that has not moved for longer than that is closed, which is no news.
    """
    half = REFERENCE // 2
    still = (columns.high == columns.low) & (columns.close == close_before)
    still[0] = False
    total = np.concatenate(([0], np.cumsum(still)))
    moved = np.maximum.accumulate(np.where(still, 0, np.arange(len(still))))
    run = np.minimum(at - moved[at], half + 1)
    # How usual that is: the share of such bars among those before the run.
    before = at - run
    share = (total[before + 1] - total[before + 1 - half]) / half
    figure = np.where((share <= OFTEN) & (run <= half), run, 0)
    yield "frozen", figure.astype(np.float64)
    yield "frozen.value", run * (duration_ms(columns.timeframe) / 1000.0)
    yield "frozen.usual", share


def anomalies_at(
    found: dict[str, Floats], place: int, sensitivity: Sensitivity, back: int = 0
) -> list[Anomaly]:
    """What is out of the ordinary at one bar of :func:`scores`; empty without history."""
    told = []
    for kind in sensitivity.kinds:
        figure, threshold = float(found[kind][place]), sensitivity.threshold(kind)
        if figure >= threshold:  # NaN is not
            told.append(
                Anomaly(
                    kind=kind,
                    figure=figure,
                    threshold=threshold,
                    value=float(found[f"{kind}.value"][place]),
                    usual=float(found[f"{kind}.usual"][place]),
                    back=back,
                )
            )
    return told


def unusual(found: dict[str, Floats], sensitivity: Sensitivity) -> NDArray[np.bool_]:
    """Whether anything is out of the ordinary, at every bar of :func:`scores`."""
    flagged = np.zeros(len(found["jump"]), np.bool_)
    for kind in sensitivity.kinds:
        with np.errstate(invalid="ignore"):
            flagged |= found[kind] >= sensitivity.threshold(kind)
    return flagged
