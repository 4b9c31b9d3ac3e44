"""The three steps: rows to Azure, waiting, and a model with its card from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.clock import Clock
from shared.errors import InvalidInput
from shared.intelligence.features import FEATURE_SET
from training.automl import job, table
from training.automl.client import Azure
from training.automl.convert import Original
from training.automl.failures import JobEnded, NotConvertible
from training.automl.job import Progress, Search
from training.automl.judge import SAME_SCORE, given_away, judged
from training.automl.workspace import Workspace
from training.dataset import Dataset
from training.pipeline import Plan, Trained

#: Seconds between two looks at a job that runs.
LOOK_S = 30.0


@dataclass(frozen=True)
class Request:
    """A job before it is sent.

    Parameters
    ----------
    table : str
        Digest of the rows.
    files : dict
        What is uploaded, by its path in the workspace's blob store.
    body : dict
        What the Resource Manager is asked for.
    """

    name: str
    table: str
    files: dict[str, bytes]
    body: dict[str, Any]


def prepared(
    workspace: Workspace,
    data: Dataset,
    plan: Plan,
    search: Search,
    *,
    compute: str,
    attempt: int = 1,
) -> Request:
    """Everything that a job is made of; nothing is sent.

    Parameters
    ----------
    compute : str
        Cluster of the workspace; empty: serverless.
    attempt : int
        More than 1 after the job of that many less has failed.
    """
    split = given_away(data, plan)
    digest = table.digest(data, split.fit, split.validation)
    name = job.name(digest, search, attempt)
    files, folders = {}, {}
    for part, rows in (("train", split.fit), ("validation", split.validation)):
        folder = folders[part] = f"{job.FOLDER}/{digest[:16]}/{part}"
        files[f"{folder}/{table.FILE}"] = table.content(data, rows)
        files[f"{folder}/{table.DESCRIPTION_FILE}"] = table.DESCRIPTION
    body = job.body(
        workspace,
        search,
        name=name,
        compute=compute,
        train=folders["train"],
        validation=folders["validation"],
        tags={"borsa_feature_set": FEATURE_SET, "borsa_table": digest[:16]},
    )
    return Request(name, digest, files, body)


def submit(azure: Azure, request: Request) -> Progress:
    """Upload the tables and start the job, unless there is one of that name.

    Raises
    ------
    InvalidInput
        When there was one and it has failed: the same is not tried again unasked.
    """
    there = azure.job(request.name)
    if there is not None:
        known = job.progress(there)
        if known.state in ("Failed", "Canceled"):
            raise InvalidInput(
                f"{request.name} is {known.state}; give --attempt with the next number to start "
                "the same search again"
            )
        return known
    store = azure.datastore(job.INPUTS)
    for path, content in request.files.items():
        azure.upload(store, path, content)
    return job.progress(azure.create(request.name, request.body))


def look(azure: Azure, name: str) -> Progress:
    """How far a job is.

    Raises
    ------
    InvalidInput
        When the workspace has none of that name.
    """
    found = azure.job(name)
    if found is None:
        raise InvalidInput(f"the workspace {azure.workspace.name} has no job {name}")
    return job.progress(found)


def wait(
    azure: Azure,
    name: str,
    clock: Clock,
    *,
    patience_s: float,
    tell: Callable[[Progress], None] = lambda one: None,
) -> Progress:
    """Look until the job has ended or the patience has; a job is not stopped by that."""
    until = clock.now_ms() + patience_s * 1000
    while True:
        found = look(azure, name)
        tell(found)
        if found.state in job.ENDED or clock.now_ms() + LOOK_S * 1000 > until:
            return found
        clock.sleep(LOOK_S)


def fetch(
    azure: Azure,
    name: str,
    table_digest: str,
    data: Dataset,
    plan: Plan,
    *,
    params: dict[str, Any],
    now_ms: int,
) -> tuple[Trained, tuple[str, ...]]:
    """The model of a job that has completed, judged, and what a reader should know of it.

    Parameters
    ----------
    table_digest : str
        Of the rows that were sent; ``data`` has to come to the same.

    Raises
    ------
    InvalidInput
        When the job is not over, or rows differ from those that were sent.
    JobEnded
        When it has ended without a model.
    NotConvertible
        When its model is not one that can be served.
    """
    same_rows(data, plan, table_digest)
    found = look(azure, name)
    if found.state not in job.ENDED:
        raise InvalidInput(f"{name} is {found.state}; fetch it when it has completed")
    if found.state != "Completed" or not found.best:
        why = "; ".join(found.told) or "Azure tells no reason here"
        raise JobEnded(
            f"{name} is {found.state} and has no best model: {why}"
            + (f"; see {found.page}" if found.page else "")
        )
    store = azure.datastore(job.ARTIFACTS)
    run = f"ExperimentRun/dcid.{found.best}"
    source = azure.download(store, f"{run}/{job.MODEL}")
    learner = found.winner.learner if found.winner else "a learner that it does not name"
    if source is None:
        raise NotConvertible(
            f"{found.best} ({learner}) has left no {job.MODEL}: its kind cannot be converted, or "
            "its conversion has failed; search again with --learners that leave it out"
        )
    columns = azure.download(store, f"{run}/{job.COLUMNS}")
    one = judged(
        data,
        plan,
        Original(source, columns),
        params=params,
        found={
            "job": name,
            "run": found.best,
            "learner": learner,
            "score": found.winner.score if found.winner else None,
            "trials": len(found.trials),
        },
        now_ms=now_ms,
    )
    return one, tuple(_notes(one))


def same_rows(data: Dataset, plan: Plan, table_digest: str) -> None:
    """Whether candles and options come to the rows that were sent.

    Raises
    ------
    InvalidInput
        When they do not.
    """
    split = given_away(data, plan)
    if table.digest(data, split.fit, split.validation) != table_digest:
        raise InvalidInput(
            "these candles do not make the rows that were sent: candles, symbols or the features "
            "have changed since. A model can only be judged beside the rows it has learnt from"
        )


def _notes(one: Trained) -> list[str]:
    found = one.card.params["found"]
    said, here = found["score"], found["auc_weighted_here"]
    metric = one.card.params["search"]["metric"]
    if metric != "AUCWeighted" or said is None or abs(said - here) <= SAME_SCORE:
        return []
    return [
        f"Azure scores its winner {said:.4f}, its ONNX comes to {here:.4f} on the same rows: the "
        "file may not be the model that has won"
    ]
