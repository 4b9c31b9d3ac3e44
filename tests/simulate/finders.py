"""What finds a defect that was sown into a copy of the tree: each runs in a process of its own.

Three kinds: the simulation (an invariant is violated), scenario tests (they fail), and the
look-ahead detector (it tells that a strategy knows the future). On the sound tree each must find
nothing: that is its control.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

from local.simulate.campaign import CODE  # noqa: E402

#: Decisions of one episode: short ones tell sooner.
PER_EPISODE = 50

#: What the command line needs besides the code of an episode.
COMMANDS = ("streamer", "training", "models")

#: What scenario tests need besides that.
TESTS = ("tests", "pyproject.toml")

_RUN = """
import json, sys
from local.simulate.run import simulate
profile, within, per_episode, seed, first = sys.argv[1], *map(int, sys.argv[2:6])
report = simulate(
    within, seed, profile, stop_at_first=bool(first), shrinking=False, per_episode=per_episode
)
violations = [v for f in report.findings for v in f.violations]
print(json.dumps({
    "decisions": report.decisions,
    "approved": report.approved,
    "episodes": report.episodes,
    "invariants": sorted({v.invariant for v in violations}),
    "text": violations[0].text if violations else "",
    "episode": report.findings[0].episode if report.findings else "",
}))
"""


@contextmanager
def copy_of_tree(root: Path = ROOT, *, tests: bool = False) -> Iterator[Path]:
    """The parts of the tree that run, in a folder of their own; with the tests where asked for."""
    with tempfile.TemporaryDirectory(prefix="defects-") as name:
        folder = Path(name)
        for part in (*CODE, *COMMANDS, *(TESTS if tests else ())):
            source = root / part
            if source.is_dir():
                shutil.copytree(
                    source,
                    folder / part,
                    ignore=shutil.ignore_patterns("__pycache__", "node_modules"),
                )
            else:
                (folder / part).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, folder / part)
        yield folder


def _python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )


def simulation(
    folder: Path, profile: str, within: int, seed: int, *, first: bool
) -> dict[str, Any]:
    """Simulate with the code in a folder.

    Returns
    -------
    dict
        ``decisions`` (and ``approved`` of them) until something was violated or it was given up,
        ``invariants`` that were, ``text`` of the first violation, ``episode`` that showed it.
    """
    numbers = (within, PER_EPISODE, seed, int(first))
    done = _python(folder, "-c", _RUN, profile, *map(str, numbers))
    if done.returncode:
        raise RuntimeError(f"the simulation itself failed: {done.stderr[-800:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def scenarios(folder: Path, tests: Sequence[str]) -> dict[str, Any]:
    """Run scenario tests with the code in a folder: ``failed`` of ``ran``, and the first's name."""
    done = _python(folder, "-m", "pytest", *tests, "-q", "-p", "no:cacheprovider", "--tb=no")
    if done.returncode not in (0, 1):
        raise RuntimeError(f"the scenarios themselves failed: {done.stdout[-800:]}")
    fallen = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    counts = re.findall(r"(\d+) (passed|failed|error)", done.stdout.splitlines()[-1])
    return {
        "failed": len(set(fallen)),
        "ran": sum(int(n) for n, what in counts if what != "error"),
        "text": fallen[0] if fallen else "",
    }


def detector(folder: Path, subject: str) -> dict[str, Any]:
    """Ask the look-ahead detector of the tree in a folder about a strategy, or ``all``."""
    options = ("--bars", "900", "--cuts", "6")
    done = _python(folder, "-m", "local.cli", "lookahead", subject, *options)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"the detector itself failed: {done.stderr[-800:]}")
    told = [line for line in done.stdout.splitlines() if "KNOWS THE FUTURE" in line]
    if bool(told) != bool(done.returncode):
        raise RuntimeError(f"the detector contradicts itself: {done.stdout[-800:]}")
    blind = done.stdout.count("blind to the future")
    return {"failed": len(told), "ran": len(told) + blind, "text": told[0].strip() if told else ""}
