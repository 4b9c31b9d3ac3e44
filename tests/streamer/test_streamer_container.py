"""The process of the container: its files, its packages, the real Event Hubs client.

The image itself is not built here. What its Dockerfile copies and installs is put into a folder
and an environment of their own, and its entry point is run there, against the simulated exchange
and an AMQP 1.0 server (rhea, from npm) in the place of Event Hubs.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from streamer_process import PATIENCE, exchange

from shared.market.events import decode
from shared.market.timeframe import MINUTE_MS

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "streamer" / "Dockerfile"
HOME = ROOT / ".venv-streamer"
SERVER = Path(__file__).parent / "amqp-server"

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("streamer-container")]


def without(what: str) -> None:
    """Stop a test that lacks a tool: a failure in CI, where nothing may be left out."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def instructions(name: str) -> list[list[str]]:
    """Arguments of every such instruction of the Dockerfile."""
    lines = DOCKERFILE.read_text().replace("\\\n", " ").splitlines()
    return [line.split()[1:] for line in lines if line.split()[:1] == [name]]


@pytest.fixture(scope="session")
def python() -> Path:
    """An interpreter with the packages of the container and no other."""
    program = HOME / "bin" / "python"
    wanted = (ROOT / "streamer/requirements.txt").read_text() + str(sys.version_info[:2])
    stamp = HOME / "installed"
    if not program.exists() or not stamp.exists() or stamp.read_text() != wanted:
        venv.create(HOME, clear=True, with_pip=True)
        (HOME / ".gitignore").write_text("*\n")
        done = subprocess.run(
            [program, "-m", "pip", "install", "-q", "-r", ROOT / "streamer/requirements.txt"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            without(f"the streamer's packages cannot be installed: {done.stderr[-500:]}")
        stamp.write_text(wanted)
    return program


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the container, as the Dockerfile fills it."""
    folder = tmp_path_factory.mktemp("app")
    for source, target in instructions("COPY"):
        if (ROOT / source).is_dir():
            shutil.copytree(
                ROOT / source,
                folder / target,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        else:
            (folder / target).mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, folder / target)
    return folder


class Hubs:
    """The AMQP server: what it has taken, and what it shall do with what comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self.batches: list[dict[str, Any]] = []
        self.tokens: list[dict[str, Any]] = []
        assert process.stdout is not None
        self.port = int(process.stdout.readline())
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def connection_string(self) -> str:
        return (
            f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName=k;"
            "SharedAccessKey=a2V5;UseDevelopmentEmulator=true;"
        )

    def bodies(self) -> list[str]:
        return [body for batch in self.batches for body in batch["bodies"]]

    def order(self, command: str) -> None:
        """Send a command and wait until it is in force."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        self.until(lambda said: said.get("done") == command)

    def until(self, happened: Callable[[dict[str, Any]], bool]) -> None:
        """Wait for something the server says."""
        deadline = time.monotonic() + PATIENCE
        while True:
            said = self._said.get(timeout=max(0.0, deadline - time.monotonic()))
            if "hub" in said:
                self.batches.append(said)
            elif "token" in said:
                self.tokens.append(said)
            if happened(said):
                return

    def drain(self) -> None:
        """Take in what was said so far."""
        self.order("nothing")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(json.loads(line))


@pytest.fixture(scope="session")
def amqp() -> Path:
    """The AMQP server, installed once."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            without(f"Node.js is not installed ({tool} is not on the path)")
    if not (SERVER / "node_modules" / "rhea").exists():
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=SERVER,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            without(f"the AMQP server cannot be installed from npm: {done.stderr[-300:]}")
    return SERVER


@pytest.fixture
def hubs(amqp: Path) -> Iterator[Hubs]:
    process = subprocess.Popen(
        ["node", "serve.js"],
        cwd=amqp,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Hubs(process)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def container(python: Path, app: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The entry point of the image, in its folder, with its packages and this environment."""
    (entry,) = instructions("ENTRYPOINT")
    command = json.loads(" ".join(entry))
    assert command[0] == "python"
    process = subprocess.Popen(
        [str(python), *command[1:]],
        cwd=app,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_candles_reach_event_hubs_through_lost_connections_and_lost_answers(
    python: Path, app: Path, hubs: Hubs, tmp_path: Path
) -> None:
    options = ("--speed", "60", "--symbols", "BTCUSDT,ETHUSDT", "--start", "2025-05-05T00:00:30")
    with (
        exchange(tmp_path, *options) as url,
        container(
            python,
            app,
            BINANCE_ENVIRONMENT="simulated",
            BINANCE_BASE_URL=url,
            EventHubConnection=hubs.connection_string,
            SYMBOLS="BTCUSDT,ETHUSDT",
            TIMEFRAMES="1m",
            STREAMER_HEALTH_PORT=str(free_port()),
        ) as process,
    ):
        hubs.until(lambda said: len(hubs.bodies()) >= 4)
        # Taken, and never said so: it comes again.
        hubs.order("forget 1")
        hubs.until(lambda said: len(hubs.bodies()) != len(set(hubs.bodies())))
        # Never taken, and the connection breaks each time.
        hubs.order("lose 2")
        taken = len(hubs.bodies())
        hubs.until(lambda said: len(hubs.bodies()) >= taken + 4)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
        hubs.drain()
    assert process.returncode == 0, out + err
    assert err == ""
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[-1]["message"] == "stopped; 0 events were not sent"
    assert not [line for line in lines if "a2V5" in json.dumps(line)]
    assert {b["hub"] for b in hubs.batches} == {"market"}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        mine = [b for b in hubs.batches if b["key"] == symbol]
        candles = [decode(body.encode()) for b in mine for body in b["bodies"]]
        assert {c.symbol for c in candles} == {symbol}
        times = list(dict.fromkeys(c.open_time for c in candles))
        assert times == list(range(times[0], times[-1] + 1, MINUTE_MS))
    sent = lines[-1]["figures"]["counts"]["sent.market"]
    assert sent >= len(set(hubs.bodies()))


def test_wrong_settings_are_told_as_json_and_end_the_container(python: Path, app: Path) -> None:
    with container(python, app, BINANCE_ENVIRONMENT="demo", TIMEFRAMES="7m") as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (2, "")
    told = [json.loads(line)["message"] for line in out.splitlines()]
    assert any(t.startswith("TIMEFRAMES is '7m'") for t in told)
    assert any("fullyQualifiedNamespace is empty" in t for t in told)


def test_the_container_is_small_and_runs_as_nobody() -> None:
    ((user,),) = instructions("USER")
    assert user not in ("root", "0", "0:0")
    assert [source for source, _ in instructions("COPY")] == [
        "streamer/requirements.txt",
        "shared",
        "streamer",
    ]
    # What is copied is what is let into the build, and nothing is else.
    let_in = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert let_in == ["shared", "streamer"]


def test_packages_are_the_versions_of_the_application() -> None:
    """The same candle must be the same bytes, whoever writes it."""

    def pins(name: str) -> dict[str, str]:
        found = re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / name).read_text(), re.MULTILINE)
        return dict(found)

    ours = pins("streamer/requirements.txt")
    theirs = pins("requirements.txt") | pins("requirements-dev.txt")
    assert {n: v for n, v in ours.items() if n in theirs} == {
        n: theirs[n] for n in ours if n in theirs
    }
    assert {"msgspec", "aiohttp", "azure-identity"} <= set(ours) & set(theirs)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
