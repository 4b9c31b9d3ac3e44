"""`./run compliance` on a live run: the state as it is, actions through the application."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_line import Live, refused, run

pytestmark = pytest.mark.xdist_group("live")


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    one = Live(tmp_path, "--speed", "240", "--port", "0", "--page-port", "0")
    yield one
    one.close()


def test_windows_scans_and_the_list(live: Live, tmp_path: Path) -> None:
    live.wait_for_line(" closed ")
    before = run(tmp_path, "compliance")
    assert (before.returncode, before.stderr) == (0, "")
    assert before.stdout.startswith("0 violations not closed; orders and executions judged")

    window = ("--symbol", "*", "--at", "2026-01-05T12:00", "--title", "ours")
    made = run(tmp_path, "compliance", "restrict", *window)
    event = json.loads(made.stdout)["id"]
    assert event in run(tmp_path, "compliance", "events").stdout

    scan = ("compliance", "scan", "--from", "2026-01-05T00:00", "--to", "2026-01-05T00:10")
    done = run(tmp_path, *scan)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # What was opened before the window was listed: warnings, which press nobody.
    assert all(id_.startswith("restricted-window-") for id_ in found["violations"])
    for id_ in found["violations"][:1]:
        shown = json.loads(run(tmp_path, "compliance", "show", id_).stdout)
        assert shown["severity"] == "warning"
        closed = run(tmp_path, "compliance", "close", id_, "--reason", "listed afterwards")
        assert json.loads(closed.stdout)["state"] == "closed"
    listed = run(tmp_path, "compliance", "--all")
    assert listed.returncode == 0
    assert all(id_ in listed.stdout for id_ in found["violations"])

    gone = run(tmp_path, "compliance", "release", event, "--reason", "a test is over")
    assert json.loads(gone.stdout)["id"] == event
    assert "0 events" in run(tmp_path, "compliance", "events").stdout
    assert "no violation" in refused(run(tmp_path, "compliance", "show", "nothing"))


def test_where_nothing_runs(tmp_path: Path) -> None:
    assert "holds no run" in refused(run(tmp_path, "compliance"))
    assert "nothing runs" in refused(run(tmp_path, "compliance", "events"))
