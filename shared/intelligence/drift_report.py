"""What is told of one model and day: its inputs, its outputs, its worth, and the verdict."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.intelligence.card import Figures

Verdict = Literal["too_little_data", "steady", "drifting", "failing"]


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
