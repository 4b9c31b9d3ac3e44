"""The streamer's container app: off by default, and with no right but those it needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import bicep_project
import pytest
from bicep_project import ROOT, Prediction
from infra_cases import MINIMAL

from streamer.settings import SETTINGS, STREAMS, load

pytestmark = pytest.mark.bicep

APP = "Microsoft.App/containerApps"
ENVIRONMENT = "Microsoft.App/managedEnvironments"
REGISTRY = "Microsoft.ContainerRegistry/registries"
SENDER = "2b629674-e913-4c01-ae53-ef4638d8f975"
PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"


def container(prediction: Prediction) -> dict[str, Any]:
    (found,) = prediction.one(APP)["properties"]["template"]["containers"]
    return found  # type: ignore[no-any-return]


def environment(prediction: Prediction) -> dict[str, str]:
    return {e["name"]: e["value"] for e in container(prediction)["env"]}


def rights(prediction: Prediction) -> set[tuple[str, str]]:
    """(role, what it is granted on) of the streamer's identity."""
    (identity,) = streamer_identity(prediction)
    return {
        (
            a["properties"]["roleDefinitionId"].rsplit("/", 1)[1],
            # The kind and the last name of what it is granted on.
            "/".join(a["id"].split("/providers/Microsoft.Authorization")[0].rsplit("/", 2)[-2:]),
        )
        for a in prediction.of("Microsoft.Authorization/roleAssignments")
        if identity["name"] in a["properties"]["principalId"]
    }


def streamer_identity(prediction: Prediction) -> list[dict[str, Any]]:
    identities = prediction.of("Microsoft.ManagedIdentity/userAssignedIdentities")
    return [i for i in identities if i["name"].startswith("id-borsa-streamer-")]


