"""The templates compile and lint without a word, and explain themselves."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import bicep_project
import pytest
from bicep_project import BICEP

pytestmark = pytest.mark.bicep

#: Written by azd itself when it has pushed the image of a service.
IMAGES = {"SERVICE_STREAMER_IMAGE_NAME", "SERVICE_TRAINING_IMAGE_NAME"}
FILES = [BICEP / "main.bicep", *sorted((BICEP / "modules").glob("*.bicep"))]


def test_nothing_to_say_about_main_and_all_it_uses(
    compiler: list[str], built: CompletedProcess[str]
) -> None:
    # main reports on every module it reaches.
    assert (built.returncode, built.stderr) == (0, "")
    linted = bicep_project.run(compiler, "lint", "main.bicep")
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")


def test_a_defect_is_noticed(compiler: list[str], tmp_path: Path) -> None:
    # The configuration in force beside main.bicep turns lint findings into errors.
    (tmp_path / "bicepconfig.json").write_bytes((BICEP / "bicepconfig.json").read_bytes())
    (tmp_path / "main.bicep").write_text("param password string = 'x'\n")
    done = bicep_project.run(compiler, "lint", "main.bicep", cwd=tmp_path)
    assert done.returncode != 0
    assert "no-unused-params" in done.stderr


def test_every_module_is_used() -> None:
    used = set(re.findall(r"'modules/(\w+)\.bicep'", (BICEP / "main.bicep").read_text()))
    assert used == {f.stem for f in FILES if f.parent.name == "modules"}


def test_formatted(compiler: list[str], tmp_path: Path) -> None:
    copy = tmp_path / "bicep"
    shutil.copytree(BICEP, copy)
    done = bicep_project.run(compiler, "format", "--pattern", "**/*.bicep", cwd=copy)
    assert done.returncode == 0, done.stderr
    changed = [f.name for f in FILES if (copy / f.relative_to(BICEP)).read_text() != f.read_text()]
    assert changed == []


def _templates(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "main", template
    resources = template["resources"]
    for name, resource in resources.items():
        if resource["type"] == "Microsoft.Resources/deployments":
            yield name, resource["properties"]["template"]


def test_every_parameter_and_output_is_documented(template: dict[str, Any]) -> None:
    silent = [
        f"{name}: {part} {key}"
        for name, t in _templates(template)
        for part in ("parameters", "outputs")
        for key, definition in t.get(part, {}).items()
        if not definition.get("metadata", {}).get("description")
    ]
    assert silent == []


def test_secrets_are_secure_parameters_and_stay_so_in_modules(template: dict[str, Any]) -> None:
    found = {
        (name, key): definition["type"]
        for name, t in _templates(template)
        for key, definition in t["parameters"].items()
        if re.search(r"apikey|apisecret|totp|token$|password", key, re.IGNORECASE)
    }
    secrets = {"binanceApiKey", "binanceApiSecret", "totpSecret", "telegramBotToken"}
    assert found == {(m, s): "securestring" for m in ("main", "keyVault") for s in secrets}


def test_azd_gives_every_parameter_and_no_other(template: dict[str, Any]) -> None:
    given = json.loads((BICEP / "main.parameters.json").read_text())["parameters"]
    assert set(given) == set(template["parameters"])
    for name, definition in template["parameters"].items():
        match = re.fullmatch(r"\$\{(\w+)(?:=(.*))?\}", given[name]["value"])
        assert match, name
        variable, default = match.groups()
        # Own prefix: a BINANCE_API_KEY of the shell must not wander into a vault by accident.
        assert variable.startswith(("AZURE_", "BORSA_")) or variable in IMAGES, name
        expected = definition.get("defaultValue")
        if definition["type"] == "securestring" or expected in ("", None):
            assert default is None, name
        else:
            shown = json.dumps(expected) if not isinstance(expected, str) else expected
            assert default == shown, name
