"""The neural nets as families; JAX is imported when the first one is fitted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from training.dataset import Dataset
from training.families.family import Places

if TYPE_CHECKING:
    from training.nets.fitting import FittedNet

#: Bars that the sequence models look back on.
LOOKBACK = 24


@dataclass(frozen=True)
class Training:
    """How long and how fast nets learn.

    Parameters
    ----------
    epochs, patience : int
        Most rounds over the rows, and rounds without a better validation after which it ends.
    batch : int
        Rows per step.
    rate, decay : float
        Of AdamW (Loshchilov and Hutter, 2019).
    most_rows : int
        Rows drawn from the training span.
    """

    epochs: int = 10
    patience: int = 2
    batch: int = 256
    rate: float = 1e-3
    decay: float = 1e-3
    most_rows: int = 24_000


@dataclass(frozen=True)
class Net:
    """A neural net by the name of its architecture."""

    name: str
    kind: Literal["tabular", "sequence"] = "sequence"
    lookback: int = LOOKBACK
    training: Training = Training()
    packages: tuple[str, ...] = ("jax", "optax")

    @property
    def params(self) -> dict[str, Any]:
        return asdict(self.training)

    def fit(self, data: Dataset, fit: Places, validation: Places, seed: int) -> FittedNet:
        from training.nets import architectures
        from training.nets.fitting import fitted

        body = getattr(architectures, self.name.upper())
        return fitted(self, body, data, fit, validation, seed)
