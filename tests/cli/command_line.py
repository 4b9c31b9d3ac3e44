"""Runs the command line as people do: a process in some folder."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import requests

ROOT = Path(__file__).resolve().parents[2]
#: Real seconds after which something is broken, however slow the machine.
PATIENCE = 120

T = TypeVar("T")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command to its end, in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "local.cli", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a refused command says; exit code 2, no stack trace."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, lines
    return lines[0]


class Live:
    """A live run in the background."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.state = folder / ".local"
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local.cli", "--plain", *arguments],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def wait_for(self, condition: Callable[[], T]) -> T:
        """The first true value of a condition; fails when the run ends before."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError("it did not happen; the run said:\n" + "\n".join(self.lines))

    def wait_for_line(self, text: str, after: int = 0) -> str:
        """The first line with this text."""
        return self.wait_for(lambda: next((x for x in self.lines[after:] if text in x), ""))

    def announced(self) -> dict[str, Any]:
        """Addresses and key of the run."""

        def read() -> dict[str, Any]:
            try:
                found: dict[str, Any] = json.loads((self.state / "run.json").read_text())
            except (OSError, ValueError):
                return {}
            return found if found.get("pid") == self.process.pid else {}

        return self.wait_for(read)

    def api(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """A request to the run's own HTTP interface."""
        run_ = self.announced()
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method,
                f"{run_['url']}/api/{path}",
                headers={"x-functions-key": run_["key"]},
                timeout=60,
                **kwargs,
            )

    def open_positions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api("GET", "positions").json()["positions"]
        return found

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def kill(self) -> None:
        """As `kill -9`: nothing can be saved any more."""
        self.process.kill()
        self.end()

    def end(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def close(self) -> None:
        """For a test's end: leave nothing running."""
        if self.process.poll() is None:
            self.process.kill()
        self.end()


class Books:
    """The exchange's own state file: orders, conditional orders and positions as it has them."""

    def __init__(self, state: Path) -> None:
        connection = sqlite3.connect(f"file:{state / 'exchange.db'}?mode=ro", uri=True)
        try:
            rows = connection.execute("SELECT kind, body FROM record").fetchall()
        finally:
            connection.close()
        self._records = [(kind, json.loads(body)) for kind, body in rows]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [body for k, body in self._records if k == kind]

    @property
    def held(self) -> dict[str, str]:
        """Quantity by symbol of what is open."""
        return {
            p["symbol"]: p["quantity"] for p in self.of("position") if float(p["quantity"]) != 0
        }

    @property
    def entries(self) -> list[str]:
        """Client ids of the orders that added exposure."""
        return [o["client_order_id"] for o in self.of("order") if not o["reduce_only"]]

    @property
    def live_stops(self) -> list[dict[str, Any]]:
        return [a for a in self.of("algo") if a["type"] == "STOP_MARKET" and a["status"] == "NEW"]
