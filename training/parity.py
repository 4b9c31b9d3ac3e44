"""Whether what is served is what was trained: probabilities of both on rows held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import BorsaError
from training.graph import CLASS_COUNT, INPUT, OUTPUT

Floats = NDArray[np.float32]

#: Largest difference of a probability that rounding in 32 bits explains.
TOLERANCE = 1e-4
#: Rows onnxruntime is given at once.
_CHUNK = 8192


class ParityBroken(BorsaError):
    """An exported model does not give the probabilities of the trained one."""


@dataclass(frozen=True)
class Parity:
    """Largest and mean difference of a probability, over so many rows."""

    rows: int
    largest: float
    mean: float


class Served:
    """An exported model on onnxruntime, as the application runs it: one thread, in order."""

    def __init__(self, source: bytes) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        self._session = ort.InferenceSession(
            source, sess_options=options, providers=["CPUExecutionProvider"]
        )

    @property
    def inputs(self) -> list[tuple[str, str, list[Any]]]:
        """Name, type and shape of each."""
        return [(i.name, i.type, list(i.shape)) for i in self._session.get_inputs()]

    @property
    def outputs(self) -> list[tuple[str, str, list[Any]]]:
        """Name, type and shape of each."""
        return [(o.name, o.type, list(o.shape)) for o in self._session.get_outputs()]

    def probabilities(self, x: Floats) -> NDArray[np.float64]:
        """Of each row of ``x``."""
        found = [
            self._session.run([OUTPUT], {INPUT: x[at : at + _CHUNK]})[0]
            for at in range(0, len(x), _CHUNK)
        ]
        return np.concatenate(found).astype(np.float64)


def check_contract(served: Served, shape: Sequence[int]) -> None:
    """Names, types and shapes are those that the application asks for.

    Raises
    ------
    ParityBroken
        When they are not.
    """
    wanted = (
        [(INPUT, "tensor(float)", ["N", *shape])],
        [(OUTPUT, "tensor(float)", ["N", CLASS_COUNT])],
    )
    if (served.inputs, served.outputs) != wanted:
        raise ParityBroken(f"the graph takes {served.inputs} and gives {served.outputs}")


def check_parity(served: Served, x: Floats, trained: NDArray[Any]) -> Parity:
    """Both give the same probabilities, which are some.

    Raises
    ------
    ParityBroken
        When a probability differs by more than the tolerance, or rows do not add up to 1.
    """
    ours = served.probabilities(x)
    apart = np.abs(ours - trained)
    if not np.isfinite(ours).all() or np.abs(ours.sum(axis=1) - 1.0).max() > 1e-5:
        raise ParityBroken("the exported model gives no probabilities")
    if np.max(apart) > TOLERANCE:
        raise ParityBroken(
            f"of {len(x)} rows one differs by {np.max(apart):.2g} after export; allowed are "
            f"{TOLERANCE:g}"
        )
    return Parity(len(x), float(np.max(apart)), float(apart.mean()))
