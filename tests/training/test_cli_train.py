"""``./run train`` and ``./run models`` on a folder of candles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from learnable import tides
from test_training_rows import write

from local.cli.main import main
from shared.intelligence.features import feature_history
from training.parity import Served

FEW = ["--horizon", "8", "--take", "1.5", "--stop", "1.5", "--folds", "2", "--holdout", "14d"]
FEW += ["--quiet"]


@pytest.fixture
def candles(tmp_path: Path) -> Path:
    folder = tmp_path / "candles"
    folder.mkdir()
    write(folder, tides(feature_history() + 2_000), "BTCUSDT-1h")
    return folder


def test_from_candles_to_models(
    candles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models"
    wanted = ["--models", "logistic_regression,lightgbm", "--out", str(out)]
    assert main(["train", "--candles", str(candles), *wanted, *FEW]) == 0
    told = capsys.readouterr().out
    assert "rows of BTCUSDT, 1h" in told
    assert "2 models" in told
    files = sorted(file.name for file in out.iterdir())
    assert files == [
        f"{n}.{e}" for n in ("lightgbm", "logistic_regression") for e in ("json", "onnx")
    ]
    card = json.loads((out / "lightgbm.json").read_text())
    Served((out / "lightgbm.onnx").read_bytes())
    assert main(["models", "--models", str(out)]) == 0
    told = capsys.readouterr().out
    assert "walk-forward: " in told
    assert "holdout, seen once" in told
    assert max(len(line) for line in told.splitlines()) <= 80
    assert f"lightgbm {card['version']}" in told.replace("\n", " ")
    assert main(["models", "--models", str(out), "--json"]) == 0
    assert card["onnx_sha256"] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--models", "gpt"], "no model gpt"),
        (["--symbols", "ETHUSDT"], "no candles of ETHUSDT"),
        (["--timeframe", "5m"], "cannot be made of 1h"),
        (["--take", "0.5", "--stop", "1"], "stop must be above 0"),
        (["--holdout", "a year"], "not a span of time"),
        (["--holdout", "900d"], "holdout leaves nothing"),
        (["--from", "2031-01-01"], "no row to learn from"),
    ],
)
def test_what_cannot_be_done(
    candles: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    told: str,
) -> None:
    out = tmp_path / "models"
    code = main(["train", "--candles", str(candles), *FEW, "--out", str(out), *options])
    assert code == 2
    assert told in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_without_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--models", str(tmp_path)]) == 2
    assert "./run train makes them" in capsys.readouterr().err
