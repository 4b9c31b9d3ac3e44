"""ONNX files of the shapes that AutoML's converter makes, small, with known weights.

After ``azureml.automl.runtime.onnx_convert`` 1.60: one input per column (float32, N x 1), joined by
a FeatureVectorizer; opset 17 with ``ai.onnx.ml`` 3; outputs ``output_label`` and
``output_probabity`` (so its spelling) where the label was encoded, else a label and a ZipMap.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from shared.intelligence.features import NAMES

Array = NDArray[np.float64]

FLOAT, INT64, DOUBLE, STRING = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.DOUBLE,
    TensorProto.STRING,
)
_ML = "ai.onnx.ml"


def weights(columns: int, seed: int = 1) -> tuple[Array, Array]:
    """Coefficients (columns, 3) and intercepts of a linear model."""
    random = np.random.default_rng(seed)
    return random.normal(0.0, 0.3, (columns, 3)), random.normal(0.0, 0.3, 3)


def softmax(x: NDArray[np.float32], seed: int = 1) -> Array:
    """What a linear model says, computed without ONNX."""
    coefficients, intercepts = weights(x.shape[1], seed)
    logits = x.astype(np.float64) @ coefficients + intercepts
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Array = odds / odds.sum(axis=1, keepdims=True)
    return found


class Maker:
    """A graph as AutoML builds one.

    Parameters
    ----------
    columns : sequence of str
        Columns that it reads, in order.
    """

    def __init__(
        self, columns: Sequence[str] = NAMES, *, kind: int = FLOAT, rows: int | None = None
    ) -> None:
        self.columns = tuple(columns)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.outputs: list[Any] = []
        self._inputs = [helper.make_tensor_value_info(c, kind, [rows, 1]) for c in self.columns]
        self._kind = kind

    def node(
        self, op: str, inputs: Sequence[str], *outputs: str, ml: bool = True, **more: Any
    ) -> str:
        """One operator; the name of its last output."""
        self.nodes.append(
            helper.make_node(op, list(inputs), list(outputs), domain=_ML if ml else "", **more)
        )
        return outputs[-1]

    def joined(self) -> str:
        """All columns as one tensor."""
        names = list(self.columns)
        if self._kind != FLOAT:
            names = [self.node("Cast", [c], f"{c}_cast", ml=False, to=FLOAT) for c in names]
        return self.node(
            "FeatureVectorizer",
            names,
            "variable_all_inputs_concated",
            inputdimensions=[1] * len(names),
        )

    def scaled(self, x: str) -> str:
        """A preprocessor that changes nothing."""
        count = len(self.columns)
        return self.node("Scaler", [x], "variable", scale=[1.0] * count, offset=[0.0] * count)

    def linear(
        self,
        x: str,
        *,
        seed: int = 1,
        labels: Sequence[str] | None = None,
        name: str = "",
        weighed: tuple[Array, Array] | None = None,
    ) -> str:
        """A logistic regression; its outputs are called as sklearn's converter calls them."""
        coefficients, intercepts = weighed or weights(len(self.columns), seed)
        classes: dict[str, Any] = (
            {"classlabels_strings": list(labels)} if labels else {"classlabels_ints": [0, 1, 2]}
        )
        return self.node(
            "LinearClassifier",
            [x],
            f"label{name}",
            f"probabilities{name}",
            coefficients=coefficients.T.reshape(-1).tolist(),
            intercepts=intercepts.tolist(),
            multi_class=1,
            post_transform="SOFTMAX",
            **classes,
        )

    def voted(self, parts: Mapping[str, float]) -> str:
        """A voting ensemble of probabilities, as AutoML writes it."""
        alpha = len(parts) / sum(parts.values())
        weighted = [
            self.node("Scaler", [p], f"weighted_probability_{n}", scale=[w * alpha], offset=[0.0])
            for n, (p, w) in enumerate(parts.items())
        ]
        means = []
        self.constant("shape_column", np.array([-1, 1], np.int64))
        for label in range(3):
            self.constant(f"index_class_{label}", np.array([label], np.int64))
            cut = []
            for n, part in enumerate(weighted):
                one = self.node(
                    "ArrayFeatureExtractor", [part, f"index_class_{label}"], f"col_{label}_{n}"
                )
                cut.append(self.node("Reshape", [one, "shape_column"], f"{one}_t", ml=False))
            joined = self.node("Concat", cut, f"conc_of_class_{label}", ml=False, axis=1)
            means.append(
                self.node("ReduceMean", [joined], f"avg_of_class_{label}", ml=False, axes=[1])
            )
        self.node("Concat", means, "probabilities_out", ml=False, axis=1)
        self.node("ArgMax", ["probabilities_out"], "place", ml=False, axis=1, keepdims=0)
        return "probabilities_out"

    def constant(self, name: str, value: Any) -> None:
        self.constants.append(numpy_helper.from_array(value, name))

    def encoded(
        self, label: str, probabilities: str, *, values: Sequence[str] = ("down", "flat", "up")
    ) -> bytes:
        """The whole, with the label in words again."""
        self.node(
            "LabelEncoder",
            [label],
            "output_label",
            keys_int64s=list(range(len(values))),
            values_strings=list(values),
            default_string="__unknown__",
        )
        self.node("Identity", [probabilities], "output_probabity", ml=False)
        self.outputs = [
            helper.make_tensor_value_info("output_label", STRING, [None]),
            helper.make_tensor_value_info("output_probabity", FLOAT, [None, len(values)]),
        ]
        return self.whole()

    def mapped(self, label: str, probabilities: str, labels: Sequence[str]) -> bytes:
        """The whole, with a ZipMap."""
        self.node("Identity", [label], "output_label", ml=False)
        self.node("ZipMap", [probabilities], "output_probability", classlabels_strings=list(labels))
        maps = helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(FLOAT, None))
        self.outputs = [
            helper.make_tensor_value_info("output_label", STRING, [None]),
            helper.make_value_info("output_probability", helper.make_sequence_type_proto(maps)),
        ]
        return self.whole()

    def whole(self) -> bytes:
        """The file."""
        graph = helper.make_graph(
            self.nodes, "AutoML_ONNX_Model_x", self._inputs, self.outputs, self.constants
        )
        made: bytes = helper.make_model(
            graph,
            producer_name="AutoML",
            producer_version="1.60.0",
            ir_version=8,
            opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(_ML, 3)],
        ).SerializeToString()
        return made


