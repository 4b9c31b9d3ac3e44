"""`./run models ACTION`: a folder's model becomes a version, and the version a folder's model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cli.main import main
from local.clock import VirtualClock
from shared.intelligence.library import SHIPPED
from shared.intelligence.registry import Registry
from shared.storage.sqlite import SqliteStore
from tests.cli.command_line import Live, refused, run
from tests.intelligence.made_models import card as model_card
from tests.intelligence.made_onnx import mlp, save


def test_in_and_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def done(*arguments: str, code: int = 0) -> str:
        assert main(["models", *arguments]) == code
        said = capsys.readouterr()
        return said.out if code == 0 else said.err

    SqliteStore(".local/state.db", clock=VirtualClock(0)).close()
    made = tmp_path / "made"
    made.mkdir()
    card = save(made, "mlp", mlp())
    told = done("register", "mlp", "--from", "made", "--challenge")
    assert told == f"mlp {card.version}: challenger\n"
    # The application's own, where no folder is named.
    shipped = json.loads((SHIPPED / "svm_rbf.json").read_text())["version"]
    assert done("register", "svm_rbf") == f"svm_rbf {shipped}: candidate\n"
    listed = done("versions")
    assert f"  {card.version}  challenger" in listed
    assert "from models/" in listed
    assert "2 versions" in listed

    store = SqliteStore(".local/state.db", clock=VirtualClock(0))
    one = model_card(mlp(2), name="gru")
    Registry(store, VirtualClock(0)).offer(one, mlp(2), "a job")
    store.close()
    waiting = (
        f"gru\n  {one.version}  offered 1970-01-01T00:00:00.000Z by a job; the application has"
    )
    assert waiting in done("versions")

    for name, version, folder in (("mlp", card.version, made), ("svm_rbf", shipped, SHIPPED)):
        done("export", name, version, "--out", "back")
        for ending in ("onnx", "json"):
            file = f"{name}.{ending}"
            assert (tmp_path / "back" / file).read_bytes() == (folder / file).read_bytes()

    assert "there is no version:0" in done("export", "mlp", "0", "--out", "back", code=2)
    assert "gru.json is not there" in done("register", "gru", "--from", "made", code=2)
    assert "nothing runs" in done("compare", "mlp", code=2)
    assert "holds no run" in done("versions", "--state", "elsewhere", code=2)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    one = Live(tmp_path, "--speed", "60", "--port", "0", "--page-port", "0", "--registry")
    yield one
    one.close()


@pytest.mark.xdist_group("live")
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
