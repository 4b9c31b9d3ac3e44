"""`./run replay`, `explain` and `audit` as commands: results, exit codes, every bad input."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.cosmos import missing_because
from tests.cli.command_line import ROOT, refused, run

MARKET = ROOT.parent / "shared" / "market"
SPAN = ("--from", "2025-05-04T01:30", "--to", "2025-05-04T03:00")
REPLAY = ("replay", "--synthetic", *SPAN, "--set", "TIMEFRAMES=1m", "--quiet")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a short replay has run into ``first``."""
    folder = tmp_path_factory.mktemp("replayed")
    done = run(folder, *REPLAY, "--out", "first")
    assert done.returncode == 0, done.stderr + done.stdout
    return folder


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("replay",),
        ("explain",),
        ("audit",),
        ("audit", "verify"),
        ("audit", "export"),
        ("status",),
        ("stop",),
        ("arm",),
    ],
)
def test_every_command_explains_itself(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = run(tmp_path, *command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ./run")
    assert "Traceback" not in done.stderr


def test_a_replay_leaves_all_its_results(replayed: Path) -> None:
    out = replayed / "first"
    figures = summary(out)
    kinds = [r.get("kind") for r in records(out / "audit.jsonl")]
    assert figures["decisions"] == {"approved": 1, "declined": 1}
    assert kinds.count("decision") == 2
    assert figures["audit_verified"]
    assert figures["violations"] == []
    assert figures["invariants"]["1"]["checked"] > 0
    assert figures["orders"]["entry"] == 1
    page = (out / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert figures["audit_head"] in page
    assert (out / "replay.log").exists()


def test_the_same_inputs_and_seed_give_the_same_bytes(replayed: Path) -> None:
    assert run(replayed, *REPLAY, "--out", "second").returncode == 0
    first, second = replayed / "first", replayed / "second"
    assert (first / "audit.jsonl").read_bytes() == (second / "audit.jsonl").read_bytes()
    one, two = summary(first), summary(second)
    assert one.pop("wall_seconds") > 0
    assert two.pop("wall_seconds") > 0
    assert one == two


def test_another_seed_is_another_market(replayed: Path) -> None:
    done = run(replayed, *REPLAY, "--seed", "8", "--out", "other")
    assert done.returncode == 0
    assert (replayed / "other" / "audit.jsonl").read_bytes() != (
        replayed / "first" / "audit.jsonl"
    ).read_bytes()


@pytest.mark.cosmos
@pytest.mark.xdist_group("cosmos")
def test_on_cosmos_db_the_decisions_are_the_same_to_the_byte(replayed: Path) -> None:
    reason = missing_because()
    if reason is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    # From before the entry until the position is open and protected: the server is slow.
    short = ("--from", "2025-05-04T01:53", "--to", "2025-05-04T02:03")
    for store in ("sqlite", "cosmos"):
        done = run(replayed, *REPLAY, *short, "--store", store, "--out", store)
        assert done.returncode == 0, done.stderr + done.stdout
    sqlite, cosmos = replayed / "sqlite", replayed / "cosmos"
    assert (cosmos / "audit.jsonl").read_bytes() == (sqlite / "audit.jsonl").read_bytes()
    one, two = summary(sqlite), summary(cosmos)
    assert one["decisions"] == {"approved": 1, "declined": 1}
    assert one["open_positions"] == 1
    del one["wall_seconds"], two["wall_seconds"]
    assert one == two


@pytest.mark.skipif(not MARKET.is_dir(), reason="the market data is not here")
def test_a_day_of_real_candles(tmp_path: Path) -> None:
    span = ("--from", "2025-05-10", "--to", "2025-05-10T06:00")
    done = run(tmp_path, "replay", "--data", str(MARKET), *span, "--out", "out", "--quiet")
    assert done.returncode == 0, done.stderr + done.stdout
    figures = summary(tmp_path / "out")
    # Of each symbol the bars that close in [00:00, 06:00]: 73 of five minutes and 7 of an hour.
    assert figures["signals"] == 2 * (73 + 7)
    assert figures["audit_verified"]


# ---------------------------------------------------------------------- bad input


def candles(folder: Path, name: str, rows: list[str], header: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(
        "\n".join([header or "open_time,open,high,low,close,volume", *rows]) + "\n"
    )
    return folder


def minutes(count: int, without: int = -1) -> list[str]:
    start = 1_746_316_800_000  # 2025-05-04
    return [f"{start + n * 60_000},100,101,99,100,5" for n in range(count) if n != without]


DAY = ("--from", "2025-05-04", "--to", "2025-05-04")


def data(folder: Path, symbols: str = "BTCUSDT", span: tuple[str, ...] = DAY) -> str:
    arguments = ("replay", "--data", str(folder), "--symbols", symbols, *span, "--out", "out")
    return refused(run(folder.parent, *arguments, "--quiet"))


def test_data_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    assert "nowhere" in data(tmp_path / "nowhere")
    good = candles(tmp_path / "good", "BTCUSDT-1m.csv", minutes(1440))
    assert "DOGEUSDT" in data(good, "DOGEUSDT")
    assert "ETHUSDT" in data(good, "BTCUSDT,ETHUSDT")
    assert "2025-05-0" in data(good, span=("--from", "2026-01-01", "--to", "2026-01-02"))
    no_close = candles(
        tmp_path / "column", "BTCUSDT-1m.csv", minutes(1440), "open_time,open,high,low,shut,volume"
    )
    assert "close" in data(no_close)
    gap = candles(tmp_path / "gap", "BTCUSDT-1m.csv", minutes(1440, without=700))
    assert "2025-05-04T11:40" in data(gap)
    text = candles(tmp_path / "text", "BTCUSDT-1m.csv", ["a,b,c,d,e,f"])
    assert "BTCUSDT-1m.csv" in data(text)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "BTCUSDT-1m.parquet").write_bytes(b"not parquet")
    assert "BTCUSDT-1m.parquet" in data(tmp_path / "broken")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--from", "2025-05-06", "--to", "2025-05-04"), "swap them"),
        ((*DAY, "--set", "TIMEFRAMES"), "NAME=VALUE"),
        ((*DAY, "--set", "TIMEFRAME=1m"), "no such setting"),
        ((*DAY, "--set", "BINANCE_ENVIRONMENT=production"), "no such setting"),
        ((*DAY, "--out", "a-file/out"), "a-file/out"),
        ((*DAY, "--out", "a-file"), "a-file"),
        ((*DAY, "--store", "cosmos", "--cosmos", "ftp://x"), "https://"),
    ],
)
def test_a_replay_that_cannot_be_is_refused_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    (tmp_path / "a-file").write_text("")
    done = run(tmp_path, "replay", "--synthetic", "--quiet", "--out", "out", *arguments)
    assert says in refused(done)


def test_wrong_settings_are_all_named_at_once(tmp_path: Path) -> None:
    wrong = ("TIMEFRAMES=7m", "MAX_LEVERAGE=125", "RISK_PER_TRADE=NaN")
    chosen = [x for pair in wrong for x in ("--set", pair)]
    done = run(tmp_path, "replay", "--synthetic", *DAY, "--out", "out", "--quiet", *chosen)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("  - ")]
    assert [line.split()[1] for line in told] == [pair.partition("=")[0] for pair in wrong]


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "--synthetic", "--from", "yesterday", "--to", "2025-05-04", "--out", "o"),
        ("replay", "--synthetic", "--data", "x", *DAY, "--out", "o"),
        ("replay", *DAY, "--out", "o"),
        ("replay", "--synthetic", *DAY),
        ("replay", "--synthetic", *DAY, "--out", "o", "--symbols", ","),
        ("replay", "--synthetic", *DAY, "--out", "o", "--store", "oracle"),
        ("explain",),
        ("audit",),
        ("arm",),
        ("fly",),
    ],
)
def test_a_command_line_that_makes_no_sense_shows_the_usage(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert "usage: ./run" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("status",), "nothing runs"),
        (("stop",), "nothing runs"),
        (("arm", "--reason", "because I looked"), "nothing runs"),
        (("explain", "BTCUSDT-5m-1-v1"), "holds no run"),
        (("audit", "verify"), "holds no run"),
        (("audit", "export", "--file", "x"), "holds no run"),
        (("audit", "verify", "--file", "nowhere.jsonl"), "nowhere.jsonl"),
        (("explain", "x", "--audit", "nowhere.jsonl"), "nowhere.jsonl"),
        (("--speed", "0"), "0.1 to 10000"),
        (("--speed", "nan"), "0.1 to 10000"),
        (("--seconds", "-1"), "above 0"),
        (("--state", "a-file/state"), "a-file/state"),
    ],
)
def test_a_command_without_what_it_needs_says_so(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    (tmp_path / "a-file").write_text("")
    assert says in refused(run(tmp_path, *arguments))


# ---------------------------------------------------------------------- explain and audit


def decision(replayed: Path, outcome: str) -> str:
    found: str = next(
        r["correlation"]
        for r in records(replayed / "first" / "audit.jsonl")
        if r.get("kind") == "decision" and r["body"]["decision"]["outcome"] == outcome
    )
    return found


def explain(replayed: Path, id_: str, file: Path) -> subprocess.CompletedProcess[str]:
    return run(replayed, "explain", id_, "--audit", str(file))


@pytest.mark.parametrize("outcome", ["approved", "declined"])
def test_a_decision_is_explained_and_recomputed(replayed: Path, outcome: str) -> None:
    id_ = decision(replayed, outcome)
    done = explain(replayed, id_, replayed / "first" / "audit.jsonl")
    assert done.returncode == 0, done.stderr
    assert "identical" in done.stdout
    assert outcome in done.stdout
    assert "votes" in done.stdout
    assert ("plan: " in done.stdout) == (outcome == "approved")
    assert ("declined: " in done.stdout) == (outcome == "declined")


def test_an_unknown_decision_is_not_found(replayed: Path) -> None:
    done = explain(replayed, "BTCUSDT-1m-1-v1", replayed / "first" / "audit.jsonl")
    assert "no decision" in refused(done)


def test_a_record_that_was_changed_is_found_out(replayed: Path) -> None:
    id_ = decision(replayed, "approved")
    log = replayed / "first" / "audit.jsonl"
    lines = log.read_text().splitlines()
    at = next(
        n
        for n, line in enumerate(lines)
        if (r := json.loads(line)).get("kind") == "decision" and r["correlation"] == id_
    )
    record = json.loads(lines[at])
    record["body"]["decision"]["plan"]["quantity"] = "9.999"
    changed = replayed / "changed.jsonl"
    changed.write_text("\n".join([*lines[:at], json.dumps(record), *lines[at + 1 :]]) + "\n")
    told = explain(replayed, id_, changed)
    assert told.returncode == 1
    assert "DIFFERENT" in told.stdout
    verified = run(replayed, "audit", "verify", "--file", str(changed))
    assert verified.returncode == 1
    assert "does NOT verify" in verified.stdout
    del record["body"]["inputs"]["signal"]
    changed.write_text("\n".join([*lines[:at], json.dumps(record), *lines[at + 1 :]]) + "\n")
    assert "not what was written" in refused(explain(replayed, id_, changed))
    changed.write_text("garbage\n")
    assert "line 1" in refused(explain(replayed, id_, changed))


def test_an_exported_log_verifies_and_a_shortened_one_does_not(replayed: Path) -> None:
    log = replayed / "first" / "audit.jsonl"
    done = run(replayed, "audit", "verify", "--file", str(log))
    assert (done.returncode, "The chain verifies" in done.stdout) == (0, True)
    lines = log.read_text().splitlines()
    shorter = replayed / "shorter.jsonl"
    shorter.write_text("\n".join(lines[:5] + lines[6:]) + "\n")
    assert run(replayed, "audit", "verify", "--file", str(shorter)).returncode == 1
