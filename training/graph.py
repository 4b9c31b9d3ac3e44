"""ONNX graphs of the contract: one input ``features``, one output ``probabilities``.

Only operators of the default domain and of ``ai.onnx.ml`` are used, of versions that the deployed
onnxruntime serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

INPUT, OUTPUT = "features", "probabilities"
CLASS_COUNT = 3

_OPSET, _ML_OPSET, _IR = 17, 3, 8
_ML = "ai.onnx.ml"


class Graph:
    """A graph under construction: nodes and constants get names in the order they are added."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def node(
        self, op: str, *inputs: str, outputs: int = 1, ml: bool = False, **attributes: Any
    ) -> str:
        """Add an operator; the name of its last output."""
        number = len(self._nodes)
        names = [
            f"{op.lower()}_{number}_{i}" if outputs > 1 else f"{op.lower()}_{number}"
            for i in range(outputs)
        ]
        made = helper.make_node(op, list(inputs), names, domain=_ML if ml else "", **attributes)
        self._nodes.append(made)
        return names[-1]

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant; its name."""
        name = f"constant_{len(self._constants)}"
        array = np.array(value, dtype=dtype, order="C")
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def dense(self, x: str, weight: Any, bias: Any) -> str:
        """``x @ weight + bias`` over the last axis."""
        return self.node("Add", self.node("MatMul", x, self.constant(weight)), self.constant(bias))

    def softmax(self, x: str) -> str:
        """Probabilities of logits."""
        return self.node("Softmax", x, axis=-1)

    def finished(self, probabilities: str, shape: tuple[int, ...]) -> bytes:
        """The whole model.

        Parameters
        ----------
        probabilities : str
            Name of what is given out, of shape (N, 3).
        shape : tuple of int
            Of one row of the input: ``(features,)`` or ``(lookback, features)``.
        """
        self._nodes.append(helper.make_node("Identity", [probabilities], [OUTPUT]))
        made = helper.make_graph(
            self._nodes,
            "borsa",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", *shape])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", CLASS_COUNT])],
            self._constants,
        )
        model = helper.make_model(
            made,
            producer_name="borsa-training",
            ir_version=_IR,
            opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_ML, _ML_OPSET)],
        )
        onnx.checker.check_model(model, full_check=True)
        source: bytes = model.SerializeToString(deterministic=True)
        return source


@dataclass(frozen=True, eq=False)
class Scaler:
    """Features less their mean, in their standard deviations, limited."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    #: Deviations from the mean beyond which a value counts no more.
    LIMIT = 5.0

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> Scaler:
        """From training rows, of shape (rows, features)."""
        wide = features.astype(np.float64)
        deviation = wide.std(axis=0)
        # A feature that never changed says nothing; divided by 1 it stays 0.
        deviation[deviation < 1e-6] = 1.0
        return cls(wide.mean(axis=0).astype(np.float32), deviation.astype(np.float32))

    def scaled(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """As the graph does it."""
        limit = np.float32(self.LIMIT)
        found: NDArray[np.float32] = np.clip((x - self.mean) / self.deviation, -limit, limit)
        return found

    def emit(self, graph: Graph, x: str) -> str:
        """The same in the graph."""
        centred = graph.node("Sub", x, graph.constant(self.mean))
        scaled = graph.node("Div", centred, graph.constant(self.deviation))
        return graph.node("Clip", scaled, graph.constant(-self.LIMIT), graph.constant(self.LIMIT))
