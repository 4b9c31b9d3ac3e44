"""Model cards from what a training run has found."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.clock import iso
from shared.intelligence.card import Fold, Histogram, ModelCard
from shared.intelligence.features import FEATURE_SET, NAMES
from shared.intelligence.quality import calibration, figures
from training.dataset import Dataset
from training.families.family import Described, Places, Probabilities

Floats = NDArray[np.float32]

#: Bins of a feature's histogram, of equal shares where the feature allows it.
_BINS = 10


def fold(
    data: Dataset, train: Places, test: Places, probabilities: Probabilities, baseline: Any
) -> Fold:
    """What a split came to."""
    return Fold(
        trained_from=iso(int(np.min(data.opened[train]))),
        trained_to=iso(int(np.max(data.opened[train]))),
        tested_from=iso(int(np.min(data.opened[test]))),
        tested_to=iso(int(np.max(data.opened[test]))),
        figures=figures(probabilities, data.label[test], baseline, data.time[test]),
    )


def card(
    family: Described,
    source: bytes,
    data: Dataset,
    train: Places,
    *,
    splits: Sequence[Fold],
    tested: Places,
    probabilities: Probabilities,
    baseline: Any,
    holdout: Fold | None,
    embargo_bars: int,
    seed: int,
    found: dict[str, Any],
    now_ms: int,
) -> ModelCard:
    """The card of an exported model.

    Parameters
    ----------
    source : bytes
        Its ONNX file.
    train : int64 array
        Rows of the final training.
    tested, probabilities, baseline
        All test rows of the walk-forward and what was predicted for them.
    found : dict
        What the final training decided by itself.
    """
    digest = hashlib.sha256(source).hexdigest()
    return ModelCard(
        name=family.name,
        kind=family.kind,
        version=digest[:12],
        onnx_sha256=digest,
        feature_set=FEATURE_SET,
        features=NAMES,
        lookback=family.lookback,
        timeframe=data.timeframe,
        symbols=data.symbols,
        horizon_bars=data.barriers.horizon_bars,
        take_atr=data.barriers.take_atr,
        stop_atr=data.barriers.stop_atr,
        trained_from=iso(int(np.min(data.opened[train]))),
        trained_to=iso(int(np.max(data.opened[train]))),
        embargo_bars=embargo_bars,
        rows=len(train),
        figures=figures(probabilities, data.label[tested], baseline, data.time[tested]),
        splits=tuple(splits),
        calibration=calibration(probabilities, data.label[tested]),
        histograms=histograms(data.tabular(train)),
        framework=versions(family),
        seed=seed,
        params={**family.params, "found": found},
        created_at=iso(now_ms),
        holdout=holdout,
    )


def versions(family: Described) -> dict[str, str]:
    """What trained and exported it."""
    names = (*family.packages, "onnx", "onnxruntime", "numpy", "TA-Lib")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def histograms(features: Floats) -> dict[str, Histogram]:
    """Of every feature, over rows of shape (rows, features)."""
    return {name: histogram(features[:, place]) for place, name in enumerate(NAMES)}


def histogram(values: Floats) -> Histogram:
    """Bins of nearly equal shares; a value that many rows have gets a bin of its own.

    A value on an edge belongs to the bin above it.
    """
    quantiles = np.quantile(values, np.arange(1, _BINS) / _BINS, method="inverted_cdf")
    edges, count = np.unique(quantiles.astype(np.float32), return_counts=True)
    behind = np.nextafter(edges[count > 1], np.float32(np.inf))
    edges = np.unique(np.concatenate((edges, behind)))
    place = np.searchsorted(edges, values, side="right")
    shares = np.bincount(place, minlength=len(edges) + 1) / len(values)
    return Histogram(edges=tuple(edges.tolist()), shares=tuple(shares.tolist()))
