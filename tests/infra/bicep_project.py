"""The infrastructure as the tests see it: compiled, and predicted by the real Bicep compiler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[2]
BICEP = ROOT / "infra" / "bicep"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"


def compiler() -> list[str] | None:
    """The command that runs Bicep: beside the checkout, on the path, or inside the Azure CLI."""
    beside = ROOT.parent / "shared" / "tools" / "bicep"
    if os.access(beside, os.X_OK):
        return [str(beside)]
    if shutil.which("bicep"):
        return ["bicep"]
    if shutil.which("az"):
        found = subprocess.run(["az", "bicep", "version"], capture_output=True, check=False)
        if found.returncode == 0:
            return ["az", "bicep"]
    return None


def run(command: list[str], *arguments: str, cwd: Path = BICEP) -> subprocess.CompletedProcess[str]:
    """Run the compiler in a folder and hand back what it said."""
    if command == ["az", "bicep"] and arguments[0] in ("build", "lint", "format"):
        arguments = (arguments[0], "--file", *arguments[1:])
    return subprocess.run(
        [*command, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


class Prediction(msgspec.Struct, frozen=True):
    """Every resource a deployment with given parameters would make, names and values resolved."""

    resources: list[dict[str, Any]]
    outputs: dict[str, Any]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """All resources of a type."""
        return [r for r in self.resources if r["type"].lower() == kind.lower()]

    def one(self, kind: str) -> dict[str, Any]:
        """The only resource of a type."""
        (found,) = self.of(kind)
        return found


def predict(command: list[str], folder: Path, parameters: dict[str, Any]) -> Prediction:
    """Predict a deployment in a copy of the infrastructure, so that the tree stays clean."""
    project = folder / "bicep"
    shutil.copytree(BICEP, project)
    lines = ["using './main.bicep'"]
    lines += [f"param {name} = {_literal(value)}" for name, value in parameters.items()]
    (project / "case.bicepparam").write_text("\n".join(lines) + "\n")
    done = run(
        command,
        "snapshot",
        "case.bicepparam",
        "--mode",
        "overwrite",
        "--subscription-id",
        SUBSCRIPTION,
        "--location",
        "westeurope",
        cwd=project,
    )
    assert done.returncode == 0, done.stderr
    snapshot = json.loads((project / "case.snapshot.json").read_text())
    assert snapshot["diagnostics"] == []
    return Prediction(snapshot["predictedResources"], snapshot["outputs"])


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return json.dumps(value)


def strings(value: Any) -> Iterator[str]:
    """Every text inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def settings(prediction: Prediction) -> dict[str, str]:
    """The app settings of the predicted function app."""
    site = prediction.one("Microsoft.Web/sites")
    return {s["name"]: s["value"] for s in site["properties"]["siteConfig"]["appSettings"]}
