"""Layers: weights, the computation in JAX, and the same computation as ONNX operators.

Arrays are (rows, width) or (rows, steps, width). Both computations stand side by side, so that
one cannot be changed without the other; the parity check of every export holds them together.
Weights of recurrent layers are kept as ONNX lays them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from training.graph import Graph

#: Weights of a layer by name; nested for layers of layers.
Weights = Any
#: Shape of one row: (width,) or (steps, width).
Shape = tuple[int, ...]


class Layer(Protocol):
    """A part of a net."""

    def begin(self, rng: np.random.Generator, shape: Shape) -> tuple[Weights, Shape]:
        """Weights to begin with, and the shape of what comes out."""
        ...

    def apply(self, weights: Weights, x: Any) -> Any:
        """The computation in JAX."""
        ...

    def emit(self, weights: Weights, graph: Graph, x: str) -> str:
        """The same as operators."""
        ...


def _glorot(rng: np.random.Generator, shape: Sequence[int], ins: int, outs: int) -> Any:
    limit = sqrt(6.0 / (ins + outs))
    return rng.uniform(-limit, limit, size=tuple(shape)).astype(np.float32)


def _zeros(*shape: int) -> Any:
    return np.zeros(shape, dtype=np.float32)


@dataclass(frozen=True)
class Dense:
    """``x @ w + b`` over the last axis, rectified where asked."""

    width: int
    relu: bool = False

    def begin(self, rng: np.random.Generator, shape: Shape) -> tuple[Weights, Shape]:
        weight = _glorot(rng, (shape[-1], self.width), shape[-1], self.width)
        return {"w": weight, "b": _zeros(self.width)}, (*shape[:-1], self.width)

    def apply(self, weights: Weights, x: Any) -> Any:
        y = x @ weights["w"] + weights["b"]
        return jax.nn.relu(y) if self.relu else y

    def emit(self, weights: Weights, graph: Graph, x: str) -> str:
        y = graph.dense(x, weights["w"], weights["b"])
        return graph.node("Relu", y) if self.relu else y


@dataclass(frozen=True)
class Norm:
    """Layer normalisation over the last axis (Ba et al., 2016)."""

    EPSILON = 1e-5

    def begin(self, rng: np.random.Generator, shape: Shape) -> tuple[Weights, Shape]:
        return {"w": np.ones(shape[-1], dtype=np.float32), "b": _zeros(shape[-1])}, shape

    def apply(self, weights: Weights, x: Any) -> Any:
        apart = x - x.mean(axis=-1, keepdims=True)
        variance = (apart * apart).mean(axis=-1, keepdims=True)
        return apart / jnp.sqrt(variance + self.EPSILON) * weights["w"] + weights["b"]

    def emit(self, weights: Weights, graph: Graph, x: str) -> str:
        return graph.node(
            "LayerNormalization",
            x,
            graph.constant(weights["w"]),
            graph.constant(weights["b"]),
            axis=-1,
            epsilon=self.EPSILON,
        )


@dataclass(frozen=True)
class Conv:
    """A causal convolution over the steps, rectified: no step sees a later one."""

    width: int
    reach: int = 3
    dilation: int = 1

    def begin(self, rng: np.random.Generator, shape: Shape) -> tuple[Weights, Shape]:
        steps, ins = shape
        # (out, in, steps), as ONNX has it.
        weight = _glorot(rng, (self.width, ins, self.reach), ins * self.reach, self.width)
        return {"w": weight, "b": _zeros(self.width)}, (steps, self.width)

    def _padding(self) -> int:
        return (self.reach - 1) * self.dilation

    def apply(self, weights: Weights, x: Any) -> Any:
        # A sum of shifted products: on a CPU several times as fast as XLA's convolution.
        steps = x.shape[1]
        padded = jnp.pad(x, ((0, 0), (self._padding(), 0), (0, 0)))
        y = weights["b"]
        for tap in range(self.reach):
            begin = tap * self.dilation
            y = y + padded[:, begin : begin + steps] @ weights["w"][:, :, tap].T
        return jax.nn.relu(y)

    def emit(self, weights: Weights, graph: Graph, x: str) -> str:
        y = graph.node(
            "Conv",
            graph.node("Transpose", x, perm=[0, 2, 1]),
            graph.constant(weights["w"]),
            graph.constant(weights["b"]),
            dilations=[self.dilation],
            kernel_shape=[self.reach],
            pads=[self._padding(), 0],
        )
        return graph.node("Transpose", graph.node("Relu", y), perm=[0, 2, 1])


@dataclass(frozen=True)
class Recurrent:
    """LSTM (Hochreiter and Schmidhuber, 1997) or GRU (Cho et al., 2014): the last state.

    ``both``: also one that reads the steps backwards; the two states stand side by side.
    """

    width: int
    cell: str = "lstm"
    both: bool = False

    @property
    def _gates(self) -> int:
        return {"lstm": 4, "gru": 3}[self.cell]

    def begin(self, rng: np.random.Generator, shape: Shape) -> tuple[Weights, Shape]:
        ins, n = shape[-1], self._gates * self.width
        directions = 2 if self.both else 1
        bias = _zeros(directions, 2 * n)
        if self.cell == "lstm":
            # Gates in the order i, o, f, c. To begin with, nothing is forgotten.
            bias[:, 2 * self.width : 3 * self.width] = 1.0
        weights = {
            "w": _glorot(rng, (directions, n, ins), ins, self.width),
            "r": _glorot(rng, (directions, n, self.width), self.width, self.width),
            "b": bias,
        }
        return weights, (directions * self.width,)

    def apply(self, weights: Weights, x: Any) -> Any:
        states = []
        for direction in range(2 if self.both else 1):
            steps = x[:, ::-1] if direction else x
            one = {name: value[direction] for name, value in weights.items()}
            states.append(self._run(one, steps))
        return jnp.concatenate(states, axis=-1)

    def _run(self, weights: Weights, x: Any) -> Any:
        n = self._gates * self.width
        fed = jnp.swapaxes(x @ weights["w"].T + weights["b"][:n], 0, 1)
        recurrent, bias = weights["r"].T, weights["b"][n:]
        zero = jnp.zeros((x.shape[0], self.width), dtype=x.dtype)

        def lstm(state: Any, step: Any) -> Any:
            hidden, cell = state
            i, o, f, c = jnp.split(step + hidden @ recurrent + bias, 4, axis=-1)
            cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(c)
            return (jax.nn.sigmoid(o) * jnp.tanh(cell), cell), None

        def gru(hidden: Any, step: Any) -> Any:
            fed_z, fed_r, fed_h = jnp.split(step, 3, axis=-1)
            back_z, back_r, back_h = jnp.split(hidden @ recurrent + bias, 3, axis=-1)
            z, r = jax.nn.sigmoid(fed_z + back_z), jax.nn.sigmoid(fed_r + back_r)
            return (1.0 - z) * jnp.tanh(fed_h + r * back_h) + z * hidden, None

        if self.cell == "lstm":
            (hidden, _), _ = jax.lax.scan(lstm, (zero, zero), fed)
            return hidden
        hidden, _ = jax.lax.scan(gru, zero, fed)
        return hidden

    def emit(self, weights: Weights, graph: Graph, x: str) -> str:
        attributes: dict[str, Any] = {"hidden_size": self.width}
        if self.both:
            attributes["direction"] = "bidirectional"
        if self.cell == "gru":
            # The reset gate acts behind the product, as above.
            attributes["linear_before_reset"] = 1
        state = graph.node(
            self.cell.upper(),
            graph.node("Transpose", x, perm=[1, 0, 2]),
            *(graph.constant(weights[name]) for name in ("w", "r", "b")),
            outputs=2,
            **attributes,
        )
        # (directions, rows, width) to (rows, directions x width).
        width = self.width * (2 if self.both else 1)
        shape = graph.constant([-1, width], np.int64)
        return graph.node("Reshape", graph.node("Transpose", state, perm=[1, 0, 2]), shape)


@dataclass(frozen=True)
class Attention:
    """Scaled dot products between all steps, in several heads (Vaswani et al., 2017)."""

    heads: int = 4

    def begin(self, rng: np.random.Generator, shape: Shape) -> tuple[Weights, Shape]:
        width = shape[-1]
        weights = {
            name: {"w": _glorot(rng, (width, width), width, width), "b": _zeros(width)}
            for name in ("query", "key", "value", "out")
        }
        return weights, shape

    def apply(self, weights: Weights, x: Any) -> Any:
        rows, steps, width = x.shape
        size = width // self.heads

        def heads(name: str) -> Any:
            y = x @ weights[name]["w"] + weights[name]["b"]
            return y.reshape(rows, steps, self.heads, size).transpose(0, 2, 1, 3)

        scores = heads("query") @ heads("key").swapaxes(-1, -2) / sqrt(size)
        mixed = jax.nn.softmax(scores, axis=-1) @ heads("value")
        joined = mixed.transpose(0, 2, 1, 3).reshape(rows, steps, width)
        return joined @ weights["out"]["w"] + weights["out"]["b"]

    def emit(self, weights: Weights, graph: Graph, x: str) -> str:
        width = weights["out"]["w"].shape[0]
        size = width // self.heads

        def heads(name: str, perm: list[int]) -> str:
            y = graph.dense(x, weights[name]["w"], weights[name]["b"])
            # 0 keeps the size of that axis.
            shape = graph.constant([0, 0, self.heads, size], np.int64)
            return graph.node("Transpose", graph.node("Reshape", y, shape), perm=perm)

        scores = graph.node("MatMul", heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]))
        shares = graph.softmax(graph.node("Div", scores, graph.constant(sqrt(size))))
        mixed = graph.node("MatMul", shares, heads("value", [0, 2, 1, 3]))
        back = graph.node("Transpose", mixed, perm=[0, 2, 1, 3])
        joined = graph.node("Reshape", back, graph.constant([0, 0, width], np.int64))
        return graph.dense(joined, weights["out"]["w"], weights["out"]["b"])


@dataclass(frozen=True)
class Positions:
    """A learnt vector per step, added: attention by itself does not know the order."""

    def begin(self, rng: np.random.Generator, shape: Shape) -> tuple[Weights, Shape]:
        return {"w": rng.normal(0.0, 0.02, size=shape).astype(np.float32)}, shape

    def apply(self, weights: Weights, x: Any) -> Any:
        return x + weights["w"]

    def emit(self, weights: Weights, graph: Graph, x: str) -> str:
        return graph.node("Add", x, graph.constant(weights["w"]))


@dataclass(frozen=True)
class Last:
    """The last step."""

    def begin(self, rng: np.random.Generator, shape: Shape) -> tuple[Weights, Shape]:
        return {}, shape[1:]

    def apply(self, weights: Weights, x: Any) -> Any:
        return x[:, -1]

    def emit(self, weights: Weights, graph: Graph, x: str) -> str:
        return graph.node("Gather", x, graph.constant(-1, np.int64), axis=1)


@dataclass(frozen=True)
class Chain:
    """Layers one after the other; ``around``: what goes in is added to what comes out.

    Where the widths differ, a product without more makes them equal.
    """

    layers: tuple[Layer, ...]
    around: bool = False

    def begin(self, rng: np.random.Generator, shape: Shape) -> tuple[Weights, Shape]:
        weights, out = [], shape
        for layer in self.layers:
            one, out = layer.begin(rng, out)
            weights.append(one)
        found: dict[str, Any] = {"layers": weights}
        if self.around and out != shape:
            found["around"] = _glorot(rng, (shape[-1], out[-1]), shape[-1], out[-1])
        return found, out

    def apply(self, weights: Weights, x: Any) -> Any:
        y = x
        for layer, one in zip(self.layers, weights["layers"], strict=True):
            y = layer.apply(one, y)
        if not self.around:
            return y
        return y + (x @ weights["around"] if "around" in weights else x)

    def emit(self, weights: Weights, graph: Graph, x: str) -> str:
        y = x
        for layer, one in zip(self.layers, weights["layers"], strict=True):
            y = layer.emit(one, graph, y)
        if not self.around:
            return y
        if "around" in weights:
            x = graph.node("MatMul", x, graph.constant(weights["around"]))
        return graph.node("Add", y, x)
