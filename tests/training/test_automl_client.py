"""The real HTTP client against a server that speaks these calls, and what goes wrong on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from azure_ml import WORKSPACE, Answer, AzureMl, Logins, serving

from local.clock import VirtualClock
from shared.errors import InvalidInput
from training.automl import job
from training.automl.client import ATTEMPTS, LARGEST
from training.automl.failures import AzureRefused, AzureUnavailable
from training.automl.job import Search
from training.automl.workspace import Workspace

NOW = 1_764_374_400_000
FOLDER = f"{job.FOLDER}/rows"


@pytest.fixture
def azure() -> Iterator[AzureMl]:
    with serving() as one:
        for part in ("train", "validation"):
            one.blobs[f"azureml-blobstore-4711/{FOLDER}/{part}/MLTable"] = b"type: mltable"
        yield one


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


def body(search: Search | None = None, compute: str = "automl") -> dict[str, Any]:
    return job.body(
        WORKSPACE,
        search or Search(),
        name="n",
        compute=compute,
        train=f"{FOLDER}/train",
        validation=f"{FOLDER}/validation",
        tags={"borsa": "1"},
    )


@pytest.mark.parametrize(
    "search", [Search(), Search(learners=("LightGBM",), trials=3, nodes=2, metric="Accuracy")]
)
@pytest.mark.parametrize("compute", ["automl", ""])
def test_a_job_is_what_the_description_of_the_api_allows(
    azure: AzureMl, clock: VirtualClock, search: Search, compute: str
) -> None:
    client = azure.client(clock)
    assert client.job("one") is None
    found = job.progress(client.create("one", body(search, compute)))
    assert (found.name, found.state, found.best) == ("one", "NotStarted", "")
    task = azure.created[0][1]["properties"]["taskDetails"]
    # What could not be served is not searched for, and rows are not divided at random.
    training = task["trainingSettings"]
    assert training["enableOnnxCompatibleModels"] is True
    assert training["enableStackEnsemble"] is training["enableDnnTraining"] is False
    assert ("KNN" in training.get("blockedTrainingAlgorithms", [])) == (not search.learners)
    assert task["validationData"]["uri"].endswith("/validation")
    assert ("computeId" in azure.created[0][1]["properties"]) == bool(compute)


def test_a_job_is_started_once_however_often_it_is_asked_for(
    azure: AzureMl, clock: VirtualClock
) -> None:
    client = azure.client(clock)
    client.create("one", body())
    client.create("one", body())
    assert [name for name, _ in azure.created] == ["one"]


@pytest.mark.parametrize("status", [0, 500, 503])
def test_a_lost_answer_is_looked_up_and_not_guessed(
    azure: AzureMl, clock: VirtualClock, status: int
) -> None:
    """The job was started, and nobody heard of it."""
    azure.answers = [Answer("PUT", status, then=True)]
    found = azure.client(clock).create("one", body())
    assert found["name"] == "one"
    assert [name for name, _ in azure.created] == ["one"]
    assert len([line for line in azure.requests if line.startswith("PUT")]) == 1


def test_a_request_that_never_arrived_is_sent_again(azure: AzureMl, clock: VirtualClock) -> None:
    azure.answers = [Answer("PUT", 503, times=2)]
    azure.client(clock).create("one", body())
    assert [name for name, _ in azure.created] == ["one"]


def test_throttled_waits_as_long_as_it_is_told(azure: AzureMl, clock: VirtualClock) -> None:
    azure.answers = [Answer("GET", 429, {"Retry-After": "17"}, code="TooManyRequests", times=2)]
    client = azure.client(clock)
    assert client.job("one") is None
    assert clock.now_ms() == NOW + 2 * 17_000


def test_throttled_for_too_long_is_told(azure: AzureMl, clock: VirtualClock) -> None:
    azure.answers = [Answer("GET", 429, {"Retry-After": "3600"})]
    with pytest.raises(AzureUnavailable, match="again later"):
        azure.client(clock).job("one")
    assert clock.now_ms() == NOW


@pytest.mark.parametrize("status", [0, 408, 500, 502])
def test_what_stays_broken_is_given_up(azure: AzureMl, clock: VirtualClock, status: int) -> None:
    azure.answers = [Answer("GET", status, times=99)]
    with pytest.raises(AzureUnavailable, match=f"{ATTEMPTS} tries"):
        azure.client(clock).job("one")
    # 1, 2, 4, 8 and 16 seconds between six tries.
    assert (len(azure.requests), clock.now_ms() - NOW) == (ATTEMPTS, 31_000)


@pytest.mark.parametrize(("status", "code"), [(403, "AuthorizationFailed"), (400, "BadArgument")])
def test_a_refusal_is_not_repeated(
    azure: AzureMl, clock: VirtualClock, status: int, code: str
) -> None:
    azure.answers = [Answer("GET", status, code=code, times=99)]
    with pytest.raises(AzureRefused, match=code) as told:
        azure.client(clock).job("one")
    assert (told.value.status, told.value.code, len(azure.requests)) == (status, code, 1)


def test_a_job_with_wrong_fields_is_refused_with_azures_words(
    azure: AzureMl, clock: VirtualClock
) -> None:
    wrong = body()
    wrong["properties"]["taskDetails"]["primaryMetric"] = "LogLoss"
    with pytest.raises(AzureRefused, match="'LogLoss' is not one of"):
        azure.client(clock).create("one", wrong)
    assert azure.jobs == {}


def test_a_workspace_that_is_not_there(azure: AzureMl, clock: VirtualClock) -> None:
    client = azure.client(clock)
    client.workspace = replace(WORKSPACE, name="another")
    with pytest.raises(AzureRefused, match="ResourceNotFound"):
        client.create("one", body())


def test_tokens_are_asked_for_once_and_for_what_they_are_used_for(
    azure: AzureMl, clock: VirtualClock
) -> None:
    logins = Logins(clock)
    client = azure.client(clock, logins)
    store = client.datastore("workspaceblobstore")
    for _ in range(3):
        client.job("one")
        client.download(store, "x")
    assert logins.asked == [f"{azure.url}/.default", "https://storage.azure.com/.default"]


def test_a_token_is_renewed_before_it_ends(azure: AzureMl, clock: VirtualClock) -> None:
    logins = Logins(clock, lasts_s=3600)
    client = azure.client(clock, logins)
    client.job("one")
    clock.sleep(3200)
    client.job("one")
    clock.sleep(200)
    client.job("one")
    assert len(logins.asked) == 2


def test_a_token_that_is_refused_is_asked_for_again_once(
    azure: AzureMl, clock: VirtualClock
) -> None:
    logins = Logins(clock)
    client = azure.client(clock, logins)
    client.job("one")
    azure.refused_tokens = {f"{azure.url}#1"}
    assert client.job("one") is None
    azure.refused_tokens = {f"{azure.url}#{n}" for n in range(9)}
    with pytest.raises(AzureRefused, match="401"):
        client.job("one")
    assert len(logins.asked) == 3


def test_no_login_is_said_in_words(azure: AzureMl, clock: VirtualClock) -> None:
    from azure.core.exceptions import ClientAuthenticationError

    class NoLogin(Logins):
        def get_token(self, *scopes: str) -> Any:
            raise ClientAuthenticationError("DefaultAzureCredential failed\nmany lines")

    with pytest.raises(AzureRefused, match="az login"):
        azure.client(clock, NoLogin(clock)).job("one")
    assert azure.requests == []


def test_blobs_there_and_back(azure: AzureMl, clock: VirtualClock) -> None:
    client = azure.client(clock)
    store = client.datastore("workspaceblobstore")
    content = bytes(range(256)) * 100
    azure.answers = [Answer("PUT", 500, then=True), Answer("GET /blob", 503, times=2)]
    client.upload(store, "a/b.parquet", content)
    assert client.download(store, "a/b.parquet") == content
    assert client.download(store, "a/none") is None


def test_a_blob_that_is_cut_off_is_fetched_again(azure: AzureMl, clock: VirtualClock) -> None:
    client = azure.client(clock)
    store = client.datastore("workspaceblobstore")
    client.upload(store, "x", b"whole")
    azure.answers = [Answer("GET /blob", 200, cut=True, times=2)]
    assert client.download(store, "x") == b"whole"
    azure.answers = [Answer("GET /blob", 200, cut=True, times=99)]
    with pytest.raises(AzureUnavailable):
        client.download(store, "x")


def test_what_is_no_model_by_its_size_is_not_fetched(
    azure: AzureMl, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LARGEST > 32 << 20
    monkeypatch.setattr("training.automl.client.LARGEST", 10)
    client = azure.client(clock)
    store = client.datastore("workspaceblobstore")
    client.upload(store, "x", b"eleven byte")
    with pytest.raises(AzureRefused, match="11 bytes"):
        client.download(store, "x")


def test_a_container_that_is_missing_is_not_a_file_that_is_missing(
    azure: AzureMl, clock: VirtualClock
) -> None:
    client = azure.client(clock)
    store = replace(client.datastore("workspaceblobstore"), container="gone")
    with pytest.raises(AzureRefused, match="ContainerNotFound"):
        client.download(store, "x")


def test_a_datastore_of_another_kind(azure: AzureMl, clock: VirtualClock) -> None:
    with pytest.raises(AzureRefused, match="UserError"):
        azure.client(clock).datastore("another")


def test_a_search_can_be_ended(azure: AzureMl, clock: VirtualClock) -> None:
    client = azure.client(clock)
    client.create("one", body())
    client.cancel("one")
    states = [job.progress(client.job("one") or {}).state for _ in range(2)]
    assert states == ["CancelRequested", "Canceled"]


def test_what_a_job_says_of_itself() -> None:
    found = job.progress(
        {
            "name": "one",
            "properties": {
                "status": "Completed",
                "services": {"Studio": {"endpoint": "https://ml/one"}},
                "properties": {"errors": "disk full"},
                "tags": {
                    # Pages of a long search; the best one is in the second.
                    "iteration_000": "0;2;1",
                    "run_algorithm_000": "LightGBM;SGD;SVM",
                    "score_000": "0.5;nan;0.6",
                    "iteration_001": "3",
                    "run_algorithm_001": "VotingEnsemble",
                    "score_001": "0.7",
                    "automl_best_child_run_id": "one_3",
                },
            },
        }
    )
    assert [(t.number, t.learner, t.score) for t in found.trials] == [
        (0, "LightGBM", 0.5),
        (1, "SVM", 0.6),
        (2, "SGD", None),
        (3, "VotingEnsemble", 0.7),
    ]
    assert found.winner == found.trials[3]
    assert (found.told, found.page) == (("disk full",), "https://ml/one")
    # Less than that is no error: Azure may tell it later.
    bare = job.progress({"name": "one", "properties": {"tags": {"iteration_000": "0;x"}}})
    assert (bare.state, bare.winner, len(bare.trials)) == ("Unknown", None, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"trials": 0},
        {"nodes": 0},
        {"minutes": 5, "trial_minutes": 6},
        {"metric": "LogLoss"},
        {"learners": ("KNN",)},
    ],
)
def test_a_search_that_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Search(**wrong)


def test_the_same_search_on_the_same_rows_has_one_name() -> None:
    names = {
        job.name("a" * 64, Search()),
        job.name("b" * 64, Search()),
        job.name("a" * 64, Search(trials=41)),
        job.name("a" * 64, Search(), attempt=2),
    }
    assert len(names) == 4
    assert job.name("a" * 64, Search()) in names


def test_where_a_workspace_is() -> None:
    assert Workspace.parse(WORKSPACE.id) == WORKSPACE
    assert Workspace.parse(f" {WORKSPACE.id.replace('resourceGroups', 'resourcegroups')}/\n") == (
        WORKSPACE
    )
    assert WORKSPACE.uri("d", "a/b") == (
        "azureml://subscriptions/11111111-1111-1111-1111-111111111111/resourcegroups/"
        "rg-test-automl/workspaces/mlw-borsa/datastores/d/paths/a/b"
    )
    for wrong in ("", "mlw-borsa", WORKSPACE.id.replace("workspaces", "registries")):
        with pytest.raises(InvalidInput, match="AUTOML_WORKSPACE_ID"):
            Workspace.parse(wrong)


def test_states_are_used_up_in_their_order(azure: AzureMl, clock: VirtualClock) -> None:
    azure.states = deque(["Queued", "Running", "Failed"])
    client = azure.client(clock)
    client.create("one", body())
    found = [job.progress(client.job("one") or {}).state for _ in range(4)]
    assert found == ["Queued", "Running", "Failed", "Failed"]
