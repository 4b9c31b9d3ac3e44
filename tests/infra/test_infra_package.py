"""What is uploaded, and how azd finds it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from bicep_project import BICEP, ROOT, Prediction

DEPLOYED = ["function_app.py", "host.json", "requirements.txt", "functions/market.py"]
DEPLOYED += ["web/index.html", "web/app.js", "web/style.css", "web/icon.svg"]
DEPLOYED += ["shared/settings.py", "shared/local/x.py", "shared/docs/x.py", "models/trend.onnx"]
LEFT_OUT = ["local/host/x.py", "tests/test_x.py", "local.settings.json", ".env", "run", "README.md"]
LEFT_OUT += ["infra/bicep/main.bicep", "local.settings.sample.json", "requirements-dev.txt"]
LEFT_OUT += [".venv/bin/python", ".venv-checkov/bin/python", "shared/__pycache__/x.pyc"]


def _ignored(paths: list[str], folder: Path) -> set[str]:
    """Which paths .funcignore leaves out: it is written in git's own pattern language."""
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    (folder / ".gitignore").write_bytes((ROOT / ".funcignore").read_bytes())
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", *paths],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return set(done.stdout.splitlines())


def test_the_application_is_uploaded_and_nothing_else(tmp_path: Path) -> None:
    assert _ignored(DEPLOYED, tmp_path) == set()
    assert _ignored(LEFT_OUT, tmp_path) == set(LEFT_OUT)


def test_azd_finds_template_and_app() -> None:
    text = (ROOT / "azure.yaml").read_text()
    # The first service is the application; the streamer and the training have tests of their own.
    text = text.split("  streamer:")[0]
    found = dict(re.findall(r"^\s*(path|module|project|language|host): (\S+)$", text, re.MULTILINE))
    assert (ROOT / found["path"] / f"{found['module']}.bicep").samefile(BICEP / "main.bicep")
    assert (ROOT / found["path"] / f"{found['module']}.parameters.json").exists()
    assert (ROOT / found["project"] / "host.json").exists()
    assert (found["language"], found["host"]) == ("python", "function")


@pytest.mark.bicep
def test_azd_finds_the_function_app_by_its_tags(minimal: Prediction) -> None:
    (service,) = re.findall(
        r"^services:\n  (\w+):", (ROOT / "azure.yaml").read_text(), re.MULTILINE
    )
    tags = minimal.one("Microsoft.Web/sites")["tags"]
    assert tags == {"azd-env-name": "test", "azd-service-name": service}


def test_host_needs_no_setting_at_start_but_those_of_the_sample() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    assert set(re.findall(r"%(\w+)%", json.dumps(host))) <= set(sample)
    assert host["extensions"]["durableTask"]["storageProvider"]["type"] == "azureManaged"
    # Azurite has no scheduler: there the sample turns the provider back.
    prefix = "AzureFunctionsJobHost__extensions__durableTask__storageProvider__"
    assert sample[f"{prefix}type"] == "AzureStorage"


def test_a_batch_is_never_retried_by_the_host() -> None:
    # A host retry that is cancelled loses the batch; functions catch each event on its own.
    assert "retry" not in json.loads((ROOT / "host.json").read_text())


def test_the_required_packages_are_pinned() -> None:
    """Feature C2, word by word; pytest runs here and is not deployed."""
    deployed = _pinned("requirements.txt")
    assert deployed >= {
        "azure-functions",
        "azure-functions-durable",
        "azure-cosmos",
        "azure-keyvault-secrets",
        "azure-identity",
        "python-binance",
        "pandas",
        "ta-lib",
        "onnxruntime",
    }
    assert "pytest" in _pinned("requirements-dev.txt") - deployed


def _pinned(file: str) -> set[str]:
    return set(re.findall(r"(?m)^([a-z0-9-]+)==", (ROOT / file).read_text().lower()))