@pytest.fixture(scope="session")
def candles_only(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """Switched on and nothing else, before anything was pushed."""
    folder = tmp_path_factory.mktemp("candles")
    return bicep_project.predict(compiler, folder, {**MINIMAL, "streamer": True})


def test_nothing_of_it_is_there_by_default(minimal: Prediction, full: Prediction) -> None:
    for prediction in (minimal, full):
        for kind in (APP, ENVIRONMENT, REGISTRY):
            assert prediction.of(kind) == []
        assert streamer_identity(prediction) == []


def test_it_may_send_candles_and_pull_its_image_and_nothing_else(candles_only: Prediction) -> None:
    registry = candles_only.one(REGISTRY)["name"]
    assert rights(candles_only) == {(SENDER, "eventhubs/market"), (PULL, f"registries/{registry}")}


def test_more_streams_mean_these_hubs_and_this_one_secret(streaming: Prediction) -> None:
    registry = streaming.one(REGISTRY)["name"]
    assert rights(streaming) == {
        (SENDER, "eventhubs/market"),
        (SENDER, "eventhubs/quotes"),
        (SENDER, "eventhubs/executions"),
        (PULL, f"registries/{registry}"),
        (SECRETS_USER, "secrets/binance-api-key"),
    }


def test_quotes_have_a_hub_only_if_somebody_writes_them(
    candles_only: Prediction, streaming: Prediction
) -> None:
    def hubs(prediction: Prediction) -> set[str]:
        kind = "Microsoft.EventHub/namespaces/eventhubs"
        return {h["name"].split("/")[1] for h in prediction.of(kind)}

    assert hubs(streaming) - hubs(candles_only) == {"quotes"}


def test_one_replica_runs_once_there_is_an_image(
    candles_only: Prediction, streaming: Prediction
) -> None:
    def scale(prediction: Prediction) -> dict[str, int]:
        return prediction.one(APP)["properties"]["template"]["scale"]  # type: ignore[no-any-return]

    assert scale(candles_only) == {"minReplicas": 0, "maxReplicas": 1}
    assert scale(streaming) == {"minReplicas": 1, "maxReplicas": 1}
    assert container(streaming)["image"] == "registry.example/streamer:1"


def test_it_is_not_reachable_and_is_probed_where_it_answers(streaming: Prediction) -> None:
    properties = streaming.one(APP)["properties"]
    assert "ingress" not in properties["configuration"]
    assert "secrets" not in properties["configuration"]
    (probe,) = container(streaming)["probes"]
    port = next(s.default for s in SETTINGS if s.name == "STREAMER_HEALTH_PORT")
    assert probe["httpGet"] == {"path": "/healthz", "port": int(port or 0)}
    # A stop is given longer than the streamer takes to send what waits.
    flush = next(s.default for s in SETTINGS if s.name == "STREAMER_FLUSH_SECONDS")
    assert properties["template"]["terminationGracePeriodSeconds"] > int(flush or 0)


def test_settings_are_those_of_the_streamer_and_accepted(
    candles_only: Prediction, streaming: Prediction
) -> None:
    known = {s.name for s in SETTINGS}
    for prediction in (candles_only, streaming):
        given = environment(prediction)
        assert set(given) <= known
        # Values known only at deployment are names and addresses.
        there = {"KEY_VAULT_URI": "https://vault.test"}
        values = {
            name: there.get(name, "known.at.deployment") if value.startswith("[") else value
            for name, value in given.items()
        }
        loaded = load(values)
        assert loaded.binance_environment == "demo"
    assert "KEY_VAULT_URI" not in environment(candles_only)
    assert environment(streaming)["STREAMER_STREAMS"] == "klines,bookTicker,userData"
    # Symbols and time frames of the application, so that both publish the same candles.
    site = bicep_project.settings(streaming)
    assert {n: site[n] for n in ("SYMBOLS", "TIMEFRAMES")} == {
        n: environment(streaming)[n] for n in ("SYMBOLS", "TIMEFRAMES")
    }


def test_no_key_opens_registry_or_logs(streaming: Prediction) -> None:
    registry = streaming.one(REGISTRY)["properties"]
    assert (registry["adminUserEnabled"], registry["anonymousPullEnabled"]) == (False, False)
    properties = streaming.one(APP)["properties"]
    assert all("passwordSecretRef" not in r for r in properties["configuration"]["registries"])
    logs = streaming.one(ENVIRONMENT)["properties"]["appLogsConfiguration"]
    assert logs == {"destination": "azure-monitor"}


def test_static_egress_holds_for_the_streamer_too(streaming: Prediction) -> None:
    """The API key may be bound to that address, and the listen key needs it."""
    subnets = streaming.one("Microsoft.Network/virtualNetworks")["properties"]["subnets"]
    gateway = streaming.one("Microsoft.Network/natGateways")
    assert [s["name"] for s in subnets] == ["functions", "streamer"]
    assert {s["properties"]["natGateway"]["id"] for s in subnets} == {gateway["id"]}
    assert len({s["properties"]["addressPrefix"] for s in subnets}) == 2
    (identity,) = streamer_identity(streaming)
    assert list(streaming.one(APP)["identity"]["userAssignedIdentities"]) == [identity["id"]]


def test_the_streams_that_a_parameter_names_are_those_of_the_code() -> None:
    text = (ROOT / "infra/bicep/main.bicep").read_text()
    told = re.search(r"What it streams, separated by commas: ([\w, ]+)\.", text)
    assert told
    assert tuple(told[1].split(", ")) == STREAMS


def test_azd_finds_the_container_app(streaming: Prediction) -> None:
    text = (ROOT / "azure.yaml").read_text()
    part = text.split("services:")[1].split("  streamer:")[1].split("  training:")[0]
    found = dict(re.findall(r"^\s*(\w+): (\S+)$", part, re.MULTILINE))
    assert found["host"] == "containerapp"
    assert found["condition"] == "${BORSA_STREAMER}"
    assert (ROOT / found["path"]).exists()
    assert Path(found["context"]) == Path(found["project"]) == Path(".")
    assert streaming.one(APP)["tags"]["azd-service-name"] == "streamer"
