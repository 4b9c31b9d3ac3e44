"""Sows every defect into a copy of the tree and has it looked for.

``python tests/simulate/prove.py [--jobs N] [--log FILE] [--table] [NAME ...]``

Afterwards the same episodes, scenarios and detectors run without any defect: a hit counts only if
that control is clean. Every result is logged when it is there, and a log is gone on with.
``--table`` writes the rows of docs/safety.md. Exit code 1 if a defect was not found by the finder
that it declares, or a control was not clean. The tree itself is never changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for folder in (str(HERE), str(ROOT)):
    if folder not in sys.path:
        sys.path.insert(0, folder)

from defect import Defect  # noqa: E402
from defects import DEFECTS  # noqa: E402
from finders import (  # noqa: E402
    PER_EPISODE,
    copy_of_tree,
    detector,
    scenarios,
    simulation,
)

from local.simulate.campaign import code_digest  # noqa: E402

#: A result before anything was run.
NOTHING: dict[str, Any] = {
    "decisions": 0,
    "approved": 0,
    "episodes": 0,
    "invariants": [],
    "failed": 0,
    "ran": 0,
    "episode": "",
    "text": "",
}


def look_for(defect: Defect, folder: Path, seed: int = 5) -> dict[str, Any]:
    """Sow one defect, have it looked for, take it out again.

    Returns
    -------
    dict
        As of :func:`finders.simulation` where there is a profile; ``failed`` of ``ran`` as of
        :func:`finders.scenarios` or :func:`finders.detector`; ``found`` says whether the finder
        that the defect declares has found it.
    """
    file = folder / defect.file
    sound = file.read_text()
    if sound.count(defect.right) != 1:
        raise ValueError(
            f"{defect.name}: the line is there {sound.count(defect.right)} times in {defect.file}"
        )
    file.write_text(sound.replace(defect.right, defect.wrong))
    found = dict(NOTHING)
    try:
        if defect.profile:
            found |= simulation(folder, defect.profile, defect.within, seed, first=True)
        if defect.tests:
            found |= scenarios(folder, defect.tests)
        if defect.lookahead:
            found |= detector(folder, defect.lookahead)
    finally:
        file.write_text(sound)
    by_simulation = defect.finder == "simulation"
    return found | {"found": bool(found["invariants"] if by_simulation else found["failed"])}


def key_of(defect: Defect, code: str, seed: int) -> str:
    """What a result is about: this defect, in this code, with these episodes."""
    tests = [(ROOT / test.partition("::")[0]).read_text() for test in defect.tests]
    text = f"{code}|{seed}|{defect!r}|{PER_EPISODE}|{tests}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Control:
    """What must find nothing on the sound tree: ``within`` decisions of a profile, scenarios, or
    the detector's answer about a subject."""

    finder: str
    of: tuple[str, ...]
    within: int = 0

    @property
    def name(self) -> str:
        return " ".join(self.of)


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
        elif row["within"] >= self.control.get(row["of"], {"within": 0})["within"]:
            self.control[row["of"]] = row

    def add(self, row: dict[str, Any]) -> None:
        """Remember a result, and tell it."""
        row = {"code": self.code, "seed": self.seed, **row}
        with self._lock:
            self._keep(row)
            if self.log is not None:
                with self.log.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            if row["what"] == "defect":
                verdict = f"found by the {row['finder']}" if row["found"] else "NOT FOUND"
            else:
                verdict = "NOT CLEAN" if row["found"] else "clean"
            name = row["name"] if row["what"] == "defect" else f"control: {row['of']}"
            say(
                f"{name[:52]:52} {row['decisions']:>6} decisions {row['invariants']}, "
                f"{row['failed']} of {row['ran']} fail: {verdict}  {row['episode']}  "
                f"{row['text'][:100]}"
            )

    def key(self, defect: Defect) -> str:
        return key_of(defect, self.code, self.seed)

    def needed(self, defects: Sequence[Defect]) -> list[Control]:
        """The controls of what was found that have not been run yet."""
        within: dict[tuple[str, tuple[str, ...]], int] = {}
        for defect in defects:
            row = self.found.get(self.key(defect))
            if row is None or not row["found"]:
                continue
            # As many decisions are as many episodes: those before the hit, and its own.
            what = (defect.finder, control_of(defect))
            decisions = row["decisions"] if defect.finder == "simulation" else 0
            within[what] = max(within.get(what, 0), decisions)
        controls = [Control(finder, of, n) for (finder, of), n in within.items()]
        return [
            c for c in controls if self.control.get(c.name, {"within": -1})["within"] < c.within
        ]