def logistic(columns: Sequence[str] = NAMES, **options: Any) -> bytes:
    """What a search comes to whose winner is a logistic regression."""
    maker = Maker(columns, **options)
    maker.linear(maker.scaled(maker.joined()))
    return maker.encoded("label", "probabilities")


def ensemble() -> bytes:
    """What a search comes to whose winner is a voting ensemble."""
    maker = Maker()
    x = maker.scaled(maker.joined())
    first, second = maker.linear(x, seed=1, name="_a"), maker.linear(x, seed=2, name="_b")
    return maker.encoded("place", maker.voted({first: 0.75, second: 0.25}))


def zipped(labels: Sequence[str] = ("down", "flat", "up")) -> bytes:
    """What comes where the label was not encoded."""
    maker = Maker()
    maker.linear(maker.joined(), labels=labels)
    return maker.mapped("label", "probabilities", labels)


def described(columns: Mapping[str, str]) -> bytes:
    """``model_onnx.json`` as AutoML writes it: which column is which input."""
    return json.dumps(
        {
            "RawColumnNameToOnnxNameMap": dict(columns),
            "InputRawColumnSchema": dict.fromkeys(columns, "floating"),
            "InputOnnxColumnSchema": dict.fromkeys(columns.values(), "FloatTensorType"),
            "CanEnableBatchMode": True,
        }
    ).encode()
