"""What a family of models is to the pipeline: rows in, a fitted model that can be exported out."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from training.dataset import Dataset
from training.graph import Graph

Floats = NDArray[np.float32]
Places = NDArray[np.int64]
Probabilities = NDArray[np.float64]

#: Rows from which a second thread of a library is worth its waiting for the first.
_MANY_ROWS = 20_000


def threads(rows: int) -> int:
    """Threads to train with: a function of the rows only.

    Sums depend on how rows are shared among threads, so the machine must not decide it.
    """
    return 2 if rows >= _MANY_ROWS else 1


class Fitted(Protocol):
    """A model after training."""

    @property
    def found(self) -> dict[str, Any]:
        """What training decided by itself, for example after how many rounds it stopped."""
        ...

    def probabilities(self, x: Floats) -> Probabilities:
        """Of down, flat and up, as the framework itself computes them."""
        ...

    def emit(self, graph: Graph, features: str) -> str:
        """The same as nodes of a graph; the name of the probabilities."""
        ...


class Described(Protocol):
    """What a card says of a kind of model."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Literal["tabular", "sequence"]: ...

    @property
    def lookback(self) -> int:
        """Bars a prediction reads; 1 for tabular models."""
        ...

    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions that train it, by their names in ``training/requirements.txt``."""
        ...

    @property
    def params(self) -> dict[str, Any]:
        """What was chosen beforehand, for the card."""
        ...


class Family(Described, Protocol):
    """A kind of model before training."""

    def fit(self, data: Dataset, fit: Places, validation: Places, seed: int) -> Fitted:
        """Train on the rows of ``fit``; ``validation`` may say when to stop and how to scale."""
        ...


def inputs(family: Family, data: Dataset, rows: Places) -> Floats:
    """What a model of the family reads for those rows."""
    if family.kind == "tabular":
        return data.tabular(rows)
    return data.sequences(rows, family.lookback)


def thinned(rows: Places, most: int, seed: int) -> Places:
    """At most so many of the rows, drawn without order and given in it.

    Labels of neighbouring bars overlap almost wholly, so a part of the rows says nearly as much.
    """
    if len(rows) <= most:
        return rows
    drawn = np.random.default_rng(seed).choice(len(rows), size=most, replace=False)
    return rows[np.sort(drawn)]