def control_of(defect: Defect) -> tuple[str, ...]:
    """What is run again without the defect: a profile, tests, or a subject of the detector."""
    if defect.finder == "scenario":
        return defect.tests
    return (defect.profile,) if defect.finder == "simulation" else ("lookahead", defect.lookahead)


def prove(proof: Proof, defects: Sequence[Defect], jobs: int) -> None:
    """Look for each defect, then run the controls; several at the same time."""
    work: queue.Queue[Any] = queue.Queue()
    for defect in defects:
        if proof.key(defect) not in proof.found:
            work.put(defect)
    _together(proof, work, jobs)
    for control in proof.needed(defects):
        work.put(control)
    _together(proof, work, jobs)


def _together(proof: Proof, work: queue.Queue[Any], jobs: int) -> None:
    failures: list[BaseException] = []

    def worker() -> None:
        with copy_of_tree(tests=True) as folder:
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
            "finder": one.finder,
            **found,
        }
    found = dict(NOTHING)
    if one.finder == "simulation":
        found |= simulation(folder, one.of[0], one.within, proof.seed, first=False)
    elif one.finder == "scenario":
        found |= scenarios(folder, one.of)
    else:
        found |= detector(folder, one.of[1])
    bad = bool(found["invariants"] or found["failed"])
    return {"what": "control", "of": one.name, "within": one.within, **found, "found": bad}


def table(proof: Proof, defects: Sequence[Defect]) -> str:
    """The rows for docs/safety.md."""
    rows = [
        "| defect | to be found by | profile | decisions | of them approved | invariants "
        "| scenarios or detector | control |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for defect in defects:
        row = proof.found.get(proof.key(defect))
        head = f"| {defect.name} | {defect.finder} | {defect.profile or '-'} |"
        if row is None:
            rows.append(f"{head} not run | | | | |")
            continue
        control = proof.control.get(" ".join(control_of(defect)))
        clean = "not run" if control is None else "broken" if control["found"] else "clean"
        decisions, approved, broken = "-", "-", "-"
        if defect.profile:
            broken = ", ".join(map(str, row["invariants"]))
            decisions, approved = f"{row['decisions']:,}", f"{row['approved']:,}"
            if not broken:
                broken, decisions = "none", f"more than {decisions}"
        rows.append(
            f"{head} {decisions} | {approved} | {broken} | {_others(defect, row)} "
            f"| {clean if row['found'] else '**not found**'} |"
        )
    return "\n".join(rows)


def _others(defect: Defect, row: dict[str, Any]) -> str:
    """What the scenarios or the detector said."""
    if defect.lookahead:
        return f"`lookahead {defect.lookahead}`: {row['failed']} told"
    if defect.tests:
        tests = ", ".join(f"`{test.rpartition('::')[2]}`" for test in defect.tests)
        return f"{tests}: {row['failed']} of {row['ran']} fail"
    return "-"


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
    named = [d for d in DEFECTS if d.name in options.names]
    chosen = named if options.names else list(DEFECTS)
    proof = Proof(options.log, options.seed)
    if options.table:
        say(table(proof, chosen))
        return 0
    prove(proof, chosen, options.jobs)
    missed = [d.name for d in chosen if not proof.found[proof.key(d)]["found"]]
    unclean = [of for of, row in proof.control.items() if row["found"]]
    say(f"{len(chosen) - len(missed)} of {len(chosen)} found; missed: {missed or 'none'}")
    say(f"controls that were not clean: {unclean or 'none'}")
    return 1 if missed or unclean else 0


if __name__ == "__main__":
    sys.exit(main())
