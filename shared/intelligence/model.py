"""One model as it is served: an ONNX file and its card, checked before they are believed.

onnxruntime is imported with the first prediction, not before.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import ConfigurationError, InvalidInput
from shared.intelligence.card import CLASSES, ModelCard
from shared.intelligence.features import FEATURE_SET, NAMES

INPUT = "features"
OUTPUT = "probabilities"

#: How far a row of probabilities may be from what probabilities are, before it is none.
TOLERANCE = 1e-3

Rows = NDArray[np.float32]
Probabilities = NDArray[np.float64]


class OnnxModel:
    """A model of the contract: ``features`` in, ``probabilities`` of down, flat and up out.

    Parameters
    ----------
    source : bytes
        The ONNX file.
    card : ModelCard

    Raises
    ------
    ConfigurationError
        When the bytes are not those of the card, or the model was trained on other features.
    """

    def __init__(self, source: bytes, card: ModelCard) -> None:
        found = hashlib.sha256(source).hexdigest()
        if found != card.onnx_sha256:
            raise _refused(
                card,
                f"the ONNX file is not the one of its card (SHA-256 {found[:12]}..., the card says "
                f"{card.onnx_sha256[:12]}...); take both from one training run",
            )
        if card.feature_set != FEATURE_SET:
            raise _refused(
                card,
                f"it was trained on feature set {card.feature_set}, this code makes {FEATURE_SET}; "
                "train it again",
            )
        if card.features != NAMES:
            raise _refused(card, "its card names other features than this code makes")
        self.card = card
        self._source = source
        self._session: Any = None
        self._lock = threading.Lock()

    def probabilities(self, rows: Rows) -> Probabilities:
        """Probabilities of the classes, row by row.

        Every row is a run of its own, as a live decision is: onnxruntime does not promise that a
        row among many comes to the same digits as alone.

        Parameters
        ----------
        rows : float32 array
            Of shape (n, features) for a tabular model, (n, look-back, features) for a sequence.

        Returns
        -------
        float64 array of shape (n, 3)
            Down, flat, up. The same row gives the same bits, on one kind of processor.

        Raises
        ------
        InvalidInput
            For rows of another shape or type, or that are not finite.
        ConfigurationError
            When onnxruntime refuses the file, it is not of the contract, or what comes out are no
            probabilities.
        """
        if rows.dtype != np.float32 or rows.shape[1:] != self._shape or rows.ndim < 2:
            raise InvalidInput(
                f"model {self.card.name} reads float32 rows of shape {self._shape}, got "
                f"{rows.dtype} {rows.shape[1:]}"
            )
        run = self._loaded().run
        found = np.empty((len(rows), len(CLASSES)))
        for i in range(len(rows)):
            # Look-backs overlap: a copy of one is small, one of all would be many times the rows.
            one = np.ascontiguousarray(rows[i : i + 1])
            if not np.isfinite(one).all():
                raise InvalidInput(f"model {self.card.name}: a feature is not finite")
            try:
                (row,) = run([OUTPUT], {INPUT: one})
            except Exception as error:  # onnxruntime's own classes, which are not exported
                raise _refused(self.card, f"it does not run: {_first_line(error)}") from error
            if np.shape(row) != (1, len(CLASSES)):
                raise _refused(
                    self.card, f"its output has shape {np.shape(row)}, not (1, {len(CLASSES)})"
                )
            found[i] = row[0]
        self._judge(found)
        return found

    @property
    def _shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        card = self.card
        one = (len(card.features),)
        return one if card.kind == "tabular" else (card.lookback, *one)

    def _judge(self, found: Probabilities) -> None:
        inside = (found >= -TOLERANCE) & (found <= 1.0 + TOLERANCE)
        # NaN is inside of nothing.
        sound = inside.all(axis=1) & (np.abs(found.sum(axis=1) - 1.0) <= TOLERANCE)
        if not sound.all():
            wrong = found[int(np.flatnonzero(~sound)[0])].tolist()
            raise _refused(self.card, f"what it gives out are no probabilities: {wrong}")

    def _loaded(self) -> Any:
        with self._lock:
            if self._session is None:
                self._session = self._load()
                self._source = b""
            return self._session

    def _load(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # One thread: sums have one order, and models leave the other cores to the application.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(
                self._source, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own classes, which are not exported
            raise _refused(
                self.card, f"onnxruntime cannot use its file: {_first_line(error)}"
            ) from error
        self._check("input", INPUT, session.get_inputs(), self._shape)
        self._check("output", OUTPUT, session.get_outputs(), (len(CLASSES),))
        return session

    def _check(self, what: str, name: str, found: Any, shape: tuple[int, ...]) -> None:
        told = ", ".join(f"{one.name}: {one.type} {one.shape}" for one in found)
        wanted = f"one {what} {name}: tensor(float) [N, {', '.join(map(str, shape))}]"
        if len(found) == 1:
            (one,) = found
            first, *rest = one.shape
            # A dimension that the file does not state is judged by what comes out.
            fits = len(rest) == len(shape) and all(
                not isinstance(had, int) or had == need
                for had, need in zip(rest, shape, strict=True)
            )
            free = not isinstance(first, int)
            if fits and free and one.name == name and one.type == "tensor(float)":
                return
        raise _refused(self.card, f"it has {told or f'no {what}'}; the contract is {wanted}")


def _refused(card: ModelCard, why: str) -> ConfigurationError:
    return ConfigurationError([f"model {card.name} {card.version}: {why}"])


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
