"""Model cards: what a model is, what it was trained on, and what it was worth out of sample.

A card stands beside its ONNX file as ``models/<name>.json``. The application serves a model only
by its card, so what serving depends on (features, look-back, digest) is checked when it is read.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from shared.errors import ConfigurationError
from shared.market.timeframe import TIMEFRAMES, duration_ms

#: What a model gives probabilities of, in the order of its output: a short would reach its take
#: first, neither would, a long would.
CLASSES = ("down", "flat", "up")

#: Longest look-back in bars.
LONGEST = 512

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Part of a card."""


class Figures(_Part, frozen=True, kw_only=True):
    """How good the probabilities were on rows that the training had not seen.

    Parameters
    ----------
    rows : int
    log_loss, base_log_loss : float
        Mean negative log likelihood in nats, and that of the shares of the training rows.
    accuracy, majority_accuracy : float
        Share of rows whose likeliest class came, and of the commonest class of the training rows.
    brier : float
        Mean over rows of the sum over classes of squared differences; 0 to 2.
    auc_up, auc_down : float or None
        Area under the ROC curve of one class against the rest; ``None`` where only one side is.
    vote_threshold : float
        Difference of p(up) and p(down) from which a row counts as a vote.
    votes : int
        Rows with a vote.
    hit_rate, base_hit_rate : float or None
        Share of the votes whose barrier came first, and of the same sides without any knowledge:
        dealt at random over the same rows.
    base_brier : float or None
        Brier score of the shares of the training rows.
    auc_direction : float or None
        Area under the ROC curve of p(up) less p(down), up against down, over the rows that came to
        either: knowing when nothing will happen does not help here.
    gain_error : float or None
        Standard error of ``base_log_loss`` less ``log_loss``, from sums over weeks, because rows
        near each other share their outcome.
    """

    rows: Count
    log_loss: float
    base_log_loss: float
    accuracy: Share
    majority_accuracy: Share
    brier: Annotated[float, msgspec.Meta(ge=0, le=2)]
    auc_up: Share | None
    auc_down: Share | None
    vote_threshold: Share
    votes: Count
    hit_rate: Share | None
    base_hit_rate: Share | None = None
    base_brier: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    auc_direction: Share | None = None
    gain_error: Annotated[float, msgspec.Meta(ge=0)] | None = None


class Fold(_Part, frozen=True, kw_only=True):
    """One step of the walk-forward: times are UTC ISO 8601, of the first and last bar."""

    trained_from: str
    trained_to: str
    tested_from: str
    tested_to: str
    figures: Figures


class Bin(_Part, frozen=True, kw_only=True):
    """Rows whose probability lay between two values: what was predicted, and how often it came."""

    low: Share
    high: Share
    rows: Count
    predicted: Share
    happened: Share


class Histogram(_Part, frozen=True, kw_only=True):
    """A feature over the training rows.

    ``edges`` lie between the bins, which reach to infinity at both ends: one share more than
    edges.
    """

    edges: tuple[float, ...]
    shares: tuple[Share, ...]

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges make {len(self.edges) + 1} shares")
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges ascend")


