"""Whether a model still knows what its card says it knew: one report per model and day.

Three questions, from bars that were scored live (:mod:`shared.intelligence.scores`):

* Do its inputs still look like those of its training? Population stability index and
  Kolmogorov-Smirnov distance of every feature, from the histograms of the card; and whether the
  last weeks differ from those before by more than weeks do anyway.
* Do its probabilities still come true? Reliability by bins, calibration error and how much of it
  is noise.
* Is it still better than knowing nothing? Log loss against the base rates, with the error that
  overlapping labels leave, beside what the card has out of sample; and the votes' hits.

Everything here is a function of its arguments. What a report leads to is in
:mod:`shared.operations.drift_watch`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.intelligence.card import CLASSES, Bin, Figures, ModelCard
from shared.intelligence.distributions import (
    PSI_SHIFTED,
    counts,
    distance_at_edges,
    population_stability,
)
from shared.intelligence.labels import DOWN, NONE, UP
from shared.intelligence.quality import calibration, calibration_error, figures
from shared.intelligence.scored_bars import Recent, ScoredBars
from shared.intelligence.uncertainty import mean_with_error
from shared.market.timeframe import DAY_MS, duration_ms

Array = NDArray[np.float64]
Verdict = Literal["too_little_data", "steady", "drifting", "failing"]

#: Days that a report looks back. In shorter ones, slow features differ from their training by
#: chance: docs/models.md has the measurement.
WINDOW_DAYS = 90
#: Days of bars before inputs are judged.
INPUT_DAYS = 75
#: Horizons of labelled bars before the performance is judged.
HORIZONS = 30
#: Horizons over which outcomes are taken as correlated. The kernel's weights fall with the
#: distance: over one horizon a third of what overlaps would be lost.
LAGS = 3
#: Share of the features that may have shifted: what they have in ordinary windows of training.
SHIFTED_SHARE = 0.05
#: Standard errors that make a difference count.
ERRORS = 2.0
#: Calibration error from which probabilities are called off, if noise does not explain it.
CALIBRATION_OFF = 0.05
_LEAST = 1e-12


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A feature against its training.

    Parameters
    ----------
    psi : float
        Population stability index: below 0.1 alike, from 0.25 on shifted.
    ks : float
        Kolmogorov-Smirnov distance at the edges of the card's histogram.
    recent_ks, recent_p : float or None
        Two-sample Kolmogorov-Smirnov statistic of the last weeks against those before, and how
        likely that is when weeks are exchangeable; ``None`` with too few weeks.
    """

    feature: str
    psi: float
    ks: float
    recent_ks: float | None
    recent_p: float | None


