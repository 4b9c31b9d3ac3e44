"""`./run models ACTION`: a folder's model becomes a version, and the version a folder's model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.clock import VirtualClock
from shared.intelligence.library import SHIPPED
from shared.storage.sqlite import SqliteStore
from tests.cli.command_line import Live, refused, run
from tests.intelligence.made_onnx import mlp, save

pytestmark = pytest.mark.xdist_group("live")


def test_in_and_out_again(tmp_path: Path) -> None:
    state = tmp_path / ".local" / "state.db"
    SqliteStore(str(state), clock=VirtualClock(0)).close()
    made = tmp_path / "made"
    made.mkdir()
    card = save(made, "mlp", mlp())
    done = run(tmp_path, "models", "register", "mlp", "--from", "made", "--challenge")
    assert (done.returncode, done.stdout) == (0, f"mlp {card.version}: challenger\n"), done.stderr
    # The application's own, where no folder is named.
    assert "svm_rbf" in run(tmp_path, "models", "register", "svm_rbf").stdout
    listed = run(tmp_path, "models", "versions").stdout
    assert f"  {card.version}  challenger" in listed
    assert "from models/" in listed
    assert "2 versions" in listed

    done = run(tmp_path, "models", "export", "mlp", card.version, "--out", "back")
    assert done.returncode == 0, done.stderr
    for ending in ("onnx", "json"):
        told = tmp_path / "back" / f"mlp.{ending}"
        assert told.read_bytes() == (made / f"mlp.{ending}").read_bytes()
    version = json.loads((SHIPPED / "svm_rbf.json").read_text())["version"]
    run(tmp_path, "models", "export", "svm_rbf", version, "--out", "back")
    assert (tmp_path / "back/svm_rbf.json").read_bytes() == (SHIPPED / "svm_rbf.json").read_bytes()

    assert "there is no version:0" in refused(
        run(tmp_path, "models", "export", "mlp", "0", "--out", "back")
    )
    missing = run(tmp_path, "models", "register", "gru", "--from", "made")
    assert missing.returncode == 2
    assert "gru.json is not there" in missing.stderr
    assert "nothing runs" in refused(run(tmp_path, "models", "compare", "mlp"))


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    one = Live(tmp_path, "--speed", "60", "--port", "0", "--page-port", "0", "--registry")
    yield one
    one.close()


def test_versions_of_a_running_application(live: Live, tmp_path: Path) -> None:
    live.announced()
    made = tmp_path / "made"
    made.mkdir()
    # On the bars of the shipped models; the run itself names none.
    card = save(made, "mlp", mlp(), timeframe="1h")
    assert run(tmp_path, "models", "register", "mlp", "--from", "made").returncode == 0
    why = ("--reason", "because of the test")
    told = run(tmp_path, "models", "challenge", "mlp", card.version, *why)
    assert json.loads(told.stdout)["state"] == "challenger", told.stderr
    assert "not known: no bar" in run(tmp_path, "models", "compare", "mlp").stdout
    promote = ("models", "promote", "mlp", card.version, *why)
    assert "is not shown to be better" in refused(run(tmp_path, *promote))
    done = run(tmp_path, *promote, "--override")
    assert done.stdout.startswith(f"mlp {card.version} votes at bars"), done.stderr
    done = run(tmp_path, "models", "rollback", "mlp", *why)
    shipped = json.loads((SHIPPED / "mlp.json").read_text())["version"]
    assert done.stdout.startswith(f"mlp {shipped} votes at bars"), done.stderr
    assert "rollback to" in run(tmp_path, "models", "versions").stdout
