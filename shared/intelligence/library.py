"""The models that are there: ``models/<name>.onnx`` with ``models/<name>.json``, by name."""

from __future__ import annotations

import threading
from pathlib import Path

from shared.errors import ConfigurationError
from shared.intelligence.card import ModelCard, decoded
from shared.intelligence.model import OnnxModel

#: Every model that the project trains: recurrent and other nets, boosted and bagged trees, and
#: two plain ones to beat.
MODELS = (
    "lstm",
    "gru",
    "bilstm",
    "transformer",
    "tcn",
    "cnn_lstm",
    "mlp",
    "xgboost",
    "lightgbm",
    "catboost",
    "random_forest",
    "extra_trees",
    "logistic_regression",
    "svm_rbf",
)

#: What automated machine learning comes to, whatever model that is: a name of its own, and none of
#: the fourteen that vote together.
AUTOML = "automl"

#: Every name that a version can have in the registry.
SLOTS = (*MODELS, AUTOML)

#: Where the application's own models are; deployed with it.
SHIPPED = Path(__file__).resolve().parents[2] / "models"


class Library:
    """Models of a folder, each read once, and versions beside them that were handed in.

    A version is the digest of its file, so handing one in changes no answer that was given before.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._models: dict[str, OnnxModel] = {}
        self._held: dict[tuple[str, str], OnnxModel] = {}
        self._names: tuple[str, ...] | None = None
        self._lock = threading.Lock()

    def names(self) -> tuple[str, ...]:
        """Models with a file or a card in the folder, whether or not they can be used."""
        if self._names is None:
            self._names = tuple(
                name for name in SLOTS if self._file(name, "onnx") or self._file(name, "json")
            )
        return self._names

    def hold(self, model: OnnxModel) -> None:
        """Serve a version that does not lie in the folder, to those who ask for it by name."""
        with self._lock:
            self._held.setdefault((model.card.name, model.card.version), model)

    def holds(self, name: str, version: str) -> bool:
        """Whether a version was handed in."""
        with self._lock:
            return (name, version) in self._held

    def model(self, name: str, version: str = "") -> OnnxModel:
        """A model that may be served.

        Parameters
        ----------
        name : str
            One of :data:`SLOTS`.
        version : str
            The version it has to be of; the one of the folder when empty.

        Raises
        ------
        ConfigurationError
            When a file is missing, card and file do not belong together, it was trained on other
            features, or it is of another version.
        """
        with self._lock:
            held = self._held.get((name, version))
            if held is not None:
                return held
            found = self._models.get(name)
            if found is None:
                found = self._models[name] = self._read(name)
        if version and version != found.card.version:
            raise ConfigurationError(
                [
                    f"model {name}: version {version} is asked for, {found.card.version} is here; "
                    "put the old files back, or take the version out of the configuration"
                ]
            )
        return found

    def card(self, name: str) -> ModelCard:
        """The card of a model that may be served; raises as :meth:`model`."""
        return self.model(name).card

    def source(self, name: str) -> bytes:
        """The ONNX file of the folder; raises as :meth:`model`."""
        self.model(name)
        return self._bytes(name, "onnx")

    def _read(self, name: str) -> OnnxModel:
        if name not in SLOTS:
            raise ConfigurationError([f"unknown model {name!r}; use one of {', '.join(SLOTS)}"])
        text, source = self._bytes(name, "json"), self._bytes(name, "onnx")
        card = decoded(text, name)
        if card.name != name:
            raise ConfigurationError([f"model {name}: its card is that of {card.name}"])
        return OnnxModel(source, card)

    def _bytes(self, name: str, ending: str) -> bytes:
        file = self._file(name, ending)
        if file is None:
            raise ConfigurationError(
                [
                    f"model {name}: models/{name}.{ending} is not there; train it, or take "
                    f"{name} out of the configuration"
                ]
            )
        try:
            return file.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                [f"model {name}: models/{name}.{ending} cannot be read: {error.strerror}"]
            ) from error

    def _file(self, name: str, ending: str) -> Path | None:
        file = self._folder / f"{name}.{ending}"
        return file if file.is_file() else None


_library = Library(SHIPPED)


def library() -> Library:
    """The models that strategies and predictions use."""
    return _library


def use(other: Library) -> Library:
    """Serve the models of another folder (training, tests); what was used before."""
    global _library
    before, _library = _library, other
    return before
