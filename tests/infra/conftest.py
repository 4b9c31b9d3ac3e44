"""Compiles the infrastructure once; says so, or fails in CI, where there is no compiler."""

from __future__ import annotations

import json
import os
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import bicep_project
import pytest
from bicep_project import Prediction
from infra_cases import FULL, MINIMAL, SEARCHING, STREAMING, TRAINING


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
def built(compiler: list[str]) -> CompletedProcess[str]:
    """What the compiler said and made of the whole."""
    return bicep_project.run(compiler, "build", "main.bicep", "--stdout")


@pytest.fixture(scope="session")
def template(built: CompletedProcess[str]) -> dict[str, Any]:
    """The compiled ARM template."""
    assert built.returncode == 0, built.stderr
    loaded: dict[str, Any] = json.loads(built.stdout)
    return loaded


@pytest.fixture(scope="session")
def minimal(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """What the three required parameters alone deploy."""
    return bicep_project.predict(compiler, tmp_path_factory.mktemp("minimal"), MINIMAL)


@pytest.fixture(scope="session")
def full(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """What a deployment with every option deploys."""
    return bicep_project.predict(compiler, tmp_path_factory.mktemp("full"), FULL)


@pytest.fixture(scope="session")
def streaming(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """What a deployment with the streamer deploys."""
    return bicep_project.predict(compiler, tmp_path_factory.mktemp("streaming"), STREAMING)


@pytest.fixture(scope="session")
def training(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """What a deployment with the training job deploys."""
    return bicep_project.predict(compiler, tmp_path_factory.mktemp("training"), TRAINING)


@pytest.fixture(scope="session")
def searching(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    """What a deployment with the workspace for AutoML deploys."""
    return bicep_project.predict(compiler, tmp_path_factory.mktemp("searching"), SEARCHING)
