"""Makes the files beside it with Microsoft's own converter; they are what AutoML leaves behind.

Not run by the tests: it needs a Python 3.10 with ``azureml-automl-runtime==1.60.0`` and nothing of
this project. Give it the names of the features: ``python make.py move_1 move_3 ...``.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

warnings.filterwarnings("ignore")

import pandas as pd  # noqa: E402
from azureml.automl.runtime.onnx_convert import OnnxConverter  # noqa: E402
from azureml.automl.runtime.shared.model_wrappers import (  # noqa: E402
    LightGBMClassifier,
    PipelineWithYTransformations,
    PreFittedSoftVotingClassifier,
)
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.neighbors import KNeighborsClassifier  # noqa: E402
from sklearn.pipeline import Pipeline  # noqa: E402
from sklearn.preprocessing import LabelEncoder, MaxAbsScaler, StandardScaler  # noqa: E402

HERE = Path(__file__).parent
GRID = 4096
ROWS = 8

names = sys.argv[1:]
random = np.random.default_rng(0)
values = np.round(random.normal(0.0, 1.0, (600, len(names))) * GRID) / GRID
X = pd.DataFrame(values.astype(np.float32), columns=names)
noisy = X[names[0]] + 0.3 * random.normal(0.0, 1.0, len(X))
words = np.array(["down", "flat", "up"])[np.digitize(noisy, [-0.5, 0.5])]
encoder = LabelEncoder().fit(words)
y = encoder.transform(words)
said: dict[str, Any] = {
    "columns": names,
    "rows": X.head(ROWS).to_numpy().tolist(),
    "probabilities": {},
}


def keep(name: str, pipeline: Pipeline, *, encoded: bool = True) -> None:
    converter = OnnxConverter(version="1.60.0", is_onnx_compatible=True)
    converter.initialize_input(X)
    raw = PipelineWithYTransformations(pipeline, "LabelEncoder", encoder) if encoded else pipeline
    model, _, _, error = converter.convert(raw, f"AutoML_ONNX_Model_{name}", {"ParentRunId": "x"})
    if error:
        raise SystemExit(f"{name}: {error}")
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())
    # model_onnx.json; but for the batch of neighbours the same for all.
    described = json.dumps(converter.get_converted_onnx_model_resource(), indent=1)
    (HERE / "columns.json").write_text(described + "\n")
    # What the Python model says, not its ONNX.
    said["probabilities"][name] = pipeline.predict_proba(X.head(ROWS).to_numpy()).tolist()


# Which takes one row at a time; of few rows, since it holds them all.
neighbours = Pipeline([("MaxAbsScaler", MaxAbsScaler()), ("KNN", KNeighborsClassifier(3))])
keep("neighbours", neighbours.fit(X.head(30), y[:30]))
logistic = Pipeline(
    [("MaxAbsScaler", MaxAbsScaler()), ("LogisticRegression", LogisticRegression())]
)
logistic.fit(X, y)
keep("logistic", logistic)
boosted = LightGBMClassifier(
    n_jobs=1, random_state=1, n_estimators=4, num_leaves=4, min_data_in_leaf=20
)
lightgbm = Pipeline([("MaxAbsScaler", MaxAbsScaler()), ("LightGBMClassifier", boosted)]).fit(X, y)
keep("lightgbm", lightgbm)
voting = PreFittedSoftVotingClassifier(
    estimators=[("0", logistic), ("1", lightgbm)],
    weights=[0.6, 0.4],
    flatten_transform=False,
    classification_labels=np.array([0, 1, 2]),
)
keep("ensemble", Pipeline([("PreFittedSoftVotingClassifier", voting)]))
unencoded = Pipeline(
    [("StandardScaler", StandardScaler()), ("LogisticRegression", LogisticRegression())]
)
keep("unencoded", unencoded.fit(X, words), encoded=False)
(HERE / "said.json").write_text(json.dumps(said) + "\n")
