"""The models that are shipped: whole, small enough, and described as their cards have it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from shared.intelligence.card import Figures, ModelCard, decoded
from shared.intelligence.features import NAMES
from shared.intelligence.library import MODELS, SHIPPED, Library

ROOT = Path(__file__).parents[2]


def card(name: str) -> ModelCard:
    return decoded((SHIPPED / f"{name}.json").read_bytes(), name)


def test_all_fourteen_are_there_and_small_enough() -> None:
    assert sorted(f.stem for f in SHIPPED.glob("*.onnx")) == sorted(MODELS)
    sizes = [(SHIPPED / f"{name}.onnx").stat().st_size for name in MODELS]
    assert max(sizes) < 1_500_000
    assert sum(sizes) < 8_000_000


@pytest.mark.parametrize("name", MODELS)
def test_it_is_served(name: str) -> None:
    """File, card, features and contract fit together, and what comes out are probabilities."""
    one = Library(SHIPPED).model(name)
    shape = (4, len(NAMES)) if one.card.kind == "tabular" else (4, one.card.lookback, len(NAMES))
    rows = np.random.default_rng(1).normal(0.0, 1.0, shape).astype(np.float32)
    p = one.probabilities(rows)
    assert np.abs(p.sum(axis=1) - 1.0).max() < 1e-5
    # Different bars, different votes: no model has learnt the base rates alone.
    assert np.ptp(p, axis=0).max() > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_nothing_that_it_knows_reaches_into_what_it_was_judged_on(name: str) -> None:
    one, other = card(name), card("logistic_regression")
    assert one.holdout
    assert other.holdout
    assert one.trained_to < one.holdout.tested_from
    assert all(fold.trained_to < fold.tested_from for fold in one.splits)
    assert all(fold.tested_to < one.holdout.tested_from for fold in one.splits)
    # All were judged on the same rows, so their figures may be compared.
    for a, b in zip((*one.splits, one.holdout), (*other.splits, other.holdout), strict=True):
        assert (a.figures.rows, a.figures.base_log_loss) == (
            b.figures.rows,
            b.figures.base_log_loss,
        )


def told(figures: Figures) -> list[str]:
    assert figures.gain_error is not None
    assert figures.base_brier is not None
    gain = figures.base_log_loss - figures.log_loss
    return [
        f"{figures.log_loss:.4f}",
        f"{figures.base_log_loss:.4f}",
        f"{gain:+.4f} ± {figures.gain_error:.4f}",
        f"{figures.accuracy:.1%}",
        f"{figures.majority_accuracy:.1%}",
        f"{figures.brier:.4f}",
        f"{figures.base_brier:.4f}",
        "-" if figures.auc_up is None else f"{figures.auc_up:.3f}",
        "-" if figures.auc_down is None else f"{figures.auc_down:.3f}",
        "-" if figures.auc_direction is None else f"{figures.auc_direction:.3f}",
        f"{figures.votes:,}",
        "-" if figures.hit_rate is None else f"{figures.hit_rate:.1%}",
        "-" if figures.base_hit_rate is None else f"{figures.base_hit_rate:.1%}",
    ]


@pytest.mark.parametrize("name", MODELS)
def test_the_page_says_what_the_cards_say(name: str) -> None:
    page = (ROOT / "docs" / "models.md").read_text()
    rows = re.findall(rf"^\| `{name}` \| (.*) \|$", page, re.MULTILINE)
    found = [cells for cells in (row.split(" | ") for row in rows) if len(cells) == 13]
    one = card(name)
    assert one.holdout
    assert found == [told(one.figures), told(one.holdout.figures)]
