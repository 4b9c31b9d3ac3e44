"""Bars that a made-up model was asked about, with a card that says what it is worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.intelligence.card import CLASSES, Bin, Fold, Histogram, ModelCard
from shared.intelligence.features import NAMES
from shared.intelligence.labels import NONE, Barriers
from shared.intelligence.quality import calibration, figures
from shared.intelligence.scored_bars import ScoredBars
from shared.intelligence.scores import BarScore
from tests.intelligence.made_models import card

HOUR = 3_600_000
DAY = 24 * HOUR
#: 2026-03-02T00:00:00Z, a Monday: the end of the window.
UNTIL = 1_772_409_600_000
SINCE = UNTIL - 90 * DAY
HORIZON = 4
SYMBOLS = ("BTCUSDT", "ETHUSDT")
TRUTH = np.array([0.3, 0.45, 0.25])


class Made:
    """A model that knows something, and how it fares.

    Parameters
    ----------
    knowledge : float
        How far its probabilities move from the base rates; they are true.
    seed : int
    days : int
        Of hourly bars of two contracts, up to :data:`UNTIL`.
    """

    def __init__(self, knowledge: float = 0.5, seed: int = 3, days: int = 90) -> None:
        self.random = np.random.default_rng(seed)
        self.bars = days * 24
        rows = self.bars * len(SYMBOLS)
        self.closed_at = np.repeat(UNTIL - HOUR * np.arange(self.bars, 0, -1), len(SYMBOLS))
        self.symbol = np.tile(np.arange(len(SYMBOLS)), self.bars)
        self.features = self.random.normal(0.0, 1.0, (rows, len(NAMES)))
        self.p = self.probabilities(rows, knowledge)
        self.label = self.drawn(self.p)

    def probabilities(self, rows: int, knowledge: float) -> np.ndarray[Any, Any]:
        logits = np.log(TRUTH) + knowledge * self.random.normal(0.0, 1.0, (rows, 3))
        odds = np.exp(logits)
        found: np.ndarray[Any, Any] = odds / odds.sum(axis=1, keepdims=True)
        return found

    def drawn(self, p: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        draw = self.random.uniform(size=(len(p), 1))
        found: np.ndarray[Any, Any] = (p.cumsum(axis=1) < draw).sum(axis=1).clip(0, 2)
        return found.astype(np.int8)

    def card(self, knowledge: float = 0.5, onnx: bytes = b"made", **changes: Any) -> ModelCard:
        """What it was worth out of sample, from 40,000 rows of its own."""
        rows = 40_000
        p = self.probabilities(rows, knowledge)
        label = self.drawn(p)
        time = np.arange(rows, dtype=np.int64) * HOUR
        found = figures(p, label, np.tile(TRUTH, (rows, 1)), time)
        fold = Fold(
            trained_from="2023-01-01T00:00:00Z",
            trained_to="2024-01-01T00:00:00Z",
            tested_from="2024-01-05T00:00:00Z",
            tested_to="2025-01-05T00:00:00Z",
            figures=found,
        )
        edges = tuple(np.round(np.quantile(self.random.normal(size=10_000), _TENTHS), 3).tolist())
        values: dict[str, Any] = {
            "timeframe": "1h",
            "horizon_bars": HORIZON,
            "figures": found,
            "splits": (fold,),
            "holdout": fold,
            "calibration": calibration(p, label),
            "histograms": {n: Histogram(edges=edges, shares=(0.1,) * 10) for n in NAMES},
        }
        return card(onnx, **(values | changes))

    def scored(self, key: str) -> ScoredBars:
        return ScoredBars(
            symbols=SYMBOLS,
            symbol=self.symbol,
            closed_at=self.closed_at,
            features=self.features,
            label=self.label,
            probabilities={key: self.p},
        )

    def scores(self, key: str, feature_set: str) -> list[BarScore]:
        """The same as records."""
        barriers = Barriers(2.0, 2.0, HORIZON)
        return [
            BarScore(
                symbol=SYMBOLS[self.symbol[row]],
                timeframe="1h",
                closed_at=int(self.closed_at[row]),
                features=tuple(self.features[row].tolist()),
                feature_set=feature_set,
                atr=1.0,
                horizon_bars=barriers.horizon_bars,
                take_atr=barriers.take_atr,
                stop_atr=barriers.stop_atr,
                probabilities={key: tuple(self.p[row].tolist())},
                label=None if self.label[row] == NONE else int(self.label[row]),
                pending=bool(self.label[row] == NONE),
            )
            for row in range(len(self.closed_at))
        ]


_TENTHS = np.arange(1, 10) / 10


def bins(label: Any) -> dict[str, tuple[Bin, ...]]:
    """A calibration of one bin per class that says how often each came."""
    shares = np.bincount(label, minlength=3) / len(label)
    return {
        name: (Bin(low=0.0, high=1.0, rows=len(label), predicted=s, happened=s),)
        for name, s in zip(CLASSES, shares.tolist(), strict=True)
    }
