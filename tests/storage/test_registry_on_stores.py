"""The registry of models on every store: a file of several documents, states under their ETag."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from local.clock import VirtualClock
from shared.errors import NotFound, StoreError
from shared.intelligence.features import NAMES
from shared.intelligence.registry import CHUNK, Registry
from shared.storage.store import Store
from tests.intelligence.made_models import card
from tests.intelligence.made_onnx import built


def large(hidden: int = 14_000) -> bytes:
    """A perceptron whose file needs three documents."""
    random = np.random.default_rng(4)
    shapes = {"w1": (len(NAMES), hidden), "b1": (hidden,), "w2": (hidden, 3), "b2": (3,)}
    return built(
        [
            helper.make_node("Gemm", ["features", "w1", "b1"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["active"]),
            helper.make_node("Gemm", ["active", "w2", "b2"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        {name: random.normal(0, 0.01, s).astype(np.float32) for name, s in shapes.items()},
        ("N", len(NAMES)),
    )


def test_a_file_of_several_documents_comes_back_whole(store: Store, clock: VirtualClock) -> None:
    onnx = large()
    made = card(onnx, name="automl")
    registry = Registry(store, clock)
    assert registry.register(made, onnx, "a test").chunks == -(-len(onnx) // CHUNK) == 3
    assert registry.onnx("automl", made.version) == (onnx, made)
    registry.move("automl", made.version, "challenger")
    # Another process, that knows nothing of this one.
    other = Registry(store, clock)
    assert other.slots()["automl"].versions[made.version].state == "challenger"
    found = store.get("versions", "automl", f"onnx:{made.version}:1")
    assert found is not None
    store.replace("versions", {**found.body, "data": "no base64!"}, etag=found.etag)
    with pytest.raises(StoreError, match="holds no piece"):
        other.model("automl", made.version)
    store.delete("versions", "automl", f"onnx:{made.version}:1")
    with pytest.raises(NotFound, match=f"onnx:{made.version}:1"):
        other.model("automl", made.version)
