"""Cards and tiny ONNX models for tests."""

from __future__ import annotations

import hashlib
from typing import Any

from shared.intelligence.card import Bin, Figures, Fold, Histogram, ModelCard
from shared.intelligence.features import FEATURE_SET, NAMES


def figures(rows: int = 100) -> Figures:
    return Figures(
        rows=rows,
        log_loss=1.05,
        base_log_loss=1.06,
        accuracy=0.42,
        majority_accuracy=0.41,
        brier=0.63,
        auc_up=0.53,
        auc_down=None,
        vote_threshold=0.1,
        votes=20,
        hit_rate=0.45,
    )


def card(onnx: bytes, **changes: Any) -> ModelCard:
    """The card of a model whose file has these bytes."""
    digest = hashlib.sha256(onnx).hexdigest()
    fold = Fold(
        trained_from="2024-01-01T00:00:00Z",
        trained_to="2024-06-30T23:00:00Z",
        tested_from="2024-07-03T00:00:00Z",
        tested_to="2024-09-30T23:00:00Z",
        figures=figures(),
    )
    values: dict[str, Any] = {
        "name": "mlp",
        "kind": "tabular",
        "version": digest[:12],
        "onnx_sha256": digest,
        "feature_set": FEATURE_SET,
        "features": NAMES,
        "lookback": 1,
        "timeframe": "1m",
        "symbols": ("BTCUSDT", "ETHUSDT"),
        "horizon_bars": 24,
        "take_atr": 2.0,
        "stop_atr": 2.0,
        "trained_from": "2024-01-01T00:00:00Z",
        "trained_to": "2024-12-31T23:00:00Z",
        "embargo_bars": 48,
        "rows": 17_000,
        "figures": figures(),
        "splits": (fold,),
        "calibration": {"up": (Bin(low=0.0, high=0.5, rows=90, predicted=0.3, happened=0.31),)},
        "histograms": {NAMES[0]: Histogram(edges=(0.0,), shares=(0.5, 0.5))},
        "framework": {"numpy": "2.5.5"},
        "seed": 1,
        "params": {"hidden": 8},
        "created_at": "2025-01-02T00:00:00Z",
    }
    return ModelCard(**(values | changes))
