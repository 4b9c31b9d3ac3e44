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
    """Models of a folder, each read once.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._models: dict[str, OnnxModel] = {}
        self._names: tuple[str, ...] | None = None
        self._lock = threading.Lock()

    def names(self) -> tuple[str, ...]:
        """Models with a file or a card in the folder, whether or not they can be used."""
        if self._names is None:
            self._names = tuple(
                name for name in MODELS if self._file(name, "onnx") or self._file(name, "json")
            )
        return self._names

    def model(self, name: str, version: str = "") -> OnnxModel:
        """A model that may be served.

        Parameters
        ----------
        name : str
            One of :data:`MODELS`.
        version : str
            The version it has to be of; any when empty.

        Raises
        ------
        ConfigurationError
            When a file is missing, card and file do not belong together, it was trained on other
            features, or it is of another version.
        """
        with self._lock:
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

    def _read(self, name: str) -> OnnxModel:
        if name not in MODELS:
            raise ConfigurationError([f"unknown model {name!r}; use one of {', '.join(MODELS)}"])
        parts = []
        for ending in ("json", "onnx"):
            file = self._file(name, ending)
            if file is None:
                raise ConfigurationError(
                    [
                        f"model {name}: models/{name}.{ending} is not there; train it, or take "
                        f"{name} out of the configuration"
                    ]
                )
            try:
                parts.append(file.read_bytes())
            except OSError as error:
                raise ConfigurationError(
                    [f"model {name}: models/{name}.{ending} cannot be read: {error.strerror}"]
                ) from error
        card = decoded(parts[0], name)
        if card.name != name:
            raise ConfigurationError([f"model {name}: its card is that of {card.name}"])
        return OnnxModel(parts[1], card)

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
