"""The real process of ``./run streamer`` against the real process of the exchange."""

from __future__ import annotations

import signal
from pathlib import Path

from streamer_process import PATIENCE, exchange, process

from local.eventlog import EventLog
from shared.clock import SystemClock
from shared.market.events import decode
from shared.market.timeframe import MINUTE_MS


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
