"""Random forest (Breiman, 2001) and extremely randomised trees (Geurts et al., 2006)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from training.dataset import Dataset
from training.families.family import Floats, Places, Probabilities, threads
from training.forest import Forest, Tree
from training.graph import CLASS_COUNT, Graph


@dataclass(frozen=True)
class Bagged:
    """Trees that are grown apart and averaged.

    Small trees with large leaves: what one bar says about the next day is so little that deep
    trees would only remember.
    """

    name: Literal["random_forest", "extra_trees"]
    trees: int = 60
    depth: int = 7
    leaf_rows: int = 200
    kind: Literal["tabular"] = "tabular"
    lookback: int = 1
    packages: tuple[str, ...] = ("scikit-learn",)

    @property
    def params(self) -> dict[str, Any]:
        return {"trees": self.trees, "depth": self.depth, "leaf_rows": self.leaf_rows}

    def fit(self, data: Dataset, fit: Places, validation: Places, seed: int) -> FittedForest:
        from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

        make = RandomForestClassifier if self.name == "random_forest" else ExtraTreesClassifier
        rows = np.concatenate((fit, validation))
        model = make(
            n_estimators=self.trees,
            max_depth=self.depth,
            min_samples_leaf=self.leaf_rows,
            max_features="sqrt",
            n_jobs=threads(len(rows)),
            random_state=seed,
        )
        return FittedForest(model.fit(data.tabular(rows), data.label[rows]))


class FittedForest:
    """Either of the two, fitted."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.found: dict[str, Any] = {}

    def probabilities(self, x: Floats) -> Probabilities:
        found: Probabilities = self._model.predict_proba(x)
        return found

    def emit(self, graph: Graph, features: str) -> str:
        count = len(self._model.estimators_)
        trees = []
        for one in self._model.estimators_:
            tree = one.tree_
            value = tree.value[:, 0, :]
            trees.append(
                Tree(
                    feature=tree.feature.astype(np.int64),
                    threshold=tree.threshold.astype(np.float64),
                    left=tree.children_left.astype(np.int64),
                    right=tree.children_right.astype(np.int64),
                    value=value / value.sum(axis=1, keepdims=True) / count,
                )
            )
        return Forest(trees, np.zeros(CLASS_COUNT), logits=False).emit(graph, features)