class ModelCard(_Part, frozen=True, kw_only=True):
    """What is known of a model.

    Parameters
    ----------
    name : str
        Also the name of its strategy and of its files.
    kind : str
        ``tabular`` reads one row of features, ``sequence`` the last ``lookback`` rows.
    version : str
        First 12 hexadecimal digits of ``onnx_sha256``, the SHA-256 of the ONNX file.
    feature_set : str
        :data:`shared.intelligence.features.FEATURE_SET` at training.
    features : tuple of str
        Their names, in the order of the input's columns.
    lookback : int
        Rows of features a prediction reads, in bars; 1 for ``tabular``.
    timeframe, symbols
        Bars it was trained on. It serves that time frame only.
    horizon_bars, take_atr, stop_atr
        Its labels: ``up`` where a long from the next open reaches its take before its stop, in
        ATR(14) from there and within the horizon; ``down`` where a short does; else ``flat``.
    trained_from, trained_to : str
        First and last bar of the final training, UTC ISO 8601.
    embargo_bars : int
        Bars left out between training and test rows.
    rows : int
        Rows of the final training.
    splits : tuple of Fold
        The walk-forward, in time order.
    figures : Figures
        All test rows of the walk-forward together.
    calibration : dict
        By class: predicted probability against how often the class came.
    histograms : dict
        By feature: its distribution in training, for drift.
    framework : dict
        Packages that trained and exported it, with versions.
    seed, params
        What a training run is repeated with.
    created_at : str
        UTC ISO 8601.
    holdout : Fold or None
        The end of the data, on which nothing was chosen: the figures of exactly this ONNX file.
    """

    name: str
    kind: Literal["tabular", "sequence"]
    version: str
    onnx_sha256: str
    feature_set: str
    features: tuple[str, ...]
    lookback: Annotated[int, msgspec.Meta(ge=1, le=LONGEST)]
    timeframe: str
    symbols: tuple[str, ...]
    horizon_bars: Annotated[int, msgspec.Meta(ge=1)]
    take_atr: Annotated[float, msgspec.Meta(gt=0)]
    stop_atr: Annotated[float, msgspec.Meta(gt=0)]
    trained_from: str
    trained_to: str
    embargo_bars: Count
    rows: Count
    figures: Figures
    splits: tuple[Fold, ...]
    calibration: dict[str, tuple[Bin, ...]]
    histograms: dict[str, Histogram]
    framework: dict[str, str]
    seed: int
    params: dict[str, Any]
    created_at: str
    classes: tuple[str, ...] = CLASSES
    holdout: Fold | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{64}", self.onnx_sha256):
            raise ValueError("onnx_sha256 is 64 hexadecimal digits")
        if self.version != self.onnx_sha256[:12]:
            raise ValueError(f"the version of this digest is {self.onnx_sha256[:12]}")
        if self.kind == "tabular" and self.lookback != 1:
            raise ValueError("a tabular model reads one row")
        if self.timeframe not in TIMEFRAMES:
            raise ValueError(f"unknown time frame {self.timeframe!r}")
        for name in ("trained_from", "trained_to"):
            if _milliseconds(getattr(self, name)) is None:
                raise ValueError(f"{name} is a time in UTC, as 2025-01-31T12:00:00Z")
        if self.classes != CLASSES:
            raise ValueError(f"the classes are {', '.join(CLASSES)}, in this order")
        if not self.features or set(self.histograms) - set(self.features):
            raise ValueError("features are named, and histograms are theirs")
        if set(self.calibration) - set(CLASSES):
            raise ValueError(f"calibration is of {', '.join(CLASSES)}")

    @property
    def seen_until(self) -> int:
        """End of what the training has seen in UTC milliseconds: its last bar, and those by which
        that bar's label was decided.
        """
        last = milliseconds(self.trained_to)
        return last + (1 + self.horizon_bars) * duration_ms(self.timeframe)


def milliseconds(time: str) -> int:
    """A time of a card as UTC milliseconds.

    Raises
    ------
    ValueError
        When it is none, which a card that was read does not have.
    """
    found = _milliseconds(time)
    if found is None:
        raise ValueError(f"{time!r} is no time in UTC, as 2025-01-31T12:00:00Z")
    return found


def _milliseconds(time: str) -> int | None:
    try:
        value = datetime.fromisoformat(time)
    except ValueError:
        return None
    return round(value.timestamp() * 1000) if value.utcoffset() == timedelta(0) else None


def encoded(card: ModelCard) -> bytes:
    """The card as its file has it: JSON, indented, with a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n"


def decoded(source: bytes, where: str) -> ModelCard:
    """A card from its file.

    Parameters
    ----------
    source : bytes
    where : str
        Whose card it is, for the message.

    Raises
    ------
    ConfigurationError
        When it is not a card, says what at which place.
    """
    try:
        return msgspec.json.decode(source, type=ModelCard)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"model {where}: its card cannot be used: {error}"]) from error
