"""The training job: off by default, and with no right but those it needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import bicep_project
import msgspec
import pytest
from bicep_project import ROOT, Prediction
from infra_cases import MINIMAL, STREAMING, TRAINING

from local.clock import VirtualClock
from shared.intelligence.card import ModelCard
from shared.intelligence.registry import Registry
from shared.intelligence.scores import BarScore, save_score
from shared.intelligence.slots import Tenure, Version, promoted, registered
from shared.operations.container_jobs import ContainerJobs
from shared.settings import SETTINGS as APPLICATION
from shared.storage.sqlite import SqliteStore
from tests.intelligence.made_models import card
from tests.intelligence.made_onnx import constant
from training.serving import cards_that_serve
from training.settings import SETTINGS, load

pytestmark = pytest.mark.bicep

JOB = "Microsoft.App/jobs"
ENVIRONMENT = "Microsoft.App/managedEnvironments"
REGISTRY = "Microsoft.ContainerRegistry/registries"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
ROLE = "Microsoft.Authorization/roleAssignments"
DATA_ROLE = "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments"
PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
OPERATOR = "b9a307c4-5aa3-4b52-ba60-2b17c136cd7b"


@pytest.fixture(scope="session")
def without_image(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """Switched on, before anything was pushed; the schedule is set already."""
    folder = tmp_path_factory.mktemp("without-image")
    given = {**MINIMAL, "training": True, "trainingSchedule": "0 3 1 * *"}
    return bicep_project.predict(compiler, folder, given)


@pytest.fixture(scope="session")
def with_streamer(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """Both containers."""
    folder = tmp_path_factory.mktemp("both")
    return bicep_project.predict(compiler, folder, {**STREAMING, **TRAINING})


def identity(prediction: Prediction, stem: str) -> dict[str, Any]:
    (found,) = (i for i in prediction.of(IDENTITY) if i["name"].startswith(stem))
    return found


def container(prediction: Prediction) -> dict[str, Any]:
    (found,) = prediction.one(JOB)["properties"]["template"]["containers"]
    return found  # type: ignore[no-any-return]


def environment(prediction: Prediction) -> dict[str, str]:
    return {e["name"]: e["value"] for e in container(prediction)["env"]}


def granted(prediction: Prediction, kind: str, principal: str) -> list[dict[str, Any]]:
    return [a for a in prediction.of(kind) if principal in a["properties"]["principalId"]]


def test_nothing_of_it_is_there_by_default(
    minimal: Prediction, full: Prediction, streaming: Prediction
) -> None:
    for prediction in (minimal, full, streaming):
        assert prediction.of(JOB) == []
        assert bicep_project.settings(prediction)["RETRAINING_JOB"] == ""
        assert bicep_project.settings(prediction)["MODEL_DRIFT"] == "off"


def data_actions(prediction: Prediction, principal: str) -> dict[str, set[str]]:
    """What an identity may do with documents, by container."""
    roles = {
        r["id"]: set(r["properties"]["permissions"][0]["dataActions"])
        for r in prediction.of("Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions")
    }
    found: dict[str, set[str]] = {}
    for a in granted(prediction, DATA_ROLE, principal):
        scope = a["properties"]["scope"].partition("/colls/")[2] or "account"
        actions = roles[a["properties"]["roleDefinitionId"]]
        assert "Microsoft.DocumentDB/databaseAccounts/readMetadata" in actions
        found.setdefault(scope, set()).update(
            action.rpartition("/containers/")[2] for action in actions if "/containers/" in action
        )
    return found


def test_it_may_pull_its_image_add_versions_and_nothing_else(training: Prediction) -> None:
    own = identity(training, "id-borsa-training-")["name"]
    (pull,) = granted(training, ROLE, own)
    assert pull["properties"]["roleDefinitionId"].endswith(PULL)
    assert f"/{training.one(REGISTRY)['name']}/" in pull["id"]
    assert data_actions(training, own) == {
        "account": set(),
        # Who votes, and by what versions are compared: nothing of it can be written.
        "models": {"executeQuery", "items/read"},
        # Nothing that is there is changed or removed.
        "versions": {"executeQuery", "items/create", "items/read"},
    }


class Narrow:
    """A store in the hands of an identity that may do so much by container, and no more."""

    ACTIONS = (("get", "items/read"), ("query", "executeQuery"), ("create", "items/create"),
               ("replace", "items/replace"), ("patch", "items/replace"),
               ("delete", "items/delete"))  # fmt: skip

    def __init__(self, inner: SqliteStore, may: dict[str, set[str]]) -> None:
        for name, action in self.ACTIONS:
            setattr(self, name, self._guarded(getattr(inner, name), action, may))

    def _guarded(self, operation: Any, action: str, may: dict[str, set[str]]) -> Any:
        def guarded(container: str, *args: Any, **kwargs: Any) -> Any:
            if action not in may.get(container, ()):
                raise PermissionError(f"{action} in {container}")
            return operation(container, *args, **kwargs)

        return guarded


def test_the_job_can_offer_a_version_and_cannot_have_it_vote(training: Prediction) -> None:
    clock = VirtualClock(1_746_352_881_000)
    store = SqliteStore(":memory:", clock=clock)
    own = identity(training, "id-borsa-training-")["name"]
    narrow: Any = Narrow(store, data_actions(training, own))
    job, app = Registry(narrow, clock), Registry(store, clock)
    shipped, onnx = constant(0.2, 0.6, 0.2), constant(0.25, 0.5, 0.25)
    champion = app.register(card(shipped, name="svm_rbf"), shipped, "a test").version
    tenure = Tenure(
        version=champion, since=0, at=0, how="promotion", operator="ada", reason="a test"
    )
    app.change("svm_rbf", lambda slot: promoted(slot, tenure))
    made = card(onnx, name="svm_rbf")
    for _ in range(2):
        assert job.offer(made, onnx, "a job", challenge=True) is None
    assert cards_that_serve(job, ["svm_rbf"])[0].version == champion

    mine = msgspec.structs.replace(tenure, version=made.version)
    with pytest.raises(PermissionError, match="items/replace in models"):
        job.change("svm_rbf", lambda slot: promoted(registered(slot, version_of(made)), mine))
    with pytest.raises(PermissionError, match="items/create in models"):
        job.change("mlp", lambda slot: registered(slot, version_of(made)))
    # What a promotion would be decided on.
    forged = BarScore(
        symbol="BTCUSDT", timeframe="1h", closed_at=clock.now_ms(), features=(),
        feature_set="1", atr=1.0, horizon_bars=24, take_atr=2.0, stop_atr=1.0,
        probabilities={f"svm_rbf:{made.version}": (0.0, 0.0, 1.0)},
    )  # fmt: skip
    with pytest.raises(PermissionError, match="items/create in models"):
        save_score(narrow, forged)
    found = store.get("versions", "svm_rbf", f"version:{champion}")
    assert found is not None
    with pytest.raises(PermissionError, match="items/replace in versions"):
        narrow.replace("versions", {**found.body, "card": "another"}, etag=found.etag)

    app.adopt()
    slot = app.slot("svm_rbf")
    assert slot.versions[made.version].state == "challenger"
    assert slot.champion(clock.now_ms() + 10**9) == champion
    assert job.offer(made, onnx, "a job", challenge=True) == "challenger"
    store.close()


def version_of(made: ModelCard) -> Version:
    return Version(
        version=made.version, source="a job", registered_at=0, changed_at=0, size=1, chunks=1,
        timeframe=made.timeframe,
    )  # fmt: skip


def test_the_app_may_start_this_job_and_no_other(training: Prediction) -> None:
    app = identity(training, "id-borsa-" + training.one(REGISTRY)["name"].removeprefix("crborsa"))
    job = training.one(JOB)
    operated = [
        a
        for a in granted(training, ROLE, app["name"])
        if a["properties"]["roleDefinitionId"].endswith(OPERATOR)
    ]
    assert [a["id"].split("/providers/Microsoft.Authorization")[0] for a in operated] == [job["id"]]
    # The other rights are those without it.
    assert len(granted(training, ROLE, app["name"])) == 8 + 1


def test_the_app_is_told_the_job_it_may_start(
    training: Prediction, without_image: Prediction
) -> None:
    url = bicep_project.settings(training)["RETRAINING_JOB"]
    # Resource Manager's address is known at the deployment; what follows it is the job.
    assert f"'{training.one(JOB)['id']}')]" in url
    assert "environment().resourceManager" in url
    ContainerJobs(f"https://management.azure.com{training.one(JOB)['id']}", lambda audience: "t")
    # What would run without an image is Microsoft's hello, which trains nothing.
    assert bicep_project.settings(without_image)["RETRAINING_JOB"] == ""


def test_it_runs_once_at_a_time_on_its_schedule_and_ends(
    training: Prediction, without_image: Prediction
) -> None:
    configuration = training.one(JOB)["properties"]["configuration"]
    assert configuration["triggerType"] == "Schedule"
    assert configuration["scheduleTriggerConfig"] == {
        "cronExpression": "0 3 1 * *",
        "parallelism": 1,
        "replicaCompletionCount": 1,
    }
    assert configuration["replicaRetryLimit"] == 0
    assert configuration["replicaTimeout"] == 8 * 3600
    waiting = without_image.one(JOB)["properties"]["configuration"]
    assert waiting["triggerType"] == "Manual"
    assert container(training)["image"] == "registry.example/training:1"


def test_settings_are_those_of_the_job_and_accepted(training: Prediction) -> None:
    given = environment(training)
    assert set(given) <= {s.name for s in SETTINGS}
    assert {"CosmosDbConnection__accountEndpoint", "AZURE_CLIENT_ID"} <= set(given)
    values = {
        name: "https://known.at.deployment" if value.startswith("[") else value
        for name, value in given.items()
    }
    assert load(values).models == ("gru", "xgboost")
    # Nothing of the exchange, the vault or the app's alerts.
    assert {s for s in given if s in {x.name for x in APPLICATION}} == {
        "CosmosDbConnection__accountEndpoint",
        "COSMOS_DATABASE",
        "AZURE_CLIENT_ID",
    }


def test_streamer_and_training_share_registry_and_environment(with_streamer: Prediction) -> None:
    shared = with_streamer.one(ENVIRONMENT)["id"]
    with_streamer.one(REGISTRY)
    for kind in (JOB, "Microsoft.App/containerApps"):
        assert with_streamer.one(kind)["properties"]["environmentId"] == shared


def test_azd_finds_the_job(training: Prediction) -> None:
    text = (ROOT / "azure.yaml").read_text()
    part = text.split("services:")[1].split("  training:")[1].split("\nhooks:")[0]
    found = dict(re.findall(r"^\s*(\w+): (\S+)$", part, re.MULTILINE))
    assert found["host"] == "containerapp"
    assert found["condition"] == "${BORSA_TRAINING}"
    assert (ROOT / found["path"]).exists()
    assert Path(found["context"]) == Path(found["project"]) == Path(".")
    assert training.one(JOB)["tags"]["azd-service-name"] == "training"
