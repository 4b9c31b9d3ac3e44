"""An ONNX file as AutoML makes it into one of the application's contract.

AutoML's file (``azureml.automl.runtime.onnx_convert``, opset 17 with ``ai.onnx.ml`` 3) has one
input per column, float32 of shape (N, 1) and named like the column, and two outputs: the predicted
label, and the probabilities as a tensor (N, classes) or, where the label was not encoded, as a
sequence of maps. Classes stand in alphabetical order. ``model_onnx.json`` beside it tells which
column is which input.

Nothing of the model is computed otherwise than AutoML has it: its inputs are cut out of
``features``, what only makes the label falls away, and classes are put into our order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from shared.intelligence.card import CLASSES
from shared.intelligence.features import NAMES
from training.automl.failures import NotConvertible
from training.graph import CLASS_COUNT, INPUT, OUTPUT

Floats = NDArray[np.float32]

#: Operators that the application serves.
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
#: Before every name of AutoML's, some of which are those of our contract.
_PREFIX = "automl/"
_FLOATS = {TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64}


@dataclass(frozen=True, eq=False)
class Converted:
    """A model of the contract, beside what it was made of.

    Parameters
    ----------
    source : bytes
        ONNX of the contract.
    producer : str
        What made AutoML's file, with its version.
    used : tuple of str
        Features that it reads.
    """

    source: bytes
    producer: str
    used: tuple[str, ...]


class Original:
    """AutoML's own file.

    Parameters
    ----------
    source : bytes
    columns : bytes or None
        ``model_onnx.json``; without it inputs are named like columns.

    Raises
    ------
    NotConvertible
        Saying what is not as it has to be.
    """

    def __init__(self, source: bytes, columns: bytes | None = None) -> None:
        self._source = source
        try:
            self.model: Any = onnx.load_model_from_string(source)
        except Exception as error:  # protobuf's own class, which is not exported
            raise NotConvertible(f"the file is no ONNX model: {_first_line(error)}") from error
        graph = self.model.graph
        if self.model.functions:
            raise NotConvertible("the model has functions of its own")
        foreign = sorted({node.domain for node in _nodes(graph)} - set(_DOMAINS))
        if foreign:
            raise NotConvertible(
                f"the model has operators of {', '.join(foreign)}, which are not served"
            )
        known = {constant.name for constant in graph.initializer}
        self._inputs = [one for one in graph.input if one.name not in known]
        self.columns = self._columns(_raw_names(columns))
        self.label, self.probabilities, self.order = self._outputs()

    @property
    def producer(self) -> str:
        """What made it, with its version."""
        model = self.model
        return f"{model.producer_name or 'unknown'} {model.producer_version}".strip()

    def run(self, x: Floats) -> tuple[list[str], NDArray[np.float64]]:
        """Labels and probabilities of down, flat and up, as AutoML's own helper reads them.

        Parameters
        ----------
        x : float32 array of shape (rows, features)
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            session = ort.InferenceSession(
                self._source, sess_options=options, providers=["CPUExecutionProvider"]
            )
            feed = {
                name: x[:, NAMES.index(column)].reshape(-1, 1).astype(kind)
                for name, (column, kind) in self.columns.items()
            }
            label, probabilities = session.run([self.label, self.probabilities], feed)
        except Exception as error:  # onnxruntime's own classes, which are not exported
            raise NotConvertible(
                f"onnxruntime does not run the model: {_first_line(error)}"
            ) from error
        if isinstance(probabilities, list):
            found = np.array([[one[name] for name in CLASSES] for one in probabilities])
        else:
            found = np.asarray(probabilities)
            if found.shape != (len(x), CLASS_COUNT):
                raise NotConvertible(
                    f"probabilities of shape {found.shape}, not {(len(x), CLASS_COUNT)}"
                )
            found = found[:, self.order]
        return [str(one) for one in np.asarray(label).reshape(-1)], found.astype(np.float64)

    def _columns(self, raw: Mapping[str, str]) -> dict[str, tuple[str, Any]]:
        """Per input: which feature it is, and the type it has."""
        found = {}
        strange, integers, fixed = [], [], []
        for one in self._inputs:
            column = raw.get(one.name, one.name)
            tensor = one.type.tensor_type
            shape = [d.dim_value for d in tensor.shape.dim]
            if column not in NAMES or shape[1:] != [1]:
                strange.append(column)
            elif tensor.elem_type not in _FLOATS:
                integers.append(column)
            elif shape[0]:
                fixed.append(column)
            else:
                found[one.name] = (column, _FLOATS[tensor.elem_type])
        if strange:
            raise NotConvertible(
                f"the model reads {', '.join(strange[:5])}, which are no features of "
                "ours: it was trained on another table"
            )
        if integers:
            raise NotConvertible(
                f"the model reads {', '.join(integers[:5])} as something else than a number with a "
                "fraction; live values would be cut off"
            )
        if fixed:
            raise NotConvertible(
                "the model takes one row at a time, as AutoML's neighbours and naive Bayes do; "
                "leave them out of the search"
            )
        if not found:
            raise NotConvertible("the model has no input")
        columns = [column for column, _ in found.values()]
        if len(set(columns)) < len(columns):
            raise NotConvertible("two inputs of the model are the same column")
        return found

    def _outputs(self) -> tuple[str, str, list[int]]:
        """Names of label and probabilities, and the place of down, flat and up in the latter."""
        graph = self.model.graph
        outputs = list(graph.output)
        if len(outputs) != 2:
            raise NotConvertible(
                f"the model has {len(outputs)} outputs; a classifier of AutoML gives label and "
                "probabilities"
            )
        names = _class_names(graph)
        if sorted(names) != sorted(CLASSES):
            raise NotConvertible(
                f"the model predicts {', '.join(names) or 'no named class'}, not "
                f"{', '.join(CLASSES)}: it was trained on another label"
            )
        return outputs[0].name, outputs[1].name, [names.index(name) for name in CLASSES]


