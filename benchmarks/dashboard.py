"""The dashboard of a running ``./run``: from the address to its figures, and what it asks for.

Every load is a tab that shares nothing with the others, so nothing is cached. Without Chromium only
the answers are measured. No cold start of a function is in these figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure, Size, percentile
from local.browser import CHROMIUM, Browser, wait_for

ROOT = Path(__file__).resolve().parent.parent
LOADS: dict[Size, int] = {"full": 20, "quick": 3, "tiny": 1}
REQUESTS: dict[Size, int] = {"full": 200, "quick": 20, "tiny": 3}
GOAL_MS = 2_000.0
#: A connection over some distance: round trip in milliseconds, bytes a second.
ROUND_TRIP_MS = 100
BYTES_A_SECOND = 1_250_000


def measure(size: Size) -> list[Figure]:
    """Loads and answers, wall time."""
    with tempfile.TemporaryDirectory() as folder, _running(Path(folder)) as run:
        answers = _answers(run, REQUESTS[size])
        figures = [
            Figure(
                name="`GET /api/dashboard`, p50",
                value=percentile(answers, 0.5),
                unit="ms",
                goal=100,
                note=f"p95 {percentile(answers, 0.95):.0f} ms",
            ),
            Figure(name="its files as sent", value=_sent(run) / 1000, unit="kB"),
        ]
        if CHROMIUM is None:
            return figures
        for name, far in (
            ("dashboard, from its address to its figures, p95", False),
            (f"the same over {ROUND_TRIP_MS} ms and 10 Mbit/s", True),
        ):
            loads, work = _loads(run, LOADS[size], Path(folder) / str(far), far=far)
            middle, slowest = percentile(loads, 0.5), max(loads)
            figures.append(
                Figure(
                    name=name,
                    value=percentile(loads, 0.95),
                    unit="ms",
                    goal=GOAL_MS,
                    note=f"p50 {middle:.0f} ms, slowest {slowest:.0f} ms of {len(loads)}; "
                    f"main thread p50 {percentile(work, 0.5):.0f} ms of processor time",
                )
            )
    return figures


@contextmanager
def _running(folder: Path) -> Iterator[dict[str, Any]]:
    """A live run of the command line; its addresses."""
    command = [sys.executable, "-m", "local.cli", "--plain", "--port", "0", "--page-port", "0"]
    process = subprocess.Popen(
        [*command, "--speed", "1", "--state", str(folder / "state")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield wait_for(lambda: _announced(folder / "state" / "run.json"))
    finally:
        process.kill()
        process.wait()


def _announced(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found


def _answers(run: dict[str, Any], count: int) -> list[float]:
    """Milliseconds of each answer, one request after the other."""
    import requests

    taken = []
    with requests.Session() as session:
        session.trust_env = False
        session.headers["x-functions-key"] = run["key"]
        for _ in range(count):
            began = time.perf_counter()
            session.get(f"{run['url']}/api/dashboard", timeout=30).raise_for_status()
            taken.append((time.perf_counter() - began) * 1000)
    return taken


def _sent(run: dict[str, Any]) -> float:
    """Bytes of all files as a browser gets them."""
    import requests

    from functions.web import FILES

    total = 0
    with requests.Session() as session:
        session.trust_env = False
        for name in FILES:
            with session.get(f"{run['url']}/api/ui/{name}", stream=True, timeout=30) as answer:
                total += len(answer.raw.read(decode_content=False))
    return total


def _loads(
    run: dict[str, Any], count: int, folder: Path, *, far: bool
) -> tuple[list[float], list[float]]:
    """From the navigation to the first figures, as the page itself marks them, milliseconds.

    Returns
    -------
    tuple of list
        Wall time of each load, and processor time of the browser's main thread.
    """
    folder.mkdir()
    browser = Browser(folder)
    taken, work = [], []
    try:
        for _ in range(count):
            page = browser.page()
            if far:
                page.command(
                    "Network.emulateNetworkConditions",
                    offline=False,
                    latency=ROUND_TRIP_MS,
                    downloadThroughput=BYTES_A_SECOND,
                    uploadThroughput=BYTES_A_SECOND,
                )
            page.command("Performance.enable", timeDomain="threadTicks")
            page.open(run["page"])
            mark = "performance.getEntriesByName('figures')[0]?.startTime"
            taken.append(float(page.wait(mark)))
            metrics = page.command("Performance.getMetrics")["metrics"]
            work.append(1000 * next(m["value"] for m in metrics if m["name"] == "TaskDuration"))
            page.close()
    finally:
        browser.close()
    return taken, work
