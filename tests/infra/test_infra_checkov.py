"""Checkov looks at the template as it would be deployed, with all values resolved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from bicep_project import ROOT, Prediction
from checkov_accepted import ACCEPTED, ACCEPTED_OF_AUTOML, ACCEPTED_OF_REGISTRY
from conftest import without

# Checkov pins old versions of packages that the application uses, hence an environment of its own.
CHECKOV = "3.3.30"
HOME = ROOT / ".venv-checkov"

pytestmark = [pytest.mark.bicep, pytest.mark.timeout(900)]

Finding = tuple[str, str]


@pytest.fixture(scope="session")
def checkov() -> Path:
    """The scanner, installed once beside the checkout's own environment."""
    program = HOME / "bin" / "checkov"
    stamp = HOME / "version"
    wanted = f"{CHECKOV} {sys.version_info[:2]}"
    if program.exists() and stamp.exists() and stamp.read_text() == wanted:
        return program
    venv.create(HOME, clear=True, with_pip=True)
    (HOME / ".gitignore").write_text("*\n")
    done = subprocess.run(
        [HOME / "bin" / "python", "-m", "pip", "install", "--quiet", f"checkov=={CHECKOV}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        without(f"checkov {CHECKOV} cannot be installed: {done.stderr[-500:]}")
    stamp.write_text(wanted)
    return program


def _scan(checkov: Path, resources: list[dict[str, Any]], folder: Path) -> tuple[int, set[Finding]]:
    """(checks passed, findings) of these resources as one flat template."""
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
    file = folder / "deployed.json"
    file.write_text(
        json.dumps({"$schema": schema, "contentVersion": "1.0.0.0", "resources": resources})
    )
    done = subprocess.run(
        [
            checkov,
            "-f",
            file.name,
            "--framework",
            "arm",
            "-o",
            "json",
            "--quiet",
            "--skip-download",
        ],
        cwd=folder,
        # A proxy or platform key in the shell must not make it call home.
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LOG_LEVEL": "CRITICAL"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    return report["summary"]["passed"], {
        (f["check_id"], f["resource"].rsplit(".", 1)[0]) for f in report["results"]["failed_checks"]
    }


@pytest.mark.parametrize("case", ["minimal", "full", "streaming", "training", "searching"])
def test_no_finding_but_the_accepted(
    checkov: Path, case: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    prediction: Prediction = request.getfixturevalue(case)
    passed, found = _scan(checkov, prediction.resources, tmp_path)
    assert passed >= 30
    more = {
        "streaming": ACCEPTED_OF_REGISTRY,
        "training": ACCEPTED_OF_REGISTRY,
        "searching": ACCEPTED_OF_AUTOML,
    }
    assert found == set(ACCEPTED) | set(more.get(case, {}))


def test_a_finding_is_found(checkov: Path, minimal: Prediction, tmp_path: Path) -> None:
    vault = json.loads(json.dumps(minimal.one("Microsoft.KeyVault/vaults")))
    vault["properties"]["enablePurgeProtection"] = False
    _, found = _scan(checkov, [vault], tmp_path)
    assert ("CKV_AZURE_110", "Microsoft.KeyVault/vaults") in found
