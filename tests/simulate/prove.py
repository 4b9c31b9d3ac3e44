"""Sows every defect into a copy of the tree and lets the simulation look for it.

``python tests/simulate/prove.py [--jobs N] [--log FILE] [--table] [NAME ...]``

Afterwards the same episodes run without any defect: a hit counts only if that control is clean.
Every result is logged when it is there, and a log is gone on with. ``--table`` writes the rows of
docs/safety.md. Exit code 1 if a defect was not found or a control was not clean. The tree itself
is never changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for folder in (str(HERE), str(ROOT)):
    if folder not in sys.path:
        sys.path.insert(0, folder)

from defects import DEFECTS, Defect  # noqa: E402

from local.simulate.campaign import CODE, code_digest  # noqa: E402

#: Decisions of one episode: short ones tell sooner.
PER_EPISODE = 50

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
def copy_of_tree(root: Path = ROOT) -> Iterator[Path]:
    """The parts of the tree that run, in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="defects-") as name:
        folder = Path(name)
        for part in CODE:
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


def look_for(defect: Defect, folder: Path, seed: int = 5) -> dict[str, Any]:
    """Sow one defect, simulate until something is violated, take it out again.

    Returns
    -------
    dict
        ``decisions`` (and ``approved`` of them) until it was found or given up, ``invariants``
        that it broke, ``text`` of the first violation, ``episode`` that showed it.
    """
    file = folder / defect.file
    sound = file.read_text()
    if sound.count(defect.right) != 1:
        raise ValueError(
            f"{defect.name}: the line is there {sound.count(defect.right)} times in {defect.file}"
        )
    file.write_text(sound.replace(defect.right, defect.wrong))
    try:
        return run(folder, defect.profile, defect.within, seed, first=True)
    finally:
        file.write_text(sound)


def run(folder: Path, profile: str, within: int, seed: int, *, first: bool) -> dict[str, Any]:
    """Simulate with the code in a folder."""
    arguments = [profile, within, PER_EPISODE, seed, int(first)]
    done = subprocess.run(
        [sys.executable, "-B", "-c", _RUN, *map(str, arguments)],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the simulation itself failed: {done.stderr[-800:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def key_of(defect: Defect, code: str, seed: int) -> str:
    """What a result is about: this defect, in this code, with these episodes."""
    text = f"{code}|{seed}|{defect!r}|{PER_EPISODE}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Proof:
    """All results so far, each written down at once."""

    def __init__(self, log: Path | None, seed: int) -> None:
        self.log, self.seed = log, seed
        self.code = code_digest(ROOT)
        self.found: dict[str, dict[str, Any]] = {}
        self.control: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        rows = log.read_text().splitlines() if log is not None and log.exists() else []
        for row in map(json.loads, rows):
            if row.get("code") == self.code and row.get("seed") == seed:
                self._keep(row)

    def _keep(self, row: dict[str, Any]) -> None:
        if row["what"] == "defect":
            self.found[row["key"]] = row
        elif row["within"] >= self.control.get(row["profile"], {"within": 0})["within"]:
            self.control[row["profile"]] = row

    def add(self, row: dict[str, Any]) -> None:
        """Remember a result, and tell it."""
        row = {"code": self.code, "seed": self.seed, **row}
        with self._lock:
            self._keep(row)
            if self.log is not None:
                with self.log.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            name = row.get("name", f"control of {row['profile']}")
            clean = "clean" if row["what"] == "control" else "NOT FOUND"
            verdict = f"invariants {row['invariants']}" if row["invariants"] else clean
            say(
                f"{name:52} {row['profile']:9} {row['decisions']:>6} decisions  {verdict}  "
                f"{row['episode']}  {row['text'][:100]}"
            )

    def key(self, defect: Defect) -> str:
        return key_of(defect, self.code, self.seed)

    def needed(self, defects: Sequence[Defect]) -> dict[str, int]:
        """Decisions that each profile's control must cover."""
        within: dict[str, int] = {}
        for defect in defects:
            row = self.found.get(self.key(defect))
            if row is not None and row["invariants"]:
                # As many decisions are as many episodes: those before the hit, and its own.
                within[defect.profile] = max(within.get(defect.profile, 0), row["decisions"])
        return {p: n for p, n in within.items() if self.control.get(p, {"within": 0})["within"] < n}


def prove(proof: Proof, defects: Sequence[Defect], jobs: int) -> None:
    """Look for each defect, then run the controls; several at the same time."""
    work: queue.Queue[Any] = queue.Queue()
    for defect in defects:
        if proof.key(defect) not in proof.found:
            work.put(defect)
    _together(proof, work, jobs)
    for item in proof.needed(defects).items():
        work.put(item)
    _together(proof, work, jobs)


def _together(proof: Proof, work: queue.Queue[Any], jobs: int) -> None:
    failures: list[BaseException] = []

    def worker() -> None:
        with copy_of_tree() as folder:
            while not failures:
                try:
                    one = work.get_nowait()
                except queue.Empty:
                    return
                try:
                    proof.add(_one(one, proof, folder))
                except (RuntimeError, ValueError, OSError, subprocess.SubprocessError) as error:
                    failures.append(error)

    threads = [threading.Thread(target=worker) for _ in range(min(jobs, max(1, work.qsize())))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _one(one: Any, proof: Proof, folder: Path) -> dict[str, Any]:
    if isinstance(one, Defect):
        found = look_for(one, folder, proof.seed)
        return {
            "what": "defect",
            "key": proof.key(one),
            "name": one.name,
            "profile": one.profile,
            **found,
        }
    profile, within = one
    found = run(folder, profile, within, proof.seed, first=False)
    return {"what": "control", "profile": profile, "within": within, **found}


def table(proof: Proof, defects: Sequence[Defect]) -> str:
    """The rows for docs/safety.md."""
    rows = [
        "| defect | profile | decisions | of them approved | invariants | control |",
        "|---|---|---|---|---|---|",
    ]
    for defect in defects:
        row = proof.found.get(proof.key(defect))
        if row is None:
            rows.append(f"| {defect.name} | {defect.profile} | not run | | | |")
            continue
        control = proof.control.get(defect.profile)
        clean = "not run" if control is None else "clean"
        if control is not None and control["invariants"]:
            clean = f"broken: {control['invariants']}"
        broken = ", ".join(map(str, row["invariants"]))
        decisions = f"{row['decisions']:,}"
        if not broken:
            broken, decisions, clean = "**not found**", f"more than {decisions}", ""
        rows.append(
            f"| {defect.name} | {defect.profile} | {decisions} | {row['approved']:,} | {broken} "
            f"| {clean} |"
        )
    return "\n".join(rows)


def say(line: str) -> None:
    """One line, at once: each takes a while."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Sow every defect and look for it.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--log", type=Path, metavar="FILE")
    parser.add_argument("--table", action="store_true", help="print what the log holds as a table")
    options = parser.parse_args(arguments)
    chosen = [d for d in DEFECTS if not options.names or d.name in options.names]
    proof = Proof(options.log, options.seed)
    if options.table:
        say(table(proof, chosen))
        return 0
    prove(proof, chosen, options.jobs)
    missed = [d.name for d in chosen if not proof.found[proof.key(d)]["invariants"]]
    unclean = [p for p, row in proof.control.items() if row["invariants"]]
    say(f"{len(chosen) - len(missed)} of {len(chosen)} found; missed: {missed or 'none'}")
    say(f"controls that were not clean: {unclean or 'none'}")
    return 1 if missed or unclean else 0


if __name__ == "__main__":
    sys.exit(main())
