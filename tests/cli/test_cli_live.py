"""`./run`: a live run as a process, with everything that may happen to it."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from local.live.exchange import START_MS
from tests.cli.command_line import Books, Live, refused, run

pytestmark = pytest.mark.xdist_group("live")

#: Faster than to watch; nothing is late in simulated time, however slow the machine.
FAST = ("--speed", "240", "--port", "0", "--page-port", "0")
SLOW = ("--speed", "1", "--port", "0", "--page-port", "0")

Start = Callable[..., Live]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts live runs in the test's folder; none outlives the test."""
    runs: list[Live] = []

    def begin(*arguments: str) -> Live:
        runs.append(Live(tmp_path, *arguments))
        return runs[-1]

    yield begin
    for one in runs:
        one.close()


def test_a_live_run_trades_shows_itself_and_ends_cleanly(start: Start, tmp_path: Path) -> None:
    live = start(*FAST)
    closed = live.wait_for_line(" closed ")
    # At the usual speed a simulated minute is a second: the first complete trade within 30 s.
    began = datetime.fromtimestamp(START_MS / 1000, UTC).replace(tzinfo=None)
    assert datetime.fromisoformat(closed.split()[0]) - began < timedelta(minutes=25)
    assert any(" opened " in line for line in live.lines)

    # Two applications on one account would trade it twice.
    for arguments in ((), ("--fresh",)):
        assert "another ./run" in refused(run(tmp_path, *arguments, *FAST))

    status = run(tmp_path, "status")
    assert (status.returncode, "armed" in status.stdout) == (0, True), status.stderr
    figures = json.loads(run(tmp_path, "status", "--json").stdout)
    assert figures["health"]["status"] == "ok"
    assert figures["trades"]["trades"]

    # The page of the application on its port; it opens no more than the port of the functions.
    page, _, key = live.announced()["page"].partition("#key=")
    assert any(f"page {page}#key={key}" in line for line in live.lines)
    with requests.Session() as session:
        session.trust_env = False
        shown = session.get(page, timeout=60)
        refused_ = session.get(f"{page}api/dashboard", timeout=60)
        state = session.get(
            f"{page}api/dashboard", headers={"x-functions-key": key}, timeout=60
        ).json()
    assert shown.url == f"{page}api/ui"
    assert "Borsa Quantum Bot" in shown.text
    assert key not in shown.text
    assert refused_.status_code == 401
    assert state["killSwitch"]["state"] == "armed"

    id_ = state["decisions"][0]["id"]
    explained = run(tmp_path, "explain", id_)
    assert (explained.returncode, "identical" in explained.stdout) == (0, True)

    assert live.interrupt() == 0
    assert "Traceback" not in "\n".join(live.lines)
    assert not (live.state / "run.json").exists()
    assert "nothing runs" in refused(run(tmp_path, "status"))
    verified = run(tmp_path, "audit", "verify")
    assert (verified.returncode, "The chain verifies" in verified.stdout) == (0, True)
    _somebody_changes_a_record(tmp_path, id_)

    # Another market cannot go on from here; starting over forgets it.
    told = run(tmp_path, *FAST, "--seed", "8")
    assert told.returncode == 2
    assert "another market" in told.stderr
    assert "--fresh starts over" in told.stderr
    again = run(tmp_path, *FAST, "--seed", "8", "--fresh", "--plain", "--seconds", "0.1")
    assert again.returncode == 0, again.stderr
    assert Books(live.state).of("order") == []


def _somebody_changes_a_record(folder: Path, id_: str) -> None:
    """In a copy of the state: verification and explanation both find it."""
    shutil.copytree(folder / ".local", folder / "copy")
    connection = sqlite3.connect(folder / "copy" / "state.db")
    with connection:
        found = connection.execute(
            "SELECT partition, id, body FROM audit WHERE body LIKE '%\"decision\"%' "
            "AND json_extract(body, '$.correlation') = ?",
            (id_,),
        ).fetchall()
        rows = [row for row in found if json.loads(row[2]).get("kind") == "decision"]
        assert len(rows) == 1
        changed = rows[0][2].replace('"outcome":"', '"outcome":"un', 1)
        connection.execute(
            "UPDATE audit SET body = ? WHERE partition = ? AND id = ?",
            (changed, rows[0][0], rows[0][1]),
        )
    connection.close()
    verified = run(folder, "audit", "verify", "--state", "copy")
    assert verified.returncode == 1
    assert "does NOT verify" in verified.stdout