class Reliability(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Rows whose probability of a class lay in a bin: predicted, happened, and the standard error
    of their difference (``None`` with too few bars).
    """

    low: float
    high: float
    rows: int
    predicted: float
    happened: float
    error: float | None


class Performance(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the model was worth on labelled bars.

    Parameters
    ----------
    figures : Figures
        The same as on cards, of live bars.
    log_loss_error, gain_error : float or None
        Standard errors of the log loss and of ``gain``, for labels that overlap.
    gain : float
        Log loss of the card's base rates less the model's; above 0 is knowledge.
    hits_beyond, hits_beyond_error : float or None
        Share of the votes that hit less the share that would have hit dealt at random, and its
        standard error.
    calibration_error, calibration_noise : float
        Mean distance of predicted and happened over all classes, and what perfectly calibrated
        probabilities would show by chance.
    reliability : dict
        By class.
    """

    figures: Figures
    log_loss_error: float | None
    gain: float
    gain_error: float | None
    hits_beyond: float | None
    hits_beyond_error: float | None
    calibration_error: float
    calibration_noise: float | None
    reliability: dict[str, list[Reliability]]


class Expected(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the card says: figures of its holdout, or of its walk-forward where it has none."""

    of: Literal["holdout", "walk_forward"]
    figures: Figures
    gain: float
    gain_error: float | None
    calibration_error: float


class DriftReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One model, judged.

    Parameters
    ----------
    since, until : int
        The window in UTC milliseconds; ``until`` is not in it.
    days : float
        From the first to the last scored bar in it.
    rows, labelled : int
        Scored bars of all contracts, and those whose label is known.
    reasons : list of str
        Why the verdict is that.
    shifted : int
        Features with a population stability index of 0.25 or more.
    features : list of FeatureDrift
        The most shifted first.
    outputs : dict
        By class: population stability index of the probabilities against those of the
        walk-forward.
    performance : Performance or None
        ``None`` as long as no label is known.
    """

    model: str
    version: str
    timeframe: str
    symbols: list[str]
    since: int
    until: int
    days: float
    rows: int
    labelled: int
    verdict: Verdict
    reasons: list[str]
    shifted: int
    features: list[FeatureDrift]
    outputs: dict[str, float]
    expected: Expected
    performance: Performance | None


def judge(card: ModelCard, bars: ScoredBars, key: str, *, since: int, until: int) -> DriftReport:
    """The report of one model.

    Parameters
    ----------
    card : ModelCard
    bars : ScoredBars
        Of the card's time frame, feature set and barriers, within the window.
    key : str
        How the model is named in ``bars.probabilities``.
    since, until : int
        The window, UTC milliseconds.
    """
    said = bars.probabilities.get(key, np.empty((0, len(CLASSES))))
    there = np.flatnonzero(np.isfinite(said).all(axis=1)) if len(said) else np.empty(0, np.int64)
    closed = bars.closed_at[there]
    days = float(np.max(closed) - np.min(closed)) / DAY_MS if len(there) else 0.0
    expected = expectation(card)
    features = _inputs(card, bars, there)
    known = there[bars.label[there] != NONE]
    performance = _performance(card, bars, said, known) if len(known) else None
    shifted = sum(f.psi >= PSI_SHIFTED for f in features)
    verdict, reasons = conclude(
        expected,
        performance,
        enough=_enough(card, bars.closed_at[known]),
        shifted=shifted if days >= INPUT_DAYS else 0,
        features=len(features),
    )
    return DriftReport(
        model=card.name,
        version=card.version,
        timeframe=card.timeframe,
        symbols=sorted({bars.symbols[place] for place in bars.symbol[there].tolist()}),
        since=since,
        until=until,
        days=round(days, 3),
        rows=len(there),
        labelled=len(known),
        verdict=verdict,
        reasons=reasons,
        shifted=shifted,
        features=features,
        outputs=_outputs(card, said[there]),
        expected=expected,
        performance=performance,
    )


def conclude(
    expected: Expected,
    performance: Performance | None,
    *,
    enough: bool,
    shifted: int,
    features: int,
) -> tuple[Verdict, list[str]]:
    """The verdict, and why.

    Failing: worth significantly less than the card says and no better than the base rates.
    Drifting: worth significantly less, votes that hit less often than dealt at random,
    probabilities that do not come true, or more features shifted than in ordinary times.

    Parameters
    ----------
    enough : bool
        Whether there are labels enough to judge the performance.
    shifted, features : int
        Features that have shifted, 0 with too short a window; and how many there are.
    """
    failing: list[str] = []
    drifting: list[str] = []
    if shifted > SHIFTED_SHARE * features:
        drifting.append(f"{shifted} of {features} features have shifted (PSI 0.25 or more)")
    if performance is not None and enough:
        told = _worth_less(expected, performance)
        if told:
            (failing if performance.gain <= 0.0 else drifting).append(told)
        drifting += _of_probabilities(performance)
    if failing:
        return "failing", failing + drifting
    if drifting:
        return "drifting", drifting
    if performance is None or not enough:
        return "too_little_data", ["too few bars whose label is known"]
    return "steady", []


def _worth_less(expected: Expected, found: Performance) -> str:
    if found.gain_error is None:
        return ""
    error = float(np.hypot(found.gain_error, expected.gain_error or 0.0))
    less = found.gain < expected.gain - ERRORS * error
    worse = found.gain < -ERRORS * found.gain_error
    if not less and not worse:
        return ""
    return (
        f"log loss beats the base rates by {found.gain:+.4f} ± {found.gain_error:.4f}, in the "
        f"{expected.of.replace('_', '-')} of its card by {expected.gain:+.4f}"
    )


def _of_probabilities(found: Performance) -> list[str]:
    reasons = []
    beyond, error = found.hits_beyond, found.hits_beyond_error
    if beyond is not None and error is not None and beyond < -ERRORS * error:
        reasons.append(
            f"votes hit {-beyond:.1%} ± {error:.1%} less often than dealt at random over the "
            "same bars"
        )
    off, noise = found.calibration_error, found.calibration_noise
    if noise is not None and off >= CALIBRATION_OFF and off > ERRORS * noise:
        reasons.append(f"probabilities are off by {off:.1%} on average, {noise:.1%} is noise")
    return reasons


def expectation(card: ModelCard) -> Expected:
    """What a card lets expect: its holdout is of the very file, the walk-forward of other fits."""
    figures = card.holdout.figures if card.holdout else card.figures
    bins = [b for of in card.calibration.values() for b in of]
    return Expected(
        of="holdout" if card.holdout else "walk_forward",
        figures=figures,
        gain=figures.base_log_loss - figures.log_loss,
        gain_error=figures.gain_error,
        calibration_error=calibration_error(bins),
    )


def base_rates_of(card: ModelCard, label: NDArray[np.int8]) -> Array:
    """Shares of the classes that the card has seen out of sample.

    A card that does not have all of them is measured by the shares of the very labels: the
    hardest that knows nothing of the single bar.
    """
    if set(card.calibration) != set(CLASSES):
        shares = np.bincount(label, minlength=len(CLASSES)).astype(np.float64)
    else:
        shares = np.array(
            [sum(b.rows * b.happened for b in card.calibration[name]) for name in CLASSES]
        )
    shares = np.maximum(shares / shares.sum(), 1e-4)
    found: Array = shares / shares.sum()
    return found


def _enough(card: ModelCard, closed: NDArray[np.int64]) -> bool:
    return len(np.unique(closed)) >= HORIZONS * card.horizon_bars


def _inputs(card: ModelCard, bars: ScoredBars, there: NDArray[np.int64]) -> list[FeatureDrift]:
    if not len(there):
        return []
    recent = bars.recent
    found = []
    for place, name in enumerate(card.features):
        histogram = card.histograms.get(name)
        if histogram is None:
            continue
        rows = counts(bars.features[there, place], histogram)
        late = recent[place] if recent else Recent(None, None)
        found.append(
            FeatureDrift(
                feature=name,
                psi=population_stability(histogram.shares, rows),
                ks=distance_at_edges(histogram.shares, rows),
                recent_ks=late.ks,
                recent_p=late.p,
            )
        )
    return sorted(found, key=lambda f: (-f.psi, f.feature))


def _outputs(card: ModelCard, said: Array) -> dict[str, float]:
    """Against the bins of the card's calibration; those it does not name had no row."""
    if not len(said):
        return {}
    found = {}
    for place, name in enumerate(CLASSES):
        bins = card.calibration.get(name)
        if not bins:
            continue
        edges = sorted({e for b in bins for e in (b.low, b.high)})
        reference = np.zeros(len(edges) + 1)
        for b in bins:
            reference[edges.index(b.low) + 1] += b.rows
        # The last bin has its upper edge.
        at = np.searchsorted(edges, said[:, place], side="right")
        at = np.where(said[:, place] >= 1.0, len(edges) - 1, at)
        found[name] = population_stability(reference, np.bincount(at, minlength=len(reference)))
    return found


def _performance(
    card: ModelCard, bars: ScoredBars, said: Array, known: NDArray[np.int64]
) -> Performance:
    p, label = said[known], bars.label[known]
    closed = bars.closed_at[known]
    bar = closed // duration_ms(card.timeframe)
    lag = LAGS * card.horizon_bars
    base = base_rates_of(card, label)
    rows = np.arange(len(label))
    loss = -np.log(np.maximum(p[rows, label], _LEAST))
    base_loss = -np.log(base[label])
    _, loss_error = mean_with_error(loss, bar, lag)
    gain, gain_error = mean_with_error(base_loss - loss, bar, lag)
    live = figures(p, label, np.tile(base, (len(label), 1)), closed)
    live = msgspec.structs.replace(live, gain_error=gain_error)
    beyond, beyond_error = _hits(p, label, bar, lag, live.vote_threshold)
    reliability = {
        name: _with_errors(bins, p[:, place], label == place, bar, lag)
        for (name, bins), place in zip(
            calibration(p, label).items(), range(len(CLASSES)), strict=True
        )
    }
    return Performance(
        figures=live,
        log_loss_error=loss_error,
        gain=gain,
        gain_error=gain_error,
        hits_beyond=beyond,
        hits_beyond_error=beyond_error,
        calibration_error=_mean_distance(reliability),
        calibration_noise=_noise(reliability),
        reliability=reliability,
    )


def _hits(
    p: Array, label: NDArray[np.int8], bar: NDArray[np.int64], lag: int, threshold: float
) -> tuple[float | None, float | None]:
    vote = p[:, UP] - p[:, DOWN]
    voted = np.abs(vote) >= threshold
    if not voted.any():
        return None, None
    side = np.where(vote > 0.0, UP, DOWN)
    shares = np.bincount(label[voted], minlength=len(CLASSES)) / voted.sum()
    beyond = (side == label) - shares[side]
    return mean_with_error(beyond, bar, lag, voted.astype(np.float64))


def _with_errors(
    bins: tuple[Bin, ...],
    p: Array,
    came: NDArray[np.bool_],
    bar: NDArray[np.int64],
    lag: int,
) -> list[Reliability]:
    found = []
    for b in bins:
        inside = (p >= b.low) & ((p < b.high) | (b.high >= 1.0))
        _, error = mean_with_error(came - p, bar, lag, inside.astype(np.float64))
        found.append(
            Reliability(
                low=b.low,
                high=b.high,
                rows=b.rows,
                predicted=b.predicted,
                happened=b.happened,
                error=error,
            )
        )
    return found


def _mean_distance(reliability: dict[str, list[Reliability]]) -> float:
    bins = [b for of in reliability.values() for b in of]
    return sum(b.rows * abs(b.predicted - b.happened) for b in bins) / sum(b.rows for b in bins)


def _noise(reliability: dict[str, list[Reliability]]) -> float | None:
    """Mean of the absolute value of what is normal with the error of each bin."""
    bins = [b for of in reliability.values() for b in of]
    known: list[Any] = [b for b in bins if b.error is not None]
    rows = sum(b.rows for b in known)
    if not rows:
        return None
    return float(np.sqrt(2.0 / np.pi) * sum(b.rows * b.error for b in known) / rows)
