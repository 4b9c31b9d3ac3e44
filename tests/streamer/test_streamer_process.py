"""The real process of ``./run streamer`` against the real process of the exchange."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.eventlog import EventLog
from shared.clock import SystemClock
from shared.market.events import decode
from shared.market.timeframe import MINUTE_MS

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


def test_a_terminated_streamer_has_written_what_it_took(tmp_path: Path) -> None:
    # Two minutes of the exchange in a second: candles close while the process runs.
    options = ("--speed", "120", "--symbols", "BTCUSDT,ETHUSDT", "--start", "2025-05-05T00:00:30")
    with exchange(tmp_path, *options) as url:
        arguments = ("--exchange", url, "--state", str(tmp_path), "--timeframes", "1m")
        with process("local.cli", "streamer", *arguments) as running:
            assert running.stdout is not None
            shown = [running.stdout.readline() for _ in range(12)]
            running.send_signal(signal.SIGTERM)
            out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, err
    assert "health at http://127.0.0.1:" in err
    lines = [*shown, *out.splitlines()]
    events = [line.partition(" ")[2].strip() for line in lines if line.strip()]
    assert {line.partition(" ")[0] for line in lines if line.strip()} == {"market"}
    log = EventLog(tmp_path / "streamer.db", clock=SystemClock())
    stored = [e.body.decode() for p in range(2) for e in log.read_from("market", p, 0, 100_000)]
    log.close()
    # What was shown was stored, and each symbol's candles follow one another.
    assert sorted(stored) == sorted(events)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        times = [c.open_time for c in map(decode, map(str.encode, stored)) if c.symbol == symbol]
        assert len(times) >= 2
        assert times == list(range(times[0], times[-1] + 1, MINUTE_MS))


def test_wrong_settings_are_told_and_nothing_is_started(tmp_path: Path) -> None:
    with process(
        "local.cli",
        "streamer",
        "--state",
        str(tmp_path),
        "--streams",
        "klines,trades",
        "--timeframes",
        "7m",
    ) as running:
        _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 2
    assert "STREAMER_STREAMS" in err
    assert "TIMEFRAMES" in err
    assert not (tmp_path / "streamer.db").exists()
