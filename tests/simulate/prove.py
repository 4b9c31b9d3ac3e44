"""Sows every defect into a copy of the tree and lets the simulation look for it.

``python tests/simulate/prove.py [NAME ...]`` prints one line per defect; exit code 1 if one of
them was not found. The tree itself is never changed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from defects import DEFECTS, Defect  # noqa: E402

#: What the simulation needs of the tree.
PARTS = ("function_app.py", "host.json", "functions", "shared", "local")

#: Decisions of one episode: short ones tell sooner.
PER_EPISODE = 50

_RUN = """
import json, sys
from local.simulate.run import simulate
profile, within, per_episode, seed = sys.argv[1], *map(int, sys.argv[2:5])
report = simulate(
    within, seed, profile, stop_at_first=True, shrinking=False, per_episode=per_episode
)
violations = [v for f in report.findings for v in f.violations]
print(json.dumps({
    "decisions": report.decisions,
    "invariants": sorted({v.invariant for v in violations}),
    "text": violations[0].text if violations else "",
    "episode": report.findings[0].episode if report.findings else "",
}))
"""


@contextmanager
def copy_of_tree() -> Iterator[Path]:
    """The parts of the tree that run, in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="defects-") as name:
        folder = Path(name)
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(
                    source,
                    folder / part,
                    ignore=shutil.ignore_patterns("__pycache__", "node_modules"),
                )
            else:
                shutil.copy(source, folder / part)
        yield folder


def look_for(defect: Defect, folder: Path, seed: int = 5) -> dict[str, object]:
    """Sow one defect, simulate, take it out again.

    Returns
    -------
    dict
        ``decisions`` until it was found or given up, ``invariants`` that it broke, ``text`` of
        the first violation, ``episode`` that showed it.
    """
    file = folder / defect.file
    sound = file.read_text()
    if sound.count(defect.right) != 1:
        raise ValueError(
            f"{defect.name}: the line is there {sound.count(defect.right)} times in {defect.file}"
        )
    file.write_text(sound.replace(defect.right, defect.wrong))
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-B",
                "-c",
                _RUN,
                defect.profile,
                str(defect.within),
                str(PER_EPISODE),
                str(seed),
            ],
            cwd=folder,
            env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
    finally:
        file.write_text(sound)
    if done.returncode:
        return {"decisions": 0, "invariants": [], "text": done.stderr[-800:], "episode": ""}
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def say(line: str) -> None:
    """One line, at once: each takes a while."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(names: list[str]) -> int:
    missed = 0
    chosen = [d for d in DEFECTS if not names or d.name in names]
    with copy_of_tree() as folder:
        for defect in chosen:
            found = look_for(defect, folder)
            invariants = found["invariants"]
            missed += not invariants
            verdict = f"invariants {invariants}" if invariants else "NOT FOUND"
            say(
                f"{defect.name:48} {defect.profile:9} {found['decisions']:>6} decisions  "
                f"{verdict}  {found['episode']}  {str(found['text'])[:110]}"
            )
    say(f"{len(chosen) - missed} of {len(chosen)} found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
