"""Trees of every library in one form, and that form as an ONNX tree ensemble.

The libraries compare 64-bit or 32-bit thresholds with ``<=`` or ``<``; onnxruntime compares
32-bit ones. Features are 32-bit, so a 64-bit threshold rounded down to 32 bits decides every
``<=`` alike: no converter's tolerance is left between what was trained and what is served.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.graph import CLASS_COUNT, Graph

_LEAF = -1


@dataclass(frozen=True, eq=False)
class Tree:
    """A tree as arrays over its nodes, the root first.

    Parameters
    ----------
    feature : int array
        Column that is compared; not read at leaves.
    threshold : float array
    left, right : int arrays
        Nodes where the comparison holds and where not; ``-1`` in both makes a leaf.
    value : float array of shape (nodes, classes)
        What a leaf adds to each class.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: NDArray[np.float64]

    def leaf(self, x: NDArray[np.float32], strict: bool) -> NDArray[np.int64]:
        """The leaf of each row, for tests and for bounds of sizes."""
        at = np.zeros(len(x), dtype=np.int64)
        rows = np.arange(len(x))
        while (inner := self.left[at] != _LEAF).any():
            value, limit = x[rows, self.feature[at]], self.threshold[at]
            holds = value < limit if strict else value <= limit
            at = np.where(inner, np.where(holds, self.left[at], self.right[at]), at)
        return at


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees whose leaves are added up.

    Parameters
    ----------
    trees : sequence of Tree
    start : float array of shape (classes,)
        What is added to every row.
    strict : bool
        Whether nodes ask ``<`` rather than ``<=``.
    logits : bool
        Whether sums are logits, and not probabilities already.
    """

    trees: Sequence[Tree]
    start: NDArray[np.float64]
    strict: bool = False
    logits: bool = True

    def emit(self, graph: Graph, x: str) -> str:
        """Probabilities in the graph."""
        sums = graph.node(
            "TreeEnsembleRegressor",
            x,
            ml=True,
            n_targets=CLASS_COUNT,
            aggregate_function="SUM",
            base_values=[float(value) for value in self.start],
            **self._nodes(),
        )
        if self.logits:
            return graph.softmax(sums)
        # Means of shares add up to 1 but for the last digit.
        total = graph.node("ReduceSum", sums, graph.constant([1], np.int64), keepdims=1)
        return graph.node("Div", sums, total)

    def _nodes(self) -> dict[str, Any]:
        mode = "BRANCH_LT" if self.strict else "BRANCH_LEQ"
        nodes: dict[str, list[Any]] = {
            f"nodes_{name}": []
            for name in (
                "treeids",
                "nodeids",
                "featureids",
                "modes",
                "values",
                "truenodeids",
                "falsenodeids",
            )
        }
        targets: dict[str, list[Any]] = {
            f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")
        }
        for number, tree in enumerate(self.trees):
            inner = tree.left != _LEAF
            threshold = tree.threshold if self.strict else _rounded_down(tree.threshold)
            nodes["nodes_treeids"] += [number] * len(inner)
            nodes["nodes_nodeids"] += range(len(inner))
            nodes["nodes_featureids"] += np.where(inner, tree.feature, 0).tolist()
            nodes["nodes_modes"] += [mode if branch else "LEAF" for branch in inner]
            nodes["nodes_values"] += np.where(inner, threshold, 0.0).astype(np.float32).tolist()
            nodes["nodes_truenodeids"] += np.where(inner, tree.left, 0).tolist()
            nodes["nodes_falsenodeids"] += np.where(inner, tree.right, 0).tolist()
            for leaf in np.flatnonzero(~inner):
                for target in np.flatnonzero(tree.value[leaf]):
                    targets["target_treeids"].append(number)
                    targets["target_nodeids"].append(int(leaf))
                    targets["target_ids"].append(int(target))
                    targets["target_weights"].append(float(tree.value[leaf, target]))
        return nodes | targets


def _rounded_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest 32-bit numbers that are not above."""
    near = threshold.astype(np.float32)
    lower: NDArray[np.float32] = np.where(
        near.astype(np.float64) > threshold, np.nextafter(near, np.float32(-np.inf)), near
    )
    return lower
