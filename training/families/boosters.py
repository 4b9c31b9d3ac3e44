"""Gradient-boosted trees: XGBoost, LightGBM and CatBoost.

All three add small trees until the validation rows stop getting likelier. Their own converters
disagree on names, types and outputs; here each model is read into one form (``training.forest``).
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.errors import ConfigurationError
from shared.intelligence.quality import base_rates
from training.dataset import Dataset
from training.families.family import Floats, Places, Probabilities, threads
from training.forest import Forest, Tree
from training.graph import CLASS_COUNT, Graph

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Booster:
    """What the three have in common."""

    rounds: int = 240
    rate: float = 0.05
    depth: int = 4
    leaf_rows: int = 200
    patience: int = 25
    kind: Literal["tabular"] = "tabular"
    lookback: int = 1

    @property
    def params(self) -> dict[str, Any]:
        names = ("rounds", "rate", "depth", "leaf_rows", "patience")
        return {name: getattr(self, name) for name in names}


class FittedTrees:
    """A boosted model: how the library predicts, and its trees."""

    def __init__(self, predict: Any, forest: Forest, rounds: int) -> None:
        self._predict = predict
        self._forest = forest
        self.found: dict[str, Any] = {"rounds": rounds}

    def probabilities(self, x: Floats) -> Probabilities:
        return np.asarray(self._predict(x), dtype=np.float64).reshape(len(x), CLASS_COUNT)

    def emit(self, graph: Graph, features: str) -> str:
        return self._forest.emit(graph, features)


@dataclass(frozen=True)
class XGBoost(_Booster):
    """XGBoost (Chen and Guestrin, 2016), begun at the base rates."""

    name: str = "xgboost"
    packages: tuple[str, ...] = ("xgboost-cpu",)

    def fit(self, data: Dataset, fit: Places, validation: Places, seed: int) -> FittedTrees:
        import xgboost

        workers = threads(len(fit))
        start = np.log(base_rates(data.label[fit])).astype(np.float32)

        def matrix(x: Floats, label: Any = None) -> Any:
            margin = np.tile(start, (len(x), 1))
            return xgboost.DMatrix(x, label=label, base_margin=margin, nthread=workers)

        model = xgboost.train(
            {
                "objective": "multi:softprob",
                "num_class": CLASS_COUNT,
                "tree_method": "hist",
                "eta": self.rate,
                "max_depth": self.depth,
                # The Hessian of a row is at most p (1 - p), twice.
                "min_child_weight": self.leaf_rows * 0.4,
                "subsample": 0.7,
                "colsample_bytree": 0.7,
                "seed": seed,
                "nthread": workers,
            },
            matrix(data.tabular(fit), data.label[fit]),
            num_boost_round=self.rounds,
            evals=[(matrix(data.tabular(validation), data.label[validation]), "validation")],
            early_stopping_rounds=self.patience,
            verbose_eval=False,
        )
        best = model[: model.best_iteration + 1]
        read = json.loads(best.save_raw(raw_format="json"))["learner"]["gradient_booster"]["model"]
        trees = [
            _xgboost_tree(tree, int(target))
            for tree, target in zip(read["trees"], read["tree_info"], strict=True)
        ]
        forest = Forest(trees, start.astype(np.float64), strict=True)
        return FittedTrees(lambda x: best.predict(matrix(x)), forest, model.best_iteration + 1)


def _xgboost_tree(tree: dict[str, Any], target: int) -> Tree:
    left = np.array(tree["left_children"], dtype=np.int64)
    limit = np.array(tree["split_conditions"], dtype=np.float64)
    value = np.zeros((len(left), CLASS_COUNT))
    # A leaf keeps its value where other nodes keep their threshold.
    value[:, target] = np.where(left == -1, limit, 0.0)
    return Tree(
        feature=np.array(tree["split_indices"], dtype=np.int64),
        threshold=limit,
        left=left,
        right=np.array(tree["right_children"], dtype=np.int64),
        value=value,
    )


@dataclass(frozen=True)
class LightGbm(_Booster):
    """LightGBM (Ke et al., 2017)."""

    name: str = "lightgbm"
    packages: tuple[str, ...] = ("lightgbm",)

    def fit(self, data: Dataset, fit: Places, validation: Places, seed: int) -> FittedTrees:
        lightgbm = _lightgbm()
        train = lightgbm.Dataset(data.tabular(fit), data.label[fit])
        model = lightgbm.train(
            {
                "objective": "multiclass",
                "num_class": CLASS_COUNT,
                "learning_rate": self.rate,
                "num_leaves": 2**self.depth,
                "max_depth": self.depth + 1,
                "min_data_in_leaf": self.leaf_rows,
                "bagging_fraction": 0.7,
                "bagging_freq": 1,
                "feature_fraction": 0.7,
                "seed": seed,
                "deterministic": True,
                "force_row_wise": True,
                "num_threads": threads(len(fit)),
                "verbosity": -1,
            },
            train,
            num_boost_round=self.rounds,
            valid_sets=[train.create_valid(data.tabular(validation), data.label[validation])],
            callbacks=[lightgbm.early_stopping(self.patience, verbose=False)],
        )
        best = model.best_iteration or model.current_iteration()
        read = model.dump_model(num_iteration=best)["tree_info"]
        trees = [_lightgbm_tree(t["tree_structure"], i % CLASS_COUNT) for i, t in enumerate(read)]
        forest = Forest(trees, np.zeros(CLASS_COUNT))
        return FittedTrees(lambda x: model.predict(x, num_iteration=best), forest, best)


def _lightgbm() -> Any:
    """The library, which unlike the others does not bring its OpenMP runtime along.

    Raises
    ------
    ConfigurationError
        When the system has none.
    """
    try:
        import lightgbm
    except OSError as error:
        raise ConfigurationError(
            [
                f"lightgbm cannot be loaded ({error}): install OpenMP's runtime, for example with "
                "apt-get install libgomp1, or train the others with --models"
            ]
        ) from error
    return lightgbm


def _lightgbm_tree(root: dict[str, Any], target: int) -> Tree:
    nodes = [root]
    rows: list[tuple[int, float, int, int, float]] = []
    # The list grows while it is read.
    for node in nodes:
        if "leaf_value" in node:
            rows.append((0, 0.0, -1, -1, float(node["leaf_value"])))
        else:
            nodes += [node["left_child"], node["right_child"]]
            children = len(nodes) - 2, len(nodes) - 1
            rows.append((int(node["split_feature"]), float(node["threshold"]), *children, 0.0))
    feature, threshold, left, right, value = zip(*rows, strict=True)
    values = np.zeros((len(nodes), CLASS_COUNT))
    values[:, target] = value
    return Tree(
        feature=np.array(feature, dtype=np.int64),
        threshold=np.array(threshold, dtype=np.float64),
        left=np.array(left, dtype=np.int64),
        right=np.array(right, dtype=np.int64),
        value=values,
    )


@dataclass(frozen=True)
class CatBoost(_Booster):
    """CatBoost (Prokhorenkova et al., 2018): every level of a tree asks one question."""

    name: str = "catboost"
    packages: tuple[str, ...] = ("catboost",)

    @property
    def params(self) -> dict[str, Any]:
        # Its trees have no least number of rows of a leaf; the penalty takes that place.
        return {n: v for n, v in super().params.items() if n != "leaf_rows"} | {"penalty": 10.0}

    def fit(self, data: Dataset, fit: Places, validation: Places, seed: int) -> FittedTrees:
        from catboost import CatBoostClassifier

        model = CatBoostClassifier(
            loss_function="MultiClass",
            iterations=self.rounds,
            learning_rate=self.rate,
            depth=self.depth,
            l2_leaf_reg=10.0,
            random_seed=seed,
            thread_count=threads(len(fit)),
            allow_writing_files=False,
            verbose=False,
        )
        model.fit(
            data.tabular(fit),
            data.label[fit].astype(np.int64),
            eval_set=(data.tabular(validation), data.label[validation].astype(np.int64)),
            early_stopping_rounds=self.patience,
            use_best_model=True,
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            model.save_model(str(path), format="json")
            read = json.loads(path.read_text())
        scale, start = read["scale_and_bias"]
        trees = [_catboost_tree(tree, float(scale)) for tree in read["oblivious_trees"]]
        forest = Forest(trees, np.array(start, dtype=np.float64))
        return FittedTrees(model.predict_proba, forest, len(trees))


def _catboost_tree(tree: dict[str, Any], scale: float) -> Tree:
    """A table of leaves, addressed by one bit per question, as a tree with nodes."""
    splits = tree["splits"] or []
    depth = len(splits)
    inner, leaves = 2**depth - 1, 2**depth
    feature = np.zeros(inner + leaves, dtype=np.int64)
    threshold = np.zeros(inner + leaves)
    left = np.full(inner + leaves, -1, dtype=np.int64)
    right = np.full(inner + leaves, -1, dtype=np.int64)
    for level, split in enumerate(splits):
        nodes = np.arange(2**level - 1, 2 ** (level + 1) - 1)
        feature[nodes] = split["float_feature_index"]
        threshold[nodes] = split["border"]
        left[nodes], right[nodes] = 2 * nodes + 1, 2 * nodes + 2
    # Going down, the first question is the highest bit of a place; in the table it is the lowest.
    place = np.arange(leaves)
    address = np.zeros(leaves, dtype=np.int64)
    for bit in range(depth):
        address |= ((place >> (depth - 1 - bit)) & 1) << bit
    value = np.zeros((inner + leaves, CLASS_COUNT))
    table = np.array(tree["leaf_values"], dtype=np.float64).reshape(leaves, CLASS_COUNT)
    value[inner:] = table[address] * scale
    return Tree(feature, threshold, left, right, value)
