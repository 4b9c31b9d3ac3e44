"""What a model was worth on labelled bars that overlap: gain, hits, reliability, their errors."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.intelligence.card import CLASSES, Bin, ModelCard
from shared.intelligence.drift_report import Performance, Reliability
from shared.intelligence.labels import DOWN, UP
from shared.intelligence.quality import calibration, figures
from shared.intelligence.scored_bars import ScoredBars
from shared.intelligence.uncertainty import mean_with_error
from shared.market.timeframe import duration_ms

Array = NDArray[np.float64]

#: Horizons over which outcomes are taken as correlated. The kernel's weights fall with the
#: distance: over one horizon a third of what overlaps would be lost.
LAGS = 3
_LEAST = 1e-12


def measured(
    card: ModelCard, bars: ScoredBars, said: Array, known: NDArray[np.int64]
) -> Performance:
    """What the model was worth.

    Parameters
    ----------
    card : ModelCard
    bars : ScoredBars
    said : (bars, classes) array
        Its probabilities.
    known : (labelled,) array of int
        Places of the bars whose label is known and of which it said something.
    """
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
