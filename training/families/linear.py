"""Multinomial logistic regression, and a support vector machine with an RBF kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from training.dataset import Dataset
from training.families.family import Floats, Places, Probabilities, thinned
from training.graph import CLASS_COUNT, Graph, Scaler

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Logistic:
    """Logistic regression with an L2 penalty on scaled features."""

    penalty: float = 1000.0
    name: str = "logistic_regression"
    kind: Literal["tabular"] = "tabular"
    lookback: int = 1
    packages: tuple[str, ...] = ("scikit-learn",)

    @property
    def params(self) -> dict[str, Any]:
        return {"penalty": self.penalty}

    def fit(self, data: Dataset, fit: Places, validation: Places, seed: int) -> FittedLogistic:
        from sklearn.linear_model import LogisticRegression

        rows = np.concatenate((fit, validation))
        x = data.tabular(rows)
        scaler = Scaler.of(x)
        model = LogisticRegression(C=1.0 / self.penalty, max_iter=500)
        model.fit(scaler.scaled(x).astype(np.float64), data.label[rows])
        return FittedLogistic(scaler, model)


class FittedLogistic:
    """Logistic regression, fitted."""

    def __init__(self, scaler: Scaler, model: Any) -> None:
        self._scaler = scaler
        self._model = model
        self.found: dict[str, Any] = {"iterations": int(model.n_iter_[0])}

    def probabilities(self, x: Floats) -> Probabilities:
        found: Probabilities = self._model.predict_proba(self._scaler.scaled(x).astype(np.float64))
        return found

    def emit(self, graph: Graph, features: str) -> str:
        scaled = self._scaler.emit(graph, features)
        return graph.softmax(graph.dense(scaled, self._model.coef_.T, self._model.intercept_))


@dataclass(frozen=True)
class RadialSvm:
    """A support vector machine, one machine per pair of classes.

    Its distances are no probabilities. A multinomial logistic regression on rows it was not
    fitted on makes some of them (Platt, 1999, for more than two classes). Training time grows
    with the square of the rows, so it sees a part of them.
    """

    cost: float = 0.5
    #: In units of one over the number of features.
    width: float = 0.5
    most_rows: int = 4000
    name: str = "svm_rbf"
    kind: Literal["tabular"] = "tabular"
    lookback: int = 1
    packages: tuple[str, ...] = ("scikit-learn",)

    @property
    def params(self) -> dict[str, Any]:
        return {"cost": self.cost, "width": self.width, "most_rows": self.most_rows}

    def fit(self, data: Dataset, fit: Places, validation: Places, seed: int) -> FittedSvm:
        from sklearn.linear_model import LogisticRegression
        from sklearn.svm import SVC

        rows = thinned(fit, self.most_rows, seed)
        x = data.tabular(rows)
        scaler = Scaler.of(x)
        model = SVC(
            C=self.cost,
            kernel="rbf",
            gamma=self.width / x.shape[1],
            decision_function_shape="ovo",
            cache_size=500,
        )
        model.fit(scaler.scaled(x), data.label[rows])
        held = thinned(validation, self.most_rows, seed)
        distances = model.decision_function(scaler.scaled(data.tabular(held)))
        scale = LogisticRegression(C=1.0, max_iter=500).fit(distances, data.label[held])
        return FittedSvm(scaler, model, scale)


class FittedSvm:
    """The machine and the regression behind it, fitted."""

    def __init__(self, scaler: Scaler, model: Any, scale: Any) -> None:
        self._scaler = scaler
        self._model = model
        self._scale = scale
        self.found: dict[str, Any] = {"support_vectors": int(model.n_support_.sum())}

    def probabilities(self, x: Floats) -> Probabilities:
        distances = self._model.decision_function(self._scaler.scaled(x))
        found: Probabilities = self._scale.predict_proba(distances)
        return found

    def emit(self, graph: Graph, features: str) -> str:
        # In 64 bits, as libsvm computes: thousands of small terms would add up their rounding.
        # What was scaled has 32 bits, so the vectors are stored in as many.
        def wide(value: Any) -> str:
            return graph.constant(value, np.float64)

        x = graph.node("Cast", self._scaler.emit(graph, features), to=TensorProto.DOUBLE)
        vectors = self._model.support_vectors_
        stored = graph.node("Cast", graph.constant(vectors.T), to=TensorProto.DOUBLE)
        cross = graph.node("Mul", graph.node("MatMul", x, stored), wide(2.0))
        own = graph.node("ReduceSumSquare", x, axes=[1], keepdims=1)
        # exp(-gamma (|x|^2 - 2 x s + |s|^2)), all support vectors s at once.
        near = graph.node("Sub", graph.node("Sub", cross, own), wide((vectors**2).sum(axis=1)))
        kernel = graph.node("Exp", graph.node("Mul", near, wide(float(self._model.gamma))))
        weights, start = self._pairs()
        scale = self._scale.coef_.T
        logits = graph.node(
            "Add",
            graph.node("MatMul", kernel, wide(weights @ scale)),
            wide(start @ scale + self._scale.intercept_),
        )
        return graph.node("Cast", graph.softmax(logits), to=TensorProto.FLOAT)

    def _pairs(self) -> tuple[Array, Array]:
        """Weight of every support vector in every pair's machine, and the machines' offsets.

        libsvm keeps, for each vector of a class, its coefficients against the other classes in
        the order of those.
        """
        ends = np.cumsum(self._model.n_support_)
        starts = ends - self._model.n_support_
        dual = self._model.dual_coef_
        weights = np.zeros((dual.shape[1], CLASS_COUNT))
        pair = 0
        for a in range(CLASS_COUNT):
            for b in range(a + 1, CLASS_COUNT):
                weights[starts[a] : ends[a], pair] = dual[b - 1, starts[a] : ends[a]]
                weights[starts[b] : ends[b], pair] = dual[a, starts[b] : ends[b]]
                pair += 1
        return weights, np.asarray(self._model.intercept_, dtype=np.float64)
