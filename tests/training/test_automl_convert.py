"""Files as AutoML makes them become files of the contract, or are refused in words.

``automl_files/`` holds what Microsoft's own converter has made; ``automl_models`` builds the same
shapes with known weights, and such as nobody could serve.
"""

from __future__ import annotations

import json
from pathlib import Path

import automl_models as made
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from shared.intelligence.features import NAMES
from training.automl.convert import Original, converted
from training.automl.failures import NotConvertible
from training.parity import Served, check_contract, check_parity

X: NDArray[np.float32] = (
    np.random.default_rng(3).normal(0.0, 1.0, (64, len(NAMES))).astype(np.float32)
)

FILES = Path(__file__).parent / "automl_files"


def served(source: bytes, columns: bytes | None = None) -> NDArray[np.float64]:
    """What the converted file says, after every check that a file of ours has to pass."""
    original = Original(source, columns)
    one = Served(converted(original).source)
    check_contract(one, (len(NAMES),))
    label, theirs = original.run(X)
    check_parity(one, X, theirs)
    assert label == [("down", "flat", "up")[n] for n in theirs.argmax(axis=1)]
    return one.probabilities(X)


@pytest.mark.parametrize("name", ["logistic", "lightgbm", "ensemble", "unencoded"])
def test_files_of_microsofts_converter_say_what_their_python_models_said(name: str) -> None:
    said = json.loads((FILES / "said.json").read_text())
    x = np.zeros((len(said["rows"]), len(NAMES)), np.float32)
    x[:, [NAMES.index(column) for column in said["columns"]]] = said["rows"]
    original = Original(
        (FILES / f"{name}.onnx").read_bytes(), (FILES / "columns.json").read_bytes()
    )
    made_of = converted(original)
    assert (made_of.producer, made_of.used) == ("AutoML 1.60.0", NAMES)
    one = Served(made_of.source)
    check_contract(one, (len(NAMES),))
    label, theirs = original.run(x)
    check_parity(one, x, theirs)
    wanted = np.array(said["probabilities"][name])
    assert one.probabilities(x) == pytest.approx(wanted, abs=1e-6)
    assert label == [("down", "flat", "up")[n] for n in wanted.argmax(axis=1)]


def test_microsofts_neighbours_take_one_row_at_a_time() -> None:
    with pytest.raises(NotConvertible, match="one row at a time"):
        Original((FILES / "neighbours.onnx").read_bytes())


def test_an_encoded_label_and_one_input_per_column() -> None:
    assert served(made.logistic()) == pytest.approx(made.softmax(X), abs=1e-6)


def test_a_voting_ensemble() -> None:
    wanted = 0.75 * made.softmax(X, 1) + 0.25 * made.softmax(X, 2)
    assert served(made.ensemble()) == pytest.approx(wanted, abs=1e-6)


def test_a_label_that_was_not_encoded_comes_as_maps() -> None:
    assert served(made.zipped()) == pytest.approx(made.softmax(X), abs=1e-6)


def test_classes_are_put_into_our_order() -> None:
    order = [2, 0, 1]
    found = served(made.zipped(["up", "down", "flat"]))
    wanted = made.softmax(X)
    # Its first column is up, its second down, its third flat.
    assert found == pytest.approx(wanted[:, [1, 2, 0]], abs=1e-6)
    assert found[:, order] == pytest.approx(wanted, abs=1e-6)


def test_columns_are_found_by_their_names_and_not_by_their_places() -> None:
    """AutoML may drop some, order them otherwise, and rename inputs."""
    some = list(NAMES[::-1][:7])
    inputs = [f"input_{n}" for n in range(len(some))]
    columns = made.described(dict(zip(some, inputs, strict=True)))
    found = served(made.logistic(inputs), columns)
    places = [NAMES.index(name) for name in some]
    assert found == pytest.approx(made.softmax(X[:, places]), abs=1e-6)
    assert converted(Original(made.logistic(inputs), columns)).used == tuple(
        sorted(some, key=NAMES.index)
    )
    # Without the description those names mean nothing.
    with pytest.raises(NotConvertible, match="input_0, input_1"):
        Original(made.logistic(inputs))


def test_columns_in_64_bits() -> None:
    assert served(made.logistic(kind=made.DOUBLE)) == pytest.approx(made.softmax(X), abs=1e-6)


def test_what_only_makes_the_label_falls_away() -> None:
    graph = onnx.load_model_from_string(converted(Original(made.ensemble())).source).graph
    assert {"ArgMax", "LabelEncoder"} & {node.op_type for node in graph.node} == set()
    assert [one.name for one in graph.input] == ["features"]
    assert [one.name for one in graph.output] == ["probabilities"]


def test_the_newest_operators_split_otherwise() -> None:
    """Split has to be told the number of its parts from opset 18 on."""
    model = onnx.load_model_from_string(made.logistic())
    model.opset_import[0].version = 18
    assert served(model.SerializeToString()) == pytest.approx(made.softmax(X), abs=1e-6)


def test_who_made_it_is_kept() -> None:
    assert converted(Original(made.logistic())).producer == "AutoML 1.60.0"


def swapped() -> bytes:
    """A label that contradicts the probabilities is for whoever judges the model to find."""
    return made.zipped(["down", "flat", "sideways"])


def foreign() -> bytes:
    maker = made.Maker()
    x = maker.joined()
    maker.nodes.append(helper.make_node("MurmurHash3", [x], ["hash"], domain="com.microsoft"))
    maker.linear(x)
    return maker.encoded("label", "probabilities")


def one_output() -> bytes:
    model = onnx.load_model_from_string(made.logistic())
    del model.graph.output[1]
    source: bytes = model.SerializeToString()
    return source


def regressor() -> bytes:
    model = onnx.load_model_from_string(made.logistic())
    for node in list(model.graph.node):
        if node.op_type == "LabelEncoder":
            model.graph.node.remove(node)
    source: bytes = model.SerializeToString()
    return source


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (b"<html>not found</html>", "no ONNX model"),
        (b"", "no input"),
        (made.logistic(["age", "job", "move_1"]), "reads age, job, which are no features"),
        (made.logistic(kind=made.INT64), "reads move_1, .* as something else than a number"),
        (made.logistic(kind=made.STRING), "as something else than a number"),
        (made.logistic(rows=1), "one row at a time"),
        (swapped(), "predicts down, flat, sideways"),
        (foreign(), "operators of com.microsoft"),
        (one_output(), "1 outputs"),
        (regressor(), "no named class"),
    ],
)
def test_what_cannot_be_served_is_refused(source: bytes, told: str) -> None:
    with pytest.raises(NotConvertible, match=told):
        Original(source)


@pytest.mark.parametrize("columns", [b"{}", b"no json", b'{"RawColumnNameToOnnxNameMap": 1}'])
def test_a_description_that_is_none(columns: bytes) -> None:
    with pytest.raises(NotConvertible, match=r"model_onnx\.json"):
        Original(made.logistic(), columns)


def test_two_inputs_cannot_be_one_column() -> None:
    columns = made.described({"move_1": "a"}).replace(b'"a"', b'"move_1"')
    source = made.logistic(["move_1", "move_3"])
    assert Original(source, columns).columns
    # Both names lead to one input: the second is taken, and the first stands for nothing.
    with pytest.raises(NotConvertible, match="no features"):
        Original(made.logistic(["a", "b"]), made.described({"move_1": "a"}))
