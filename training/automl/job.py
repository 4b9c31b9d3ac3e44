"""The job as Azure takes it, and what it says of itself."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shared.errors import InvalidInput
from training.automl.table import LABEL
from training.automl.workspace import Workspace

#: Datastores that every workspace has: what its jobs read, and what they leave behind.
INPUTS, ARTIFACTS = "workspaceblobstore", "workspaceartifactstore"
#: Where tables are put.
FOLDER = "borsa-automl"
#: Files of a run, by AutoML's own names: the model, and which column is which of its inputs.
MODEL, COLUMNS = "outputs/model.onnx", "outputs/model_onnx.json"

#: States in which a job stays.
ENDED = ("Completed", "Failed", "Canceled")
#: Learners whose ONNX takes one row at a time or may not be there: AutoML's converter gives
#: neighbours and naive Bayes a fixed batch of one.
BLOCKED = ("KNN", "MultinomialNaiveBayes", "BernoulliNaiveBayes")
#: The name of the tag that a finished job has.
_BEST = "automl_best_child_run_id"
_LEARNERS = frozenset(
    {
        "LogisticRegression",
        "SGD",
        "SVM",
        "LinearSVM",
        "DecisionTree",
        "RandomForest",
        "ExtremeRandomTrees",
        "LightGBM",
        "GradientBoosting",
        "XGBoostClassifier",
    }
)
_METRICS = (
    "AUCWeighted",
    "Accuracy",
    "NormMacroRecall",
    "AveragePrecisionScoreWeighted",
    "PrecisionScoreWeighted",
)


@dataclass(frozen=True)
class Search:
    """How long AutoML looks, and for what.

    Parameters
    ----------
    trials : int
        Models that are tried at most.
    minutes, trial_minutes : int
        Longest time of the job, and of one trial.
    nodes : int
        Trials at the same time.
    metric : str
        By which AutoML chooses on the validation rows. It knows no log loss to choose by.
    learners : tuple of str
        Only these; empty: all whose ONNX can be served.
    """

    trials: int = 40
    minutes: int = 180
    trial_minutes: int = 20
    nodes: int = 1
    metric: str = "AUCWeighted"
    learners: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.trials <= 1000 or not 1 <= self.nodes <= 100:
            raise InvalidInput("trials are 1 to 1000, nodes 1 to 100")
        if not 1 <= self.trial_minutes <= self.minutes <= 6 * 24 * 60:
            raise InvalidInput("a trial has at least a minute, the job as much, at most six days")
        if self.metric not in _METRICS:
            raise InvalidInput(f"no metric {self.metric}; there are {', '.join(_METRICS)}")
        unknown = [name for name in self.learners if name not in _LEARNERS]
        if unknown:
            raise InvalidInput(
                f"no learner {', '.join(unknown)}; there are {', '.join(sorted(_LEARNERS))}"
            )


def name(table: str, search: Search, attempt: int = 1) -> str:
    """What a job on a table is called: the same search on the same rows is the same job.

    Parameters
    ----------
    table : str
        Digest of its rows.
    attempt : int
        2 and more: once again, after one has failed.
    """
    described = json.dumps([table, asdict(search)], sort_keys=True)
    found = f"{FOLDER}-{hashlib.sha256(described.encode()).hexdigest()[:12]}"
    return found if attempt == 1 else f"{found}-{attempt}"


def body(
    workspace: Workspace,
    search: Search,
    *,
    name: str,
    compute: str,
    train: str,
    validation: str,
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """What is asked for.

    Parameters
    ----------
    compute : str
        Name of the cluster; empty: Azure's own serverless compute.
    train, validation : str
        Folders in :data:`INPUTS` that hold the tables. AutoML is told which rows to choose by: left
        to itself it would draw them at random, and neighbours share their outcome.
    """
    where = {"computeId": workspace.compute(compute)} if compute else {}
    only = {"allowedTrainingAlgorithms": list(search.learners)} if search.learners else {}
    return {
        "properties": {
            "jobType": "AutoML",
            "displayName": name,
            "experimentName": FOLDER,
            "tags": dict(tags),
            **where,
            "taskDetails": {
                "taskType": "Classification",
                "logVerbosity": "Info",
                "primaryMetric": search.metric,
                "targetColumnName": LABEL,
                "trainingData": _input(workspace, train),
                "validationData": _input(workspace, validation),
                # Numbers without holes, in one scale: nothing to guess, fill in or drop.
                "featurizationSettings": {"mode": "Off"},
                "limitSettings": {
                    "maxTrials": search.trials,
                    "maxConcurrentTrials": search.nodes,
                    "timeout": f"PT{search.minutes}M",
                    "trialTimeout": f"PT{search.trial_minutes}M",
                    "enableEarlyTermination": True,
                },
                "trainingSettings": {
                    "enableOnnxCompatibleModels": True,
                    "enableVoteEnsemble": True,
                    # Neither has an ONNX.
                    "enableStackEnsemble": False,
                    "enableDnnTraining": False,
                    "enableModelExplainability": False,
                    **(only or {"blockedTrainingAlgorithms": list(BLOCKED)}),
                },
            },
        }
    }


def _input(workspace: Workspace, folder: str) -> dict[str, str]:
    return {"jobInputType": "mltable", "uri": workspace.uri(INPUTS, folder)}


@dataclass(frozen=True)
class Trial:
    """One model that AutoML has tried.

    Parameters
    ----------
    score : float or None
        Of the metric that is chosen by, on the validation rows.
    """

    number: int
    learner: str
    score: float | None


@dataclass(frozen=True)
class Progress:
    """What a job says of itself.

    Parameters
    ----------
    state : str
        As Azure calls it.
    best : str
        Name of the run that made the best model; empty as long as there is none.
    trials : tuple of Trial
        In order of their numbers; those that Azure has told of.
    told : tuple of str
        Errors and warnings that it carries.
    page : str
        Where a person sees more.
    """

    name: str
    state: str
    best: str
    trials: tuple[Trial, ...]
    told: tuple[str, ...]
    page: str

    @property
    def winner(self) -> Trial | None:
        """The trial that made the best model, where it can be told."""
        number = re.fullmatch(rf"{re.escape(self.name)}_(\d+)", self.best)
        return next((t for t in self.trials if number and t.number == int(number[1])), None)


def progress(job: Mapping[str, Any]) -> Progress:
    """From what the Resource Manager answers."""
    properties = job.get("properties") or {}
    tags = properties.get("tags") or {}
    own = properties.get("properties") or {}
    told = {
        str(x[key])
        for x in (tags, own)
        for key in ("errors", "warnings", "fatal_error")
        if x.get(key)
    }
    studio = (properties.get("services") or {}).get("Studio") or {}
    return Progress(
        name=str(job.get("name") or ""),
        state=str(properties.get("status") or "Unknown"),
        best=str(tags.get(_BEST) or ""),
        trials=_trials(tags),
        told=tuple(sorted(text for text in told if text not in ("", "None", "[]"))),
        page=str(studio.get("endpoint") or ""),
    )


def _trials(tags: Mapping[str, str]) -> tuple[Trial, ...]:
    """From tags as ``iteration_000``: lists with semicolons, the next page in ``_001``."""
    found = []
    for key in sorted(tags):
        if not re.fullmatch(r"iteration_\d+", key):
            continue
        page = key.removeprefix("iteration")
        numbers = tags[key].split(";")
        learners = str(tags.get(f"run_algorithm{page}") or "").split(";")
        scores = str(tags.get(f"score{page}") or "").split(";")
        for place, number in enumerate(numbers):
            if number.isdigit():
                learner = learners[place] if place < len(learners) else ""
                score = _number(scores[place]) if place < len(scores) else None
                found.append(Trial(int(number), learner, score))
    return tuple(sorted(found, key=lambda trial: trial.number))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
