"""Compiles the infrastructure once; says so, or fails in CI, where there is no compiler."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import bicep_project
import pytest
from bicep_project import Prediction

SECRETS = {
    "binanceApiKey": "a-key-that-must-not-be-seen",
    "binanceApiSecret": "a-secret-that-must-not-be-seen",
    "totpSecret": "a-seed-that-must-not-be-seen",
    "telegramBotToken": "a-token-that-must-not-be-seen",
}
MINIMAL = {
    "environmentName": "test",
    "location": "westeurope",
    "alertEmail": "operator@example.com",
}
FULL = {
    **MINIMAL,
    **SECRETS,
    "alertPhone": "49-1701234567",
    "telegramChatId": "4711",
    "principalId": "11111111-1111-1111-1111-111111111111",
    "staticEgress": True,
    "monthlyBudget": 100,
    "budgetStartDate": "2026-12-01",
    "cosmosCapacityMode": "Autoscale",
    "cosmosSecondaryLocation": "northeurope",
    "cosmosConsistency": "BoundedStaleness",
    "allowedCallers": "203.0.113.0/24,198.51.100.7/32",
    "signalRSku": "Standard_S1",
    "schedulerSku": "Dedicated",
    "alwaysReadyInstances": 0,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # One worker compiles; the others would only do it again.
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("infra"))


def without(what: str) -> None:
    """Stop a test that lacks a tool: a failure in CI, where nothing may be left out."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def compiler() -> list[str]:
    found = bicep_project.compiler()
    if found is None:
        without("no Bicep compiler: install `bicep`, or the Azure CLI and run `az bicep install`")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def template(compiler: list[str]) -> dict[str, Any]:
    """The compiled ARM template."""
    done = bicep_project.run(compiler, "build", "main.bicep", "--stdout")
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


@pytest.fixture(scope="session")
def minimal(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """What the three required parameters alone deploy."""
    return bicep_project.predict(compiler, tmp_path_factory.mktemp("minimal"), MINIMAL)


@pytest.fixture(scope="session")
def full(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """What a deployment with every option deploys."""
    return bicep_project.predict(compiler, tmp_path_factory.mktemp("full"), FULL)
