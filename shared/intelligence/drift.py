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

import numpy as np
from numpy.typing import NDArray

from shared.intelligence.card import CLASSES, ModelCard
from shared.intelligence.distributions import (
    PSI_SHIFTED,
    counts,
    distance_at_edges,
    population_stability,
)
from shared.intelligence.drift_performance import measured
from shared.intelligence.drift_report import (
    DriftReport,
    Expected,
    FeatureDrift,
    Performance,
    Verdict,
)
from shared.intelligence.labels import NONE
from shared.intelligence.quality import calibration_error
from shared.intelligence.scored_bars import Recent, ScoredBars
from shared.market.timeframe import DAY_MS

Array = NDArray[np.float64]

#: Days that a report looks back. In shorter ones, slow features differ from their training by
#: chance: docs/models.md has the measurement.
WINDOW_DAYS = 90
#: Days of bars before inputs are judged.
INPUT_DAYS = 75
#: Horizons of labelled bars before the performance is judged.
HORIZONS = 30
#: Share of the features that may have shifted: what they have in ordinary windows of training.
SHIFTED_SHARE = 0.05
#: Standard errors that make a difference count.
ERRORS = 2.0
#: Calibration error from which probabilities are called off, if noise does not explain it.
CALIBRATION_OFF = 0.05


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
    performance = measured(card, bars, said, known) if len(known) else None
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
