"""What the command line says to a mistake: where it is, and what to write instead."""

from __future__ import annotations

import argparse
import json
import socket
import time
from pathlib import Path

import pytest

from local.cli import drift, live, risk, stop
from local.cli.main import main
from local.cli.open_state import call
from shared.errors import ConfigurationError
from shared.security.secrets import EnvironmentSecrets
from tests.opinions.remote_server import Reply, remote

#: Arguments with FILE for a file of the given content (None: there is none), what is said.
MISTAKES = {
    "no such command": (["frobnicate"], None, "argument COMMAND: invalid choice: 'frobnicate'"),
    "no such settings": (
        ["acceptance", "--venue", "demo", "--settings", "FILE"],
        None,
        "FILE: No such file or directory",
    ),
    "settings that are no JSON": (
        ["acceptance", "--venue", "demo", "--settings", "FILE"],
        b'{"Values": {\n  "BINANCE_API_KEY": secret\n}}',
        "FILE is no JSON: line 2, column 22",
    ),
    "settings without values": (
        ["acceptance", "--venue", "demo", "--settings", "FILE"],
        b"[]",
        'FILE holds no settings: no object "Values"',
    ),
    "a move that is no number": (
        ["risk", "--shock", "BTCUSDT=abc"],
        None,
        "'BTCUSDT=abc': 'abc' is no number; write BTCUSDT=-0.2",
    ),
    "a move that is none": (["risk", "--shock", "market=nan"], None, "'nan' is no number"),
    "a port that is none": (["--port", "70000"], None, "--port 70000 cannot be used: no port"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named(
    mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, content, says = MISTAKES[mistake]
    file = tmp_path / "file.json"
    if content is not None:
        file.write_bytes(content)
    given = [a.replace("FILE", str(file)) for a in arguments]
    try:
        code = main(given)
    except SystemExit as ended:
        code = int(ended.code or 0)
    said = capsys.readouterr().err
    assert code == 2
    assert says.replace("FILE", str(file)) in said
    assert "secret" not in said, "a file of settings may hold a key"


@pytest.mark.parametrize("option", ["--port", "--page-port"])
def test_a_port_that_was_asked_for_and_is_taken_is_refused(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        state = tmp_path / "state"
        code = main(["--plain", "--state", str(state), option, str(port)])
    assert code == 2
    assert f"{option} {port} cannot be used: Address already in use" in capsys.readouterr().err
    assert not state.exists(), "nothing was begun"


def test_where_a_secret_is_missing_it_is_said_where_to_set_it() -> None:
    with pytest.raises(ConfigurationError, match=r"set LLM_API_KEY in the environment before"):
        EnvironmentSecrets({}).get("llm-api-key")


def test_no_report_of_drift_is_told_with_the_days(capsys: pytest.CaptureFixture[str]) -> None:
    drift.tell([])
    assert capsys.readouterr().out == f"no model was judged in the last {drift.LISTED_DAYS} days\n"


def test_a_price_under_stress_has_the_digits_of_a_price(capsys: pytest.CaptureFixture[str]) -> None:
    position = {
        "symbol": "BTCUSDT", "shock": "-0.5", "shockFrom": "market", "outcome": "stopped",
        "price": "49750.123456789012345678", "pnl": "-12.3456",
    }  # fmt: skip
    result = {
        "id": "crash", "approximate": False, "pnl": "-12.3", "pnlOfEquity": -0.01,
        "pnlWithoutStops": "-20", "equityAfter": "4900", "liquidated": [],
        "liquidatedWithoutStops": [], "limits": [], "positions": [position],
    }  # fmt: skip
    risk.tell_stress(
        {"account": "main", "venue": "simulated", "equity": "5000", "stopGap": "0.5",
         "results": [result], "notes": []}
    )  # fmt: skip
    assert "stopped at 49750.123, -12.35 USDT" in capsys.readouterr().out


def test_a_drill_tells_no_simulated_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clock of ``./run`` stands still while it works: "0 ms" would be of no clock at all."""
    step = {"name": "latch", "ok": True, "detail": "went through", "milliseconds": 0}
    answer = (200, {"steps": [step], "passed": True, "milliseconds": 0})
    monkeypatch.setattr(stop, "call", lambda *args, **kwargs: answer)
    assert stop.run(argparse.Namespace(drill=True, state=None, reason="")) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.split() == ["ok", "latch", "went", "through"]
    assert last.startswith("drill passed, answered after ")


def alert(id_: str, kind: str, severity: str, title: str) -> dict[str, str]:
    time = "2026-01-05T02:08:02.029Z"
    return {
        "id": id_,
        "kind": kind,
        "severity": severity,
        "title": title,
        "text": "t",
        "time": time,
    }


def test_lines_tell_a_latch_once_and_when_the_account_is_flat() -> None:
    latched = alert("a", "kill-switch", "critical", "Kill switch latched: manual")
    other = alert("b", "position-opened", "info", "BUY 1")
    flat = alert("c", "emergency-flat", "info", "Emergency stop: the account is flat")
    shown: set[str] = set()
    assert live._news({"alerts": {"alerts": [other, latched]}}, shown) == [
        "2026-01-05T02:08:02 ALERT Kill switch latched: manual: t"
    ]
    # The newest come first in the answer, and last in the lines.
    assert live._news({"alerts": {"alerts": [flat, other, latched]}}, shown) == [
        "2026-01-05T02:08:02 ALERT Emergency stop: the account is flat: t"
    ]
    assert live._news({"alerts": None}, shown) == []


def test_who_only_reads_waits_where_the_application_says_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with remote() as served:
        (tmp_path / "run.json").write_text(json.dumps({"url": served.url, "key": "a key"}))
        later = Reply({"error": {"message": "rate budget for view is used up"}}, 429)
        later.headers["Retry-After"] = "1"
        served.will(later, Reply({"equity": "5000"}))
        began = time.monotonic()
        assert call(tmp_path, "GET", "risk", waits=True) == (200, {"equity": "5000"})
        assert time.monotonic() - began >= 1
        assert "asking again in 1 s" in capsys.readouterr().err
        # Whoever acts is told at once, and so is who has waited.
        served.will(later)
        assert call(tmp_path, "POST", "emergency-stop")[0] == 429
        served.will(later, later)
        assert call(tmp_path, "GET", "risk", waits=True)[0] == 429
        assert len(served.seen) == 5
