"""How good probabilities are, each figure beside what no knowledge at all would reach.

The naive baseline of a row is the shares of the classes among the training rows of the same
split: it knows everything about markets but when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import InvalidInput
from shared.intelligence.card import CLASSES, Bin, Figures
from shared.intelligence.labels import DOWN, FLAT, UP
from shared.market.timeframe import DAY_MS

Array = NDArray[np.float64]
Labels = NDArray[np.int8]

#: Difference of p(up) and p(down) from which a row counts as a vote.
VOTE_THRESHOLD = 0.1
#: Bins of the calibration.
BINS = 10
_WEEK_MS = 7 * DAY_MS
#: Likelihood that a row has at least, so that no surprise costs more than 27.6 nats.
LEAST = 1e-12


def base_rates(label: Labels) -> Array:
    """Shares of down, flat and up; never quite 0, so that a surprise costs something finite."""
    count = np.bincount(label, minlength=len(CLASSES)).astype(np.float64)
    shares: Array = (count + 1.0) / (count.sum() + len(CLASSES))
    return shares


def figures(
    probabilities: Array, label: Labels, baseline: Array, time: NDArray[np.int64]
) -> Figures:
    """The figures of some rows.

    Parameters
    ----------
    probabilities, baseline : array of shape (rows, 3)
        Of down, flat and up: the model's, and the base rates of each row's training.
    label : array of shape (rows,)
    time : int64 array of shape (rows,)
        When a row is decided on, UTC milliseconds.

    Raises
    ------
    InvalidInput
        When rows do not fit together or are no probabilities.
    """
    p = checked(probabilities, label)
    base = checked(baseline, label)
    vote = p[:, UP] - p[:, DOWN]
    voted = np.abs(vote) >= VOTE_THRESHOLD
    side = np.where(vote > 0.0, UP, DOWN)[voted]
    votes = len(side)
    moved = label != FLAT
    _, error = gain(p, base, label, time // _WEEK_MS)
    return Figures(
        rows=len(label),
        log_loss=log_loss(p, label),
        base_log_loss=log_loss(base, label),
        accuracy=_share(p.argmax(axis=1) == label),
        majority_accuracy=_share(base.argmax(axis=1) == label),
        brier=brier(p, label),
        base_brier=brier(base, label),
        auc_up=auc(p[:, UP], label == UP),
        auc_down=auc(p[:, DOWN], label == DOWN),
        vote_threshold=VOTE_THRESHOLD,
        votes=votes,
        hit_rate=_share(side == label[voted]) if votes else None,
        base_hit_rate=_by_chance(side, label[voted]) if votes else None,
        auc_direction=auc(vote[moved], label[moved] == UP),
        gain_error=error,
    )


def checked(probabilities: Array, label: Labels) -> Array:
    """Probabilities as they should be.

    Raises
    ------
    InvalidInput
        When they are not.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if not len(label) or p.shape != (len(label), len(CLASSES)):
        raise InvalidInput(f"probabilities of shape {p.shape} for {len(label)} labels")
    if not np.isfinite(p).all() or np.min(p) < 0.0 or np.max(np.abs(p.sum(axis=1) - 1.0)) > 1e-4:
        raise InvalidInput("probabilities must lie between 0 and 1 and add up to 1")
    return p


def log_loss(p: Array, label: Labels) -> float:
    """Mean negative log likelihood, in nats."""
    came = p[np.arange(len(label)), label]
    return float(-np.log(np.maximum(came, LEAST)).mean())


def brier(p: Array, label: Labels) -> float:
    """Mean over rows of the sum over classes of squared differences, 0 to 2 (Brier, 1950)."""
    came = np.eye(len(CLASSES))[label]
    return float(((p - came) ** 2).sum(axis=1).mean())


def auc(score: Array, positive: NDArray[np.bool_]) -> float | None:
    """Chance that a positive row has the higher score, half of it for ties."""
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return None
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    rank = (last - (count - 1) / 2.0)[place]
    return float((rank[positive].sum() - ones * (ones + 1) / 2.0) / (ones * zeros))


def calibration(probabilities: Array, label: Labels) -> dict[str, tuple[Bin, ...]]:
    """Per class: what was predicted against how often it came; empty bins are left out."""
    p = checked(probabilities, label)
    return {name: _bins(p[:, c], label == c) for c, name in enumerate(CLASSES)}


def calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance of predicted and happened, weighted by rows."""
    rows = sum(b.rows for b in bins)
    return sum(b.rows * abs(b.predicted - b.happened) for b in bins) / rows if rows else 0.0


def gain(
    p: Array, baseline: Array, label: Labels, block: NDArray[np.int64]
) -> tuple[float, float | None]:
    """How much lower the log loss is than that of the baseline, and the standard error of that.

    Labels of neighbouring bars and of several symbols overlap, so rows are not independent; sums
    over blocks of time are nearly.

    Parameters
    ----------
    block : int64 array
        Number of the block of each row, for example its week. With one block there is no error.
    """
    rows = np.arange(len(label))
    each = np.log(np.maximum(p[rows, label], LEAST))
    each -= np.log(np.maximum(baseline[rows, label], LEAST))
    mean = float(each.mean())
    _, place = np.unique(block, return_inverse=True)
    sums = np.bincount(place, weights=each - mean)
    blocks = len(sums)
    if blocks < 2:
        return mean, None
    return mean, float(np.sqrt((sums**2).sum() * blocks / (blocks - 1)) / len(label))


def _by_chance(side: NDArray[Any], label: Labels) -> float:
    """Hits of the same votes, dealt at random over the same rows.

    Rows that are voted on are livelier than others, so any side hits oftener there; that much is
    no knowledge of the direction.
    """
    shares = np.bincount(label, minlength=len(CLASSES)) / len(label)
    return float(shares[side].mean())


def _bins(p: Array, came: NDArray[np.bool_]) -> tuple[Bin, ...]:
    edges = np.linspace(0.0, 1.0, BINS + 1)
    place = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, BINS - 1)
    found = []
    for number in range(BINS):
        rows = place == number
        if rows.any():
            found.append(
                Bin(
                    low=float(edges[number]),
                    high=float(edges[number + 1]),
                    rows=int(rows.sum()),
                    predicted=min(1.0, float(p[rows].mean())),
                    happened=_share(came[rows]),
                )
            )
    return tuple(found)


def _share(hit: NDArray[np.bool_]) -> float:
    return float(hit.mean())
