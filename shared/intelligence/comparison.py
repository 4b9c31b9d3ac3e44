"""Challenger against champion on the same bars: who was less surprised by what came, and how sure.

The loss of a row is the negative log likelihood of its label; what is judged is the mean of the
differences, champion less challenger (Diebold and Mariano, "Comparing Predictive Accuracy", Journal
of Business & Economic Statistics 13, 1995). Labels of bars nearer than the horizon share what came,
and so do contracts that move together. So differences are summed over the contracts of a bar and
the variance of the mean is that of these sums with Bartlett's weights (Newey and West, Econometrica
55, 1987; over contracts: Driscoll and Kraay, Review of Economics and Statistics 80, 1998), over
three horizons, because those weights shrink what overlaps. Bars without a score count as no
deviation.

With so many lags for so few bars the usual 1.96 would find differences that are none; the quantile
is that of the statistic's distribution for the share of lags (Kiefer and Vogelsang, Econometric
Theory 21, 2005, table 1: Bartlett, 97.5 %). It holds for one look. Who looks every day and stops at
the first good one will be wrong oftener than once in twenty times.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.clock import iso
from shared.intelligence.labels import DOWN, UP
from shared.intelligence.quality import LEAST, VOTE_THRESHOLD, brier, log_loss
from shared.intelligence.scores import BarScore, model_key
from shared.intelligence.uncertainty import mean_with_error
from shared.market.timeframe import duration_ms

#: Verdicts need bars of so many horizons.
LEAST_HORIZONS = 20
#: Lags of the variance, in horizons.
LAGS = 3

Array = NDArray[np.float64]
Verdict = Literal["better", "worse", "not known"]


class Judged(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One version on the rows that both were asked about.

    Parameters
    ----------
    log_loss : float
        Mean, in nats.
    brier : float
        Mean, 0 to 2.
    votes : int
        Rows with p(up) and p(down) at least 0.1 apart.
    hit_rate : float or None
        Share of them whose barrier came first.
    """

    version: str
    log_loss: float
    brier: float
    votes: int
    hit_rate: float | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a challenger was worth beside the champion.

    Parameters
    ----------
    bars : int
        Closes of bars with a label and both versions; ``least_bars`` are needed for a verdict.
    rows : int
        The same, of all symbols.
    since, until : str or None
        First and last of them, UTC.
    champion, challenger : Judged or None
    gain, gain_error : float or None
        Mean log loss of the champion less that of the challenger, and its standard error, which
        there is from more bars on than lags.
    low, high : float or None
        Between which the gain lies with 95 %, were this the only look.
    brier_gain : float or None
    verdict : str
        ``better`` or ``worse`` where the whole interval says so and there are bars enough.
    why : str
        For people.
    """

    model: str
    champion_version: str
    challenger_version: str
    bars: int
    least_bars: int
    rows: int
    since: str | None = None
    until: str | None = None
    champion: Judged | None = None
    challenger: Judged | None = None
    gain: float | None = None
    gain_error: float | None = None
    low: float | None = None
    high: float | None = None
    brier_gain: float | None = None
    verdict: Verdict = "not known"
    why: str


def compare(
    scores: Iterable[BarScore], model: str, champion: str, challenger: str, horizon_bars: int
) -> Comparison:
    """The figures of two versions of a model.

    Parameters
    ----------
    scores : iterable of BarScore
        Of one time frame; those without a label, or without one of the two, are left out.
    horizon_bars : int
        Of the challenger's labels.
    """
    keys = model_key(model, champion), model_key(model, challenger)
    least = LEAST_HORIZONS * horizon_bars
    common: dict[str, Any] = {
        "model": model,
        "champion_version": champion,
        "challenger_version": challenger,
        "least_bars": least,
    }
    found = [s for s in scores if s.label is not None and all(k in s.probabilities for k in keys)]
    if not found:
        why = (
            "no bar with a label has both; they are scored from when the challenger was made one, "
            "with labels of the same meaning"
        )
        return Comparison(**common, bars=0, rows=0, why=why)
    step = duration_ms(found[0].timeframe)
    label = np.array([s.label for s in found], dtype=np.int8)
    bar = np.array([s.closed_at // step for s in found], dtype=np.int64)
    rows = [np.array([s.probabilities[key] for s in found]) for key in keys]
    losses = [_losses(p, label) for p in rows]
    lag = LAGS * horizon_bars
    gain, error = mean_with_error(losses[0] - losses[1], bar, lag)
    bars = len(np.unique(bar))
    reach = None if error is None else quantile((lag + 1) / bars) * error
    verdict, why = _verdict(gain, reach, bars, least)
    old, new = (_judged(v, p, label) for v, p in zip((champion, challenger), rows, strict=True))
    return Comparison(
        **common,
        bars=bars,
        rows=len(found),
        since=iso(min(s.closed_at for s in found)),
        until=iso(max(s.closed_at for s in found)),
        champion=old,
        challenger=new,
        gain=gain,
        gain_error=error,
        low=None if reach is None else gain - reach,
        high=None if reach is None else gain + reach,
        brier_gain=old.brier - new.brier,
        verdict=verdict,
        why=why,
    )


def quantile(share: float) -> float:
    """97.5 % quantile of the statistic whose lags are that share of the bars."""
    return 1.9600 + 2.9694 * share + 0.4160 * share**2 - 0.5324 * share**3


def _verdict(gain: float, reach: float | None, bars: int, least: int) -> tuple[Verdict, str]:
    told = f"{gain:+.4f} nats a row"
    if reach is not None:
        told += f", {gain - reach:+.4f} to {gain + reach:+.4f}"
    if bars < least or reach is None:
        return "not known", f"{bars:,} bars of {least:,} that a verdict needs ({told})"
    # No spread at all is two versions that say the same.
    if reach > 0.0 and gain > reach:
        return "better", f"less surprised by {told}"
    if reach > 0.0 and gain < -reach:
        return "worse", f"more surprised: {told}"
    return "not known", f"the difference may be none: {told}"


def _judged(version: str, p: Array, label: NDArray[np.int8]) -> Judged:
    vote = p[:, UP] - p[:, DOWN]
    voted = np.abs(vote) >= VOTE_THRESHOLD
    side = np.where(vote > 0.0, UP, DOWN)[voted]
    return Judged(
        version=version,
        log_loss=log_loss(p, label),
        brier=brier(p, label),
        votes=len(side),
        hit_rate=float((side == label[voted]).mean()) if len(side) else None,
    )


def _losses(p: Array, label: NDArray[np.int8]) -> Array:
    """Negative log likelihood row by row; their mean is that of :func:`log_loss`."""
    found: Array = -np.log(np.maximum(p[np.arange(len(label)), label], LEAST))
    return found
