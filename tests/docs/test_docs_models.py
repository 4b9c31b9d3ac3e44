"""What docs/models.md says of features is what they are."""

from __future__ import annotations

import json

import msgspec
import pytest
from pages import blocks, quoted, rows, section, text

from shared.errors import ConfigurationError
from shared.intelligence.card import Figures
from shared.intelligence.features import FEATURE_SET, FEATURES, NAMES, feature_history
from shared.intelligence.predictions import Listed, Prediction, Said, Short
from shared.strategies.ai import STRATEGIES, ModelsParams


def test_the_features_of_the_page_are_those_of_the_code() -> None:
    part = section(text("models.md"), "Features")
    assert [(quoted(name)[0], meaning) for name, meaning in rows(part)] == [
        (feature.name, feature.meaning) for feature in FEATURES
    ]
    assert f"{len(FEATURES)} figures of a bar" in part
    assert f"on the {feature_history()}\nbars that they read" in part


def fields(type_: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(type_)}


def test_example_answers_have_the_fields_of_the_code() -> None:
    part = section(text("api.md"), "Models and predictions")
    models, prediction, batch = (json.loads(block) for block in blocks(part, "json"))
    served, missing, refused = models["models"]
    assert models["featureSet"] == prediction["featureSet"] == FEATURE_SET
    assert set(served["card"]) == fields(Short)
    assert set(served["card"]["figures"]) == fields(Figures)
    assert set(missing) | set(refused) | {"card"} == fields(Listed)
    assert set(prediction) == fields(Prediction)
    assert set(prediction["models"][0]) == fields(Said)
    assert set(prediction["features"]) <= set(NAMES)
    assert set(batch["predictions"][-1]) == {"symbol", "timeframe", "error"}


def test_parameters_of_models_are_those_of_the_code() -> None:
    part = section(text("models.md"), "Models as strategies")
    documented = {quoted(row[0])[0]: quoted(row[1]) or [row[1]] for row in rows(part)}
    defaults = ModelsParams()
    assert set(documented) == fields(ModelsParams)
    assert documented["version"] == [f'"{defaults.version}"']
    assert float(documented["full_vote"][0]) == defaults.full_vote
    assert {s.name for s in STRATEGIES} <= set(quoted(part))


def test_settings_of_the_training_job_are_those_of_its_code() -> None:
    from training.settings import SETTINGS, load

    table = rows(section(text("models.md"), "Drift"))
    documented = {
        quoted(r[0])[0]: (quoted(r[1]) or [""])[0] for r in table if len(r) == 4 and quoted(r[0])
    }
    assert documented == {s.name: s.default or "" for s in SETTINGS}
    for name, bad in (("TRAINING_HOLDOUT", "3w"), ("TRAINING_SEED", "-1"), ("TRAINING_FROM", "x")):
        with pytest.raises(ConfigurationError, match=name):
            load({name: bad})


def test_verdicts_of_the_page_are_those_of_the_code() -> None:
    from shared.intelligence.drift_record import SEVERITY

    table = rows(section(text("models.md"), "Drift"))
    assert {quoted(r[0])[0] for r in table if len(r) == 2 and quoted(r[0])} >= set(SEVERITY)