def test_kill_9_in_an_open_position_loses_nothing_and_sends_nothing_twice(
    start: Start, tmp_path: Path
) -> None:
    first = start(*FAST)
    first.wait_for_line(" opened ")
    first.kill()
    before = Books(first.state)
    assert before.held, "the position was closed before the kill"
    # One that was being opened at that moment may not have had its stop yet.
    stops = {a["symbol"] for a in before.live_stops}
    assert stops & before.held.keys()

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        # Whoever names a port looks for the application there.
        for option in ("--port", "--page-port"):
            said = refused(run(tmp_path, "--plain", *SLOW, option, port))
            assert f"{option} {port} cannot be used: Address already in use" in said
    second = start(*SLOW)
    found = second.wait_for(lambda: _covered(second.open_positions(), before.held))
    for symbol, quantity in before.held.items():
        position = found[symbol]
        assert float(position["quantity"]) == abs(float(quantity))
        assert position["decisionId"], "the position is not recognised as ours"
        if symbol in stops:
            assert float(position["stopPrice"]) in {
                float(a["trigger_price"]) for a in before.live_stops if a["symbol"] == symbol
            }
    assert second.interrupt() == 0

    third = start(*FAST)
    third.wait_for_line(" closed ")
    third.wait_for(
        lambda: (
            not {p["decisionId"] for p in third.open_positions()}
            & {p["decisionId"] for p in found.values()}
        )
    )
    assert third.interrupt() == 0
    after = Books(third.state)
    assert len(after.entries) == len(set(after.entries))
    assert after.entries[: len(before.entries)] == before.entries
    trades = [json.loads(body) for body in _documents(third.state, "trades")]
    for position in found.values():
        assert [t["id"] for t in trades].count(position["decisionId"]) == 1
    assert run(tmp_path, "audit", "verify").returncode == 0


def _covered(
    positions: list[dict[str, Any]], held: Mapping[str, str]
) -> dict[str, dict[str, Any]] | None:
    """The positions by symbol, once each that is held shows its orders on the exchange."""
    found = {p["symbol"]: p for p in positions if p["ordersOnExchange"] >= 1}
    return found if found.keys() >= held.keys() else None


def _documents(state: Path, container: str) -> list[str]:
    connection = sqlite3.connect(f"file:{state / 'state.db'}?mode=ro", uri=True)
    try:
        return [row[0] for row in connection.execute(f'SELECT body FROM "{container}"')]
    finally:
        connection.close()


def test_an_emergency_stop_closes_everything_and_only_a_person_arms_again(
    start: Start, tmp_path: Path
) -> None:
    live = start(*FAST)
    live.wait_for_line(" opened ")
    live.wait_for(live.open_positions)
    stopped = live.api("POST", "emergency-stop", json={"reason": "a test", "operator": "eva"})
    assert (stopped.status_code, stopped.json()["state"]) == (202, "latched")
    live.wait_for(lambda: not live.open_positions())
    said = run(tmp_path, "stop", "--reason", "once more")
    assert (said.returncode, "flat after" in said.stdout) == (0, True), said.stdout
    status = run(tmp_path, "status")
    assert "LATCHED" in status.stdout
    assert live.interrupt() == 0
    books = Books(live.state)
    assert books.held == {}
    assert books.live_stops == []

    # The latch outlives the process; the code in the answer is the embedded factor's own.
    again = start(*SLOW)
    assert again.api("GET", "status").json()["killSwitch"]["state"] == "latched"
    refused_ = run(tmp_path, "arm", "--code", "000000", "--reason", "it was only a test")
    assert (refused_.returncode, "the code is wrong" in refused_.stdout) == (1, True)
    short = run(tmp_path, "arm", "--reason", "short")
    assert (short.returncode, "not armed" in short.stdout) == (1, True)
    armed = run(tmp_path, "arm", "--reason", "it was only a test")
    assert (armed.returncode, armed.stdout) == (0, "armed\n"), armed.stdout
    drilled = run(tmp_path, "stop", "--drill")
    assert (drilled.returncode, "nothing was stopped" in drilled.stdout) == (0, True), drilled
    told = run(tmp_path, "performance")
    assert (told.returncode, "realised equity" in told.stdout) == (0, True), told
    figures = json.loads(run(tmp_path, "performance", "--json").stdout)
    listed = again.api("GET", "trades?limit=1000").json()["trades"]
    assert figures["trading"]["trades"] == len(listed)
    risk = run(tmp_path, "risk")
    assert (risk.returncode, "Monte Carlo" in risk.stdout) == (0, True), risk
    stressed = run(tmp_path, "risk", "--stress", "--shock", "market=-0.2")
    assert (stressed.returncode, "nothing is held" in stressed.stdout) == (0, True), stressed
    drift = run(tmp_path, "drift")
    assert (drift.returncode, "MODEL_DRIFT is off" in drift.stdout) == (0, True), drift
    items = run(tmp_path, "checklist")
    assert (items.returncode, "of 12 passed" in items.stdout) == (1, True), items
    assert "passed 0.0 days ago" in next(x for x in items.stdout.splitlines() if " drill " in x)
    assert again.api("GET", "status").json()["killSwitch"]["state"] == "armed"
    assert again.interrupt() == 0
    # Nothing was sent twice; what is new was sent after arming.
    entries = Books(again.state).entries
    assert entries[: len(books.entries)] == books.entries
    assert len(set(entries)) == len(entries)