def converted(original: Original) -> Converted:
    """The same model with the application's contract."""
    renamed = compose.add_prefix(original.model, _PREFIX)
    graph = renamed.graph
    opset = max((x.version for x in renamed.opset_import if x.domain in ("", "ai.onnx")), default=1)
    nodes = list(_head(original, opset))
    probabilities = _PREFIX + original.probabilities
    kind = TensorProto.FLOAT
    maps = next(
        (n for n in graph.node if probabilities in n.output and n.op_type == "ZipMap"), None
    )
    if maps is not None:
        probabilities = maps.input[0]
    else:
        kind = graph.output[1].type.tensor_type.elem_type
    needed = _leading_to(graph, probabilities)
    nodes += needed
    constants = [one for one in graph.initializer if _reads(needed, one.name)]
    if original.order != list(range(CLASS_COUNT)):
        constants.append(numpy_helper.from_array(np.array(original.order, np.int64), "order"))
        nodes.append(helper.make_node("Gather", [probabilities, "order"], ["ordered"], axis=1))
        probabilities = "ordered"
    if kind != TensorProto.FLOAT:
        nodes.append(
            helper.make_node("Cast", [probabilities], ["narrow"], to=int(TensorProto.FLOAT))
        )
        probabilities = "narrow"
    nodes.append(helper.make_node("Identity", [probabilities], [OUTPUT]))
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "borsa",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", len(NAMES)])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", CLASS_COUNT])],
            constants,
        ),
        producer_name="borsa-training",
        ir_version=renamed.ir_version,
        opset_imports=list(renamed.opset_import),
    )
    used = {column for column, _ in original.columns.values()}
    return Converted(
        made.SerializeToString(deterministic=True),
        original.producer,
        tuple(name for name in NAMES if name in used),
    )


def _head(original: Original, opset: int) -> Iterable[Any]:
    """``features`` cut into AutoML's inputs; a column that it has dropped goes nowhere."""
    names = {column: _PREFIX + name for name, (column, _) in original.columns.items()}
    wide = {c for c, kind in original.columns.values() if kind is np.float64}
    parts = [
        f"column_{place}" if column in wide or column not in names else names[column]
        for place, column in enumerate(NAMES)
    ]
    number = {"num_outputs": len(parts)} if opset >= 18 else {}
    yield helper.make_node("Split", [INPUT], parts, axis=1, **number)
    for place, column in enumerate(NAMES):
        if column in wide:
            yield helper.make_node(
                "Cast", [parts[place]], [names[column]], to=int(TensorProto.DOUBLE)
            )


def _leading_to(graph: Any, tensor: str) -> list[Any]:
    """The nodes that a tensor is computed from, in their order."""
    wanted, found = {tensor}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input) | _captured(node)
            found.append(node)
    return found[::-1]


def _captured(node: Any) -> set[str]:
    """What graphs inside a node read from outside; that they read their own names does no harm."""
    inner = [inside for attribute in node.attribute for inside in _graphs(attribute)]
    return {name for graph in inner for one in _nodes(graph) for name in one.input}


def _reads(nodes: Sequence[Any], name: str) -> bool:
    return any(name in node.input or name in _captured(node) for node in nodes)


def _nodes(graph: Any) -> Iterable[Any]:
    """All nodes, also of graphs inside of them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inside in _graphs(attribute):
                yield from _nodes(inside)


def _graphs(attribute: Any) -> list[Any]:
    single = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else []
    return [*single, *attribute.graphs]


def _class_names(graph: Any) -> list[str]:
    """Classes in the order of the columns of the probabilities.

    They are in the encoder of the label, whose keys are the columns, or where there is none in the
    classifier itself.
    """
    encoders = [node for node in graph.node if node.op_type == "LabelEncoder"]
    for node in encoders:
        values = _attribute(node, "values_strings")
        keys = (
            _attribute(node, "keys_int64s")
            or _attribute(node, "keys_floats")
            or _attribute(node, "keys_strings")
        )
        if values and len(keys) == len(values):
            try:
                return [name for _, name in sorted(zip(map(float, keys), values, strict=True))]
            except ValueError:  # not an encoder of numbers
                continue
    for node in graph.node:
        names = _attribute(node, "classlabels_strings")
        if names:
            return names
    return []


def _attribute(node: Any, name: str) -> list[Any]:
    for attribute in node.attribute:
        if attribute.name == name:
            found = helper.get_attribute_value(attribute)
            return [x.decode() if isinstance(x, bytes) else x for x in found]
    return []


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]


class _Columns(msgspec.Struct, frozen=True):
    """What is read of ``model_onnx.json``."""

    names: dict[str, str] = msgspec.field(name="RawColumnNameToOnnxNameMap")


def _raw_names(columns: bytes | None) -> dict[str, str]:
    """Column by name of its input."""
    if columns is None:
        return {}
    try:
        found = msgspec.json.decode(columns, type=_Columns).names
    except msgspec.MsgspecError as error:
        raise NotConvertible(f"model_onnx.json cannot be read: {error}") from error
    return {name: column for column, name in found.items()}
