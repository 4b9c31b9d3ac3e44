"""The real process of ``./run streamer`` against the real process of the exchange."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections import Counter
from pathlib import Path

from streamer_process import PATIENCE, exchange, process

from local.eventlog import EventLog
from shared.clock import SystemClock
from shared.market.events import decode
from shared.market.timeframe import MINUTE_MS
from tests.cli.command_line import Live


def test_a_terminated_streamer_has_written_what_it_took(tmp_path: Path) -> None:
    # Two minutes of the exchange in a second: candles close while the process runs.
    options = ("--speed", "120", "--symbols", "BTCUSDT,ETHUSDT", "--start", "2025-05-05T00:00:30")
    with exchange(tmp_path, *options) as url:
        arguments = ("--exchange", url, "--state", str(tmp_path), "--timeframes", "1m")
        with process("local.cli", "streamer", *arguments) as running:
            assert running.stdout is not None
            assert running.stderr is not None
            shown: list[str] = []
            while any(sum(s in line for line in shown) < 3 for s in ("BTCUSDT", "ETHUSDT")):
                shown.append(running.stdout.readline())
                assert shown[-1], shown
            running.send_signal(signal.SIGTERM)
            # Not communicate(): it would pass over what readline() has read ahead.
            out, err = running.stdout.read(), running.stderr.read()
            assert running.wait(PATIENCE) == 0, err
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


def test_a_candle_from_timer_and_streamer_is_one_candle_to_the_application(tmp_path: Path) -> None:
    live = Live(tmp_path, "--streamer", "--speed", "120", "--port", "0", "--page-port", "0")
    try:
        live.wait_for_line(" closed ")
        assert live.interrupt() == 0
    finally:
        live.close()
    log = EventLog(live.state / "events.db", clock=SystemClock())
    events = [e for p in range(2) for e in log.read_from("market", p, 0, 100_000)]
    opened = [
        json.loads(e.body)
        for p in range(2)
        for e in log.read_from("executions", p, 0, 1000)
        if json.loads(e.body)["type"] == "opened"
    ]
    log.close()
    # The streamer's carry their symbol as the key, the timer's none; the bodies are the same.
    streamed = [e.body for e in events if e.partition_key]
    polled = [e.body for e in events if e.partition_key is None]
    assert len(set(streamed)) == len(streamed)
    assert len(set(polled) & set(streamed)) > 10
    # What only one of them told of lies at the ends: what the start caught up, what came last.
    newest = min(max(decode(b).open_time for b in x) for x in (polled, streamed))
    oldest = min(decode(b).open_time for b in polled)
    between = [b for b in polled if oldest <= decode(b).open_time <= newest]
    assert set(between) <= set(streamed)
    # One decision for each candle that acts, and no event that could not be processed.
    assert opened
    assert max(Counter(o["decisionId"] for o in opened).values()) == 1
    with sqlite3.connect(live.state / "state.db") as state:
        assert state.execute("SELECT COUNT(*) FROM deadletter").fetchone() == (0,)
    state.close()
