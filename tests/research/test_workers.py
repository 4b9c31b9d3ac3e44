"""Processes of a search end with the one that started them, however it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Starts two workers whose trials never end, and tells their process ids.
SCRIPT = """
import multiprocessing, os, sys, time
from shared.research.evaluation import Job
from shared.research.workers import Workers

def endless(market, jobs):
    (market["folder"] / str(os.getpid())).write_text("")
    time.sleep(600)
    return []

if __name__ == "__main__":
    from pathlib import Path
    with Workers(endless, 2) as workers:
        workers.use({"folder": Path(sys.argv[1])})
        list(workers.outcomes([Job(params={}, start=0, end=1) for _ in range(16)]))
"""


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_workers_end_with_a_caller_that_was_killed(tmp_path: Path) -> None:
    script, seen = tmp_path / "script.py", tmp_path / "seen"
    script.write_text(SCRIPT)
    seen.mkdir()
    process = subprocess.Popen(
        [sys.executable, script, seen],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        patience = time.monotonic() + 120
        while len(list(seen.iterdir())) < 2:
            assert process.poll() is None
            assert time.monotonic() < patience
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    workers = [int(file.name) for file in seen.iterdir()]
    patience = time.monotonic() + 120
    while any(map(running, workers)):
        assert time.monotonic() < patience
        time.sleep(0.05)
