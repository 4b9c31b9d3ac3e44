"""Model cards: what is written is read, and what serving depends on is checked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.errors import ConfigurationError
from shared.intelligence.card import Histogram, decoded, encoded
from tests.intelligence.made_models import card


def test_what_is_written_is_read() -> None:
    own = card(b"a model", name="mlp")
    assert decoded(encoded(own), "mlp") == own
    assert encoded(own).endswith(b"}\n")
    assert own.version == own.onnx_sha256[:12]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": "000000000000"}, "the version of this digest is"),
        ({"onnx_sha256": "abc"}, "64 hexadecimal digits"),
        ({"lookback": 8}, "reads one row"),
        ({"lookback": 0}, "lookback"),
        ({"timeframe": "7m"}, "unknown time frame '7m'"),
        ({"classes": ["up", "flat", "down"]}, "in this order"),
        ({"features": []}, "features are named"),
        ({"histograms": {"moon": {"edges": [], "shares": [1.0]}}}, "histograms are theirs"),
        ({"calibration": {"sideways": []}}, "calibration is of down, flat, up"),
        ({"take_atr": 0}, "take_atr"),
        ({"trained_to": "yesterday"}, "trained_to is a time in UTC"),
        ({"trained_to": "2025-01-31T12:00:00"}, "trained_to is a time in UTC"),
        ({"trained_from": "2025-01-31T12:00:00+02:00"}, "trained_from is a time in UTC"),
        ({"rows": None}, "rows"),
        ({"stars": 5}, "stars"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(change: dict[str, Any], told: str) -> None:
    body = json.loads(encoded(card(b"a model", name="mlp"))) | change
    with pytest.raises(ConfigurationError, match="model mlp: its card cannot be used") as error:
        decoded(json.dumps(body).encode(), "mlp")
    assert told in str(error.value)


def test_training_has_seen_the_bars_of_its_last_label() -> None:
    """The last bar of training, and 24 bars within which its barriers are touched."""
    own = card(b"a model", name="mlp", trained_to="2024-12-31T22:00:00.000Z", timeframe="1h")
    assert own.seen_until == 1_735_682_400_000 + 25 * 3_600_000


@pytest.mark.parametrize("source", [b"", b"{", b"[]", b"\xff", b"null"])
def test_what_is_no_card_is_told(source: bytes) -> None:
    with pytest.raises(ConfigurationError, match="model gru: its card cannot be used"):
        decoded(source, "gru")


@pytest.mark.parametrize(
    ("edges", "shares"), [((1.0,), (0.5,)), ((2.0, 1.0), (0.2, 0.3, 0.5)), ((1.0, 1.0), (1, 0, 0))]
)
def test_histograms_have_a_share_more_than_edges(
    edges: tuple[float, ...], shares: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="edges"):
        Histogram(edges=edges, shares=shares)
