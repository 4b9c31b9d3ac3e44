"""What is exported decides as what was trained, down to the last bit of a threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.forest import Forest, Tree
from training.graph import Graph, Scaler
from training.parity import ParityBroken, Served, check_contract, check_parity


def stump(threshold: float) -> Tree:
    return Tree(
        feature=np.array([0, 0, 0]),
        threshold=np.array([threshold, 0.0, 0.0]),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        value=np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
    )


@settings(max_examples=30, deadline=None)
@given(
    near=st.floats(-20.0, 20.0, width=32),
    ulps=st.integers(-3, 3),
    strict=st.booleans(),
)
def test_64_bit_thresholds_decide_32_bit_features_alike(
    near: float, ulps: int, strict: bool
) -> None:
    """At and around thresholds that lie between two 32-bit numbers."""
    threshold = near + ulps * np.spacing(near if near else 1e-300)
    if strict:
        # XGBoost's own thresholds are 32-bit.
        threshold = float(np.float32(threshold))
    forest = Forest([stump(threshold)], np.zeros(3), strict=strict, logits=False)
    graph = Graph()
    served = Served(graph.finished(forest.emit(graph, "features"), (1,)))
    middle = np.float32(near)
    x = np.array(
        [
            np.nextafter(middle, np.float32(-np.inf)),
            middle,
            np.nextafter(middle, np.float32(np.inf)),
        ]
    )[:, None]
    wide = x[:, 0].astype(np.float64)
    wanted = wide < threshold if strict else wide <= threshold
    assert (served.probabilities(x)[:, 0] == 1.0).tolist() == wanted.tolist()


def test_a_tree_with_one_leaf() -> None:
    leaf = Tree(
        np.zeros(1, np.int64),
        np.zeros(1),
        np.array([-1]),
        np.array([-1]),
        np.array([[0.0, 1.0, 2]]),
    )
    graph = Graph()
    forest = Forest([leaf, stump(0.5)], np.log([0.2, 0.3, 0.5]))
    served = Served(graph.finished(forest.emit(graph, "features"), (1,)))
    logits = np.log([0.2, 0.3, 0.5]) + np.array([1.0, 1.0, 2.0])
    wanted = np.exp(logits) / np.exp(logits).sum()
    found = served.probabilities(np.zeros((1, 1), np.float32))
    assert found[0] == pytest.approx(wanted, abs=1e-6)


def test_scaling_is_inside_the_graph() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal([3.0, -50.0, 7.0], [2.0, 10.0, 0.0], (500, 3)).astype(np.float32)
    scaler = Scaler.of(x)
    graph = Graph()
    served = Served(graph.finished(graph.softmax(scaler.emit(graph, "features")), (3,)))
    wild = np.concatenate((x, np.array([[1e6, -1e6, 7.0], [3.0, -50.0, 8.0]], np.float32)))
    scaled = scaler.scaled(wild).astype(np.float64)
    assert np.abs(scaled[:500].mean(axis=0)).max() < 1e-3
    assert scaled[500].tolist() == [5.0, -5.0, 0.0]
    wanted = np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True)
    assert np.abs(served.probabilities(wild) - wanted).max() < 1e-6


def served_constant(width: int = 3) -> Served:
    graph = Graph()
    logits = graph.dense("features", np.zeros((width, 3)), np.log([0.2, 0.3, 0.5]))
    return Served(graph.finished(graph.softmax(logits), (width,)))


def test_an_export_that_differs_is_told() -> None:
    x = np.zeros((5, 3), dtype=np.float32)
    right = np.tile([0.2, 0.3, 0.5], (5, 1))
    assert check_parity(served_constant(), x, right).largest < 1e-6
    wrong = right.copy()
    wrong[3] = [0.2003, 0.2997, 0.5]
    with pytest.raises(ParityBroken, match=r"differs by 0\.0003"):
        check_parity(served_constant(), x, wrong)


def test_another_shape_is_told() -> None:
    check_contract(served_constant(), (3,))
    with pytest.raises(ParityBroken, match="the graph takes"):
        check_contract(served_constant(4), (3,))
