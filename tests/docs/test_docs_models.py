"""What docs/models.md says of features is what they are."""

from __future__ import annotations

from pages import quoted, rows, section, text

from shared.intelligence.features import FEATURES, feature_history


def test_the_features_of_the_page_are_those_of_the_code() -> None:
    part = section(text("models.md"), "Features")
    assert [(quoted(name)[0], meaning) for name, meaning in rows(part)] == [
        (feature.name, feature.meaning) for feature in FEATURES
    ]
    assert f"{len(FEATURES)} figures of a bar" in part
    assert f"on the {feature_history()}\nbars that they read" in part
