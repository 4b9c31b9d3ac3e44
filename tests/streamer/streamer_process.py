"""Processes of the tests: the simulated exchange, and whatever is run against it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


@contextmanager
def exchange(folder: Path, *options: str) -> Iterator[str]:
    """The exchange as a process; yields its address."""
    file = folder / "address.json"
    with process("local.exchange", "--port", "0", "--address-file", str(file), *options) as running:
        deadline = time.monotonic() + PATIENCE
        while not file.exists():
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield json.loads(file.read_text())["url"]
