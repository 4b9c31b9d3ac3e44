"""Tiny ONNX models of every shape that is served: random weights, no training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from shared.intelligence.card import ModelCard, encoded
from shared.intelligence.features import NAMES
from shared.intelligence.library import Library, use
from shared.strategies import ensemble
from tests.intelligence.made_models import card

COUNT = len(NAMES)
LOOKBACK = 8

Array = np.ndarray[Any, Any]


def built(
    nodes: list[Any],
    constants: dict[str, Array],
    shape: tuple[Any, ...],
    *,
    inputs: str = "features",
    outputs: str = "probabilities",
    out_shape: tuple[Any, ...] = ("N", 3),
    kind: int = TensorProto.FLOAT,
) -> bytes:
    """The bytes of a model with one input of that shape."""
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(inputs, TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(outputs, kind, list(out_shape))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return made


def _random(seed: int, **shapes: tuple[int, ...]) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    return {
        name: random.normal(0.0, 0.4, shape).astype(np.float32) for name, shape in shapes.items()
    }


def mlp(seed: int = 1) -> bytes:
    """Two dense layers."""
    return built(
        [
            helper.make_node("Gemm", ["features", "w1", "b1"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["active"]),
            helper.make_node("Gemm", ["active", "w2", "b2"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        _random(seed, w1=(COUNT, 16), b1=(16,), w2=(16, 3), b2=(3,)),
        ("N", COUNT),
    )


def lstm(seed: int = 2, hidden: int = 6, lookback: int = LOOKBACK) -> bytes:
    """One recurrent layer and a dense one on its last state."""
    return built(
        [
            helper.make_node("Transpose", ["features"], ["steps"], perm=[1, 0, 2]),
            helper.make_node("LSTM", ["steps", "w", "r", "b"], ["all", "last"], hidden_size=hidden),
            helper.make_node("Squeeze", ["last", "zero"], ["state"]),
            helper.make_node("Gemm", ["state", "v", "c"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        {
            **_random(
                seed,
                w=(1, 4 * hidden, COUNT),
                r=(1, 4 * hidden, hidden),
                b=(1, 8 * hidden),
                v=(hidden, 3),
                c=(3,),
            ),
            "zero": np.zeros(1, np.int64),
        },
        ("N", lookback, COUNT),
    )


def trees(seed: int = 3, count: int = 30, depth: int = 3) -> bytes:
    """A boosted ensemble of complete trees."""
    random = np.random.default_rng(seed)
    inner, size = 2**depth - 1, 2 ** (depth + 1) - 1
    places = [(tree, node) for tree in range(count) for node in range(size)]
    leaves = [(tree, node) for tree, node in places if node >= inner]
    found: dict[str, list[Any]] = {
        "nodes_treeids": [tree for tree, _ in places],
        "nodes_nodeids": [node for _, node in places],
        "nodes_featureids": [
            int(random.integers(COUNT)) if node < inner else 0 for _, node in places
        ],
        "nodes_values": [
            float(random.normal(0.0, 0.5)) if node < inner else 0.0 for _, node in places
        ],
        "nodes_modes": ["BRANCH_LEQ" if node < inner else "LEAF" for _, node in places],
        "nodes_truenodeids": [2 * node + 1 if node < inner else 0 for _, node in places],
        "nodes_falsenodeids": [2 * node + 2 if node < inner else 0 for _, node in places],
        "class_treeids": [tree for tree, _ in leaves],
        "class_nodeids": [node for _, node in leaves],
        "class_ids": [int(random.integers(3)) for _ in leaves],
        "class_weights": [float(random.normal(0.0, 0.3)) for _ in leaves],
    }
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["features"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        classlabels_int64s=[0, 1, 2],
        post_transform="SOFTMAX",
        **found,
    )
    return built([node], {}, ("N", COUNT))


def constant(*probabilities: float) -> bytes:
    """A model that gives out the same numbers for every row."""
    return built(
        [
            helper.make_node("MatMul", ["features", "w"], ["zero"]),
            helper.make_node("Add", ["zero", "value"], ["probabilities"]),
        ],
        {
            "w": np.zeros((COUNT, 3), np.float32),
            "value": np.array(probabilities, np.float32),
        },
        ("N", COUNT),
    )


MAKERS = {"mlp": mlp, "lstm": lstm, "xgboost": trees}


def save(folder: Path, name: str, onnx: bytes, **changes: Any) -> ModelCard:
    """Put a model and its card where a library finds them."""
    sequence = {"kind": "sequence", "lookback": LOOKBACK} if name == "lstm" else {}
    made = card(onnx, **({"name": name} | sequence | changes))
    (folder / f"{name}.onnx").write_bytes(onnx)
    (folder / f"{name}.json").write_bytes(encoded(made))
    return made


@contextmanager
def serving(folder: Path) -> Iterator[Library]:
    """Strategies and predictions use the models of this folder meanwhile."""
    ours = Library(folder)
    before = use(ours)
    # Ensembles are kept by their configuration, with the models that they were made with.
    ensemble._compiled.cache_clear()
    try:
        yield ours
    finally:
        use(before)
        ensemble._compiled.cache_clear()
