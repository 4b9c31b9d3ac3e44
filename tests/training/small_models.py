"""The fourteen families, made for little data and little time."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from learnable import tides

from shared.intelligence.features import feature_history
from shared.intelligence.labels import Barriers
from training.catalogue import FAMILIES
from training.dataset import Dataset, dataset
from training.families.nets import Net, Training
from training.pipeline import Plan

_BOOSTED = {"rounds": 40, "rate": 0.15, "depth": 2, "leaf_rows": 20, "patience": 10}
_BAGGED = {"trees": 12, "depth": 4, "leaf_rows": 20}
_CHANGES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("xgboost", "lightgbm", "catboost"), _BOOSTED),
    **dict.fromkeys(("random_forest", "extra_trees"), _BAGGED),
    "logistic_regression": {"penalty": 10.0},
    "svm_rbf": {"most_rows": 600},
}
_NETS = Training(epochs=4, batch=64, rate=3e-3, most_rows=1_500)

PLAN = Plan(folds=1, embargo_bars=12, holdout_ms=14 * 86_400_000, seed=5)


def small(name: str) -> Any:
    """A family that is trained in about a second."""
    family: Any = FAMILIES[name]
    if isinstance(family, Net):
        return replace(family, training=_NETS, lookback=min(family.lookback, 6))
    return replace(family, **_CHANGES[name])


@cache
def market() -> Dataset:
    """Two contracts whose next hours depend on the time of day."""
    bars = feature_history() + 1_700
    runs = {s: [tides(bars, symbol=s, seed=n)] for n, s in enumerate(("BTCUSDT", "ETHUSDT"))}
    return dataset(runs, Barriers(1.5, 1.5, 8), lookback=6)
