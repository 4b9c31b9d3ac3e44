"""Models as they are served: what is wrong with a file is told, and nothing of it is believed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from shared.errors import ConfigurationError, InvalidInput
from shared.intelligence.features import NAMES, matrix, reference
from shared.intelligence.library import MODELS, SHIPPED, Library
from shared.intelligence.model import OnnxModel
from tests.intelligence.made_models import card
from tests.intelligence.made_onnx import (
    COUNT,
    LOOKBACK,
    MAKERS,
    built,
    constant,
    lstm,
    mlp,
    save,
    trees,
)

ROWS = matrix(reference(560))[-90:]
SEQUENCES = np.lib.stride_tricks.sliding_window_view(ROWS, LOOKBACK, axis=0).swapaxes(1, 2)


def model(source: bytes, **changes: Any) -> OnnxModel:
    return OnnxModel(source, card(source, **changes))


def rows_for(found: OnnxModel) -> np.ndarray[Any, Any]:
    return ROWS if found.card.kind == "tabular" else SEQUENCES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, make in MAKERS.items():
        save(tmp_path, name, make())
    return tmp_path


def test_an_mlp_by_plain_arithmetic() -> None:
    random = np.random.default_rng(1)
    w1, b1, w2, b2 = (
        random.normal(0.0, 0.4, shape).astype(np.float32).astype(float)
        for shape in ((COUNT, 16), (16,), (16, 3), (3,))
    )
    logits = np.maximum(ROWS.astype(float) @ w1 + b1, 0.0) @ w2 + b2
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = model(mlp()).probabilities(ROWS)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(found[:, 2]) > 0.1


@pytest.mark.parametrize("name", MAKERS)
def test_a_row_is_the_same_alone_and_among_others(name: str, folder: Path) -> None:
    """Bit for bit: what a backtest computes is what a live decision would have."""
    served, again = Library(folder).model(name), Library(folder).model(name)
    rows = rows_for(served)
    whole = served.probabilities(rows)
    assert whole.shape == (len(rows), 3)
    for i in range(0, len(rows), 7):
        assert (again.probabilities(rows[i : i + 1].copy()) == whole[i]).all()
    assert (served.probabilities(rows[::-1]) == whole[::-1]).all()
    assert served.probabilities(rows[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (ROWS.astype(np.float64), "reads float32 rows"),
        (ROWS[:, :-1], "reads float32 rows of shape"),
        (ROWS[0], "reads float32 rows of shape"),
        (SEQUENCES, "reads float32 rows of shape"),
        (np.full_like(ROWS, np.nan), "a feature is not finite"),
    ],
)
def test_rows_that_are_none_are_refused(rows: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        model(mlp()).probabilities(rows)


def _dense(out: str = "probabilities", **options: Any) -> bytes:
    """A model that is right but for what is said."""
    node = helper.make_node("Softmax", ["logits"], [out], axis=-1)
    first = helper.make_node("MatMul", [options.get("inputs", "features"), "w"], ["logits"])
    width = options.pop("width", 3)
    weight = np.zeros((COUNT, width), np.float32)
    shape = options.pop("shape", ("N", COUNT))
    options.setdefault("out_shape", ("N", width))
    return built([first, node], {"w": weight}, shape, outputs=out, **options)


def _two_of_three() -> bytes:
    """A model whose file does not say that it has two classes only."""
    nodes = [
        helper.make_node("MatMul", ["features", "w"], ["logits"]),
        helper.make_node("Compress", ["logits", "kept"], ["some"], axis=1),
        helper.make_node("Softmax", ["some"], ["probabilities"], axis=-1),
    ]
    constants = {"w": np.zeros((COUNT, 3), np.float32), "kept": np.array([True, True, False])}
    return built(nodes, constants, ("N", COUNT), out_shape=("N", "classes"))


def _two_outputs() -> bytes:
    import onnx

    found = onnx.load_from_string(trees())
    found.graph.output.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]))
    made: bytes = found.SerializeToString()
    return made


WRONG = [
    (b"no model at all", {}, "onnxruntime cannot use its file"),
    (b"", {}, "onnxruntime cannot use its file"),
    (mlp()[:-40], {}, "onnxruntime cannot use its file"),
    (_dense(inputs="x"), {}, "it has x: tensor.* the contract is one input features"),
    (_dense("scores"), {}, "it has scores: tensor.* the contract is one output probabilities"),
    (_dense(shape=(1, COUNT)), {}, "the contract is one input features"),
    (_dense(width=2), {}, "the contract is one output probabilities"),
    (_two_of_three(), {}, r"its output has shape \(1, 2\)"),
    (_two_outputs(), {}, "the contract is one output probabilities"),
    (lstm(), {}, "the contract is one input features"),
    (mlp(), {"kind": "sequence", "lookback": LOOKBACK}, "the contract is one input features"),
    (lstm(lookback=5), {"kind": "sequence", "lookback": LOOKBACK}, "the contract is one input"),
    (constant(np.nan, 0.5, 0.5), {}, "no probabilities: .nan, 0.5, 0.5"),
    (constant(np.inf, 0.0, 0.0), {}, "no probabilities"),
    (constant(0.5, 0.5, 0.5), {}, "no probabilities"),
    (constant(-0.5, 1.0, 0.5), {}, "no probabilities"),
]


@pytest.mark.parametrize(("source", "changes", "told"), WRONG, ids=range(len(WRONG)))
def test_a_file_that_is_not_of_the_contract_gives_nothing(
    source: bytes, changes: dict[str, Any], told: str
) -> None:
    wrong = model(source, **changes)
    for _ in range(2):  # It does not get better by asking again.
        with pytest.raises(ConfigurationError, match=f"model mlp {wrong.card.version}: .*{told}"):
            wrong.probabilities(rows_for(wrong))


def test_bytes_that_are_not_those_of_the_card_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="not the one of its card"):
        OnnxModel(mlp(1), card(mlp(2)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"feature_set": "1-0123456789ab"}, "trained on feature set 1-0123456789ab"),
        ({"features": NAMES[::-1]}, "other features"),
        ({"features": NAMES[:-1]}, "other features"),
    ],
)
def test_other_features_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        model(mlp(), **changes)


def test_the_library_finds_what_is_there(folder: Path) -> None:
    served = Library(folder)
    assert served.names() == ("lstm", "mlp", "xgboost")
    assert served.model("mlp") is served.model("mlp")
    version = served.card("mlp").version
    assert served.model("mlp", version).card.version == version
    with pytest.raises(ConfigurationError, match=f"000000000000 is asked for, {version} is here"):
        served.model("mlp", "000000000000")


def test_what_the_library_cannot_serve_is_told(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"models/gru\.json is not there; train it"):
        Library(folder).model("gru")
    with pytest.raises(ConfigurationError, match=r"unknown model .\.\./mlp.; use one of lstm"):
        Library(folder).model("../mlp")
    (folder / "mlp.onnx").unlink()
    with pytest.raises(ConfigurationError, match=r"models/mlp\.onnx is not there"):
        Library(folder).model("mlp")
    (folder / "mlp.onnx").write_bytes(mlp(9))
    with pytest.raises(ConfigurationError, match="not the one of its card"):
        Library(folder).model("mlp")
    body = json.loads((folder / "lstm.json").read_bytes()) | {"name": "gru"}
    (folder / "lstm.json").write_text(json.dumps(body))
    with pytest.raises(ConfigurationError, match="its card is that of gru"):
        Library(folder).model("lstm")
    (folder / "lstm.json").write_text("{")
    with pytest.raises(ConfigurationError, match="its card cannot be used"):
        Library(folder).model("lstm")
    # None of that is the others' trouble.
    assert Library(folder).model("xgboost").probabilities(ROWS[:1]).shape == (1, 3)


def test_what_is_shipped_can_be_served() -> None:
    """Every model that lies in models/ has both its files, and answers."""
    shipped = Library(SHIPPED)
    for name in shipped.names():
        served = shipped.model(name)
        rows = ROWS[:2] if served.card.kind == "tabular" else None
        if rows is None:
            lookback = served.card.lookback
            rows = matrix(reference(460 + lookback))[-lookback:][None]
        assert served.probabilities(rows).shape == (len(rows), 3)
    assert len(MODELS) == 14


def test_onnxruntime_is_loaded_with_the_first_prediction(folder: Path) -> None:
    program = """
import sys
from pathlib import Path
import function_app
assert "shared.intelligence.features" not in sys.modules, "at the cold start"
from shared.intelligence.features import matrix, reference
from shared.intelligence.library import Library
from shared.strategies.config import decode_config
decode_config("{}")
model = Library(Path(sys.argv[1])).model("mlp")
assert "onnxruntime" not in sys.modules, "before the first prediction"
model.probabilities(matrix(reference(500))[-1:])
assert "onnxruntime" in sys.modules
for name in ("azure.cosmos", "binance", "aiohttp", "requests"):
    assert name not in sys.modules, name
print("done")
"""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "done"), ran.stderr
