"""Models that are trained again, from candles to challengers of a run's registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learnable import HOUR, tides
from test_training_rows import write

from local.cli.main import main
from shared.clock import SystemClock
from shared.intelligence.features import feature_history
from shared.intelligence.registry import Registry
from shared.market.candle import Columns
from shared.research.data.download import Sources
from shared.storage.sqlite import SqliteStore
from tests.intelligence.made_onnx import constant, save, serving
from tests.market_data.publisher import publishing
from training import __main__ as job

MODELS = ("logistic_regression", "lightgbm")
LABELS = {"horizon_bars": 8, "take_atr": 1.5, "stop_atr": 1.5, "timeframe": "1h"}
FEW = ["--folds", "2", "--embargo", "8", "--holdout", "28d", "--quiet"]


@pytest.fixture
def serves(tmp_path: Path) -> Iterator[None]:
    """Two models serve, which know nothing."""
    folder = tmp_path / "models"
    folder.mkdir()
    with serving(folder):
        for name in MODELS:
            own = {**LABELS, "symbols": ("BTCUSDT",), "trained_from": "2024-01-01T00:00:00Z"}
            save(folder, name, constant(0.3, 0.4, 0.3), **own)
        yield


def candles(tmp_path: Path, strength: float) -> Path:
    folder = tmp_path / f"candles-{strength}"
    folder.mkdir()
    write(folder, tides(feature_history() + 2_600, strength=strength), "BTCUSDT-1h")
    return folder


def run_of(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir()
    SqliteStore(str(state / "state.db"), clock=SystemClock()).close()
    return state


def states(path: Path) -> dict[str, list[str]]:
    store = SqliteStore(str(path), clock=SystemClock())
    try:
        slots = Registry(store, SystemClock()).slots()
        return {n: [v.state for v in slot.versions.values()] for n, slot in slots.items()}
    finally:
        store.close()


def test_what_learns_the_market_becomes_a_challenger(
    serves: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = run_of(tmp_path)
    given = ["--candles", str(candles(tmp_path, 0.9)), "--state", str(state), *FEW]
    assert main(["retrain", *given, "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "2 models, as they serve: BTCUSDT 1h, a trade of 8 bars" in told
    assert states(state / "state.db") == {name: ["challenger"] for name in MODELS}
    card = json.loads((tmp_path / "out" / "lightgbm.json").read_text())
    assert f"lightgbm {card['version']}: challenger; trained on bars to 2024-" in told
    assert (card["horizon_bars"], card["take_atr"], card["symbols"]) == (8, 1.5, ["BTCUSDT"])
    assert "nothing was promoted" in told


def test_what_finds_nothing_is_offered_to_nobody(
    serves: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = run_of(tmp_path)
    noise = ["--candles", str(candles(tmp_path, 0.0)), "--state", str(state), *FEW]
    assert main(["retrain", *noise, "--models", "logistic_regression"]) == 0
    assert ": refused; on its holdout the log loss beats" in capsys.readouterr().out
    assert states(state / "state.db") == {}


def test_the_job_fetches_trains_and_offers(serves: None, tmp_path: Path, capsysbinary: Any) -> None:
    """Candles come from an exchange over HTTP, the archive has none; the holdout ends now."""
    made = tides(feature_history() + 2_600, strength=0.9)
    prices = (made.open, made.high, made.low, made.close)
    made = Columns(
        "BTCUSDT", "1h", made.open_time, *(np.round(p, 2) for p in prices), np.round(made.volume, 3)
    )
    now = int(made.open_time[-1]) + HOUR
    database = tmp_path / "state.db"
    environment = {
        "SQLITE_PATH": str(database),
        "TRAINING_MODELS": "logistic_regression",
        "TRAINING_HOLDOUT": "4w",
    }
    with publishing(made, now) as world:

        @contextmanager
        def sources(clock: Any) -> Iterator[Sources]:
            yield world.sources()

        assert job.main(environment, world.clock, sources) == 0
    lines = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["begin", "candles", "model", "end"]
    assert lines[2]["state"] == "offered"
    assert (lines[3]["trained"], lines[3]["refused"]) == (1, 0)
    # It says nothing about who votes; the application takes it in.
    assert states(database) == {}
    store = SqliteStore(str(database), clock=SystemClock())
    Registry(store, SystemClock()).adopt()
    store.close()
    assert states(database) == {"logistic_regression": ["challenger"]}


def test_a_run_that_is_not_there_is_refused_before_anything_is_trained(
    serves: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--candles", str(tmp_path), "--state", str(tmp_path / "none"), *FEW]
    assert main(["retrain", *given]) == 2
    assert "holds no run" in capsys.readouterr().err
