"""``./run drift --candles``: what the monitor would have said, as it would have said it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from learnable import HOUR, START, tides
from test_training_rows import write

from local.cli.drift_page import page
from local.cli.main import main
from shared.intelligence.drift import WINDOW_DAYS
from shared.intelligence.features import feature_history, window
from shared.intelligence.labels import NONE, Barriers, triple_barrier
from shared.intelligence.library import Library
from shared.operations.drift_view import ModelDrift
from tests.intelligence.made_onnx import constant, lstm, save
from training.past_drift import broken, reports, scored_past

DAY = 24 * HOUR
BARS = feature_history() + (WINDOW_DAYS + 20) * 24
LABELS = {"timeframe": "1h", "horizon_bars": 8, "take_atr": 1.5, "stop_atr": 1.5}
#: Cards end before the candles begin.
OLD = {"trained_from": "2022-01-01T00:00:00Z", "trained_to": "2023-01-01T00:00:00Z"}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    candles, models = tmp_path / "candles", tmp_path / "models"
    candles.mkdir()
    models.mkdir()
    for seed, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        write(candles, tides(BARS, symbol=symbol, seed=seed), f"{symbol}-1h")
    save(models, "mlp", constant(0.3, 0.4, 0.3), **LABELS, **OLD)
    return candles, models


def drift(folders: tuple[Path, Path], *more: str) -> int:
    candles, models = folders
    return main(["drift", "--candles", str(candles), "--folder", str(models), "--quiet", *more])


def test_a_table_a_page_and_json(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drift(folders) == 0
    told = capsys.readouterr().out
    assert max(len(line) for line in told.splitlines()) <= 80
    assert "mlp" in told
    assert "3 reports: " in told
    assert drift(folders, "--json", "--every", "10") == 0
    (one,) = msgspec.convert(json.loads(capsys.readouterr().out), list[ModelDrift])
    # The first bar with features closes on 19 January at 17:00; 90 days later is 18 April.
    assert [h.day for h in one.history] == ["2024-04-18", "2024-04-28"]
    assert one.report.symbols == ["BTCUSDT", "ETHUSDT"]
    assert drift(folders, "--html", str(tmp_path / "drift.html")) == 0
    text = (tmp_path / "drift.html").read_text()
    assert text.count("<figure") == 2
    assert "http" not in text.replace("http-equiv", "")


def test_a_drill_of_the_monitor(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """From that day on labels are those of other days, and nothing else has changed."""
    runs = {s: [tides(BARS, symbol=s, seed=n)] for n, s in enumerate(("BTCUSDT", "ETHUSDT"))}
    model = Library(folders[1]).model("mlp")
    bars, _ = scored_past([model], runs, start_ms=START, end_ms=START + 10_000 * DAY)
    at = START + 100 * DAY
    other = broken(bars, at)
    before = bars.closed_at < at
    assert np.array_equal(other.label[before], bars.label[before])
    assert (other.label[~before] != bars.label[~before]).mean() > 0.2
    assert sorted(other.label.tolist()) == sorted(bars.label.tolist())
    assert np.array_equal(other.closed_at, bars.closed_at)
    assert np.array_equal(broken(bars, at).label, other.label)
    assert broken(bars, START + 9_000 * DAY) is bars
    assert drift(folders, "--broken-from", "2024-04-10") == 0
    assert "mlp" in capsys.readouterr().out


def test_names_are_made_safe_for_the_page(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert drift(folders, "--json") == 0
    (one,) = msgspec.convert(json.loads(capsys.readouterr().out), list[ModelDrift])
    evil = msgspec.structs.replace(one, model="<script>alert(1)</script>")
    assert "<script>alert" not in page([evil])
    assert "None." in page([])


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--symbols", "XRPUSDT"], "no candles of XRPUSDT"),
        (["--from", "2024-03-20"], "fewer than 90 days"),
        (["--models", "gru"], "gru.json is not there"),
    ],
)
def test_what_cannot_be_done(
    folders: tuple[Path, Path],
    more: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert drift(folders, *more) == 2
    assert told in capsys.readouterr().err


def test_bars_learnt_by_heart_are_told(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    save(folders[1], "mlp", constant(0.3, 0.4, 0.3), **LABELS)
    assert drift(folders, "--from", "2024-01-01") == 0
    assert "know those by heart" in capsys.readouterr().out


def test_it_is_what_live_bars_would_have_been(tmp_path: Path) -> None:
    """Features, probabilities and labels of a row are those of the application at that bar, and a
    label is not known before its horizon."""
    made = save(tmp_path, "lstm", lstm(), **LABELS, **OLD)
    runs = {s: [tides(BARS, symbol=s, seed=n)] for n, s in enumerate(("BTCUSDT", "ETHUSDT"))}
    model = Library(tmp_path).model("lstm")
    first, last = START + 30 * DAY, START + 10_000 * DAY
    bars, known = scored_past([model], runs, start_ms=first, end_ms=last)
    assert np.all(np.diff(bars.closed_at) >= 0)
    (said,) = bars.probabilities.values()
    for row in (0, 501, len(said) - 1):
        (columns,) = runs[bars.symbols[bars.symbol[row]]]
        at = int((bars.closed_at[row] - START) // HOUR)
        seen = window(columns.window(0, at), made.lookback)
        assert np.array_equal(bars.features[row].astype(np.float32), seen[-1])
        assert np.array_equal(said[row], model.probabilities(seen[None])[0])
        labels = triple_barrier(columns, Barriers(1.5, 1.5, 8))
        assert bars.label[row] == labels.outcome[at - 1]
        assert known[row] == START + (labels.end[at - 1] + 1) * HOUR
    found = list(reports(made, bars, known, every_days=1))
    assert found
    for report in found:
        inside = (bars.closed_at >= report.since) & (bars.closed_at < report.until)
        unknown = inside & (known > report.until)
        assert unknown.any()
        assert report.labelled == report.rows - int(unknown.sum())
        assert int((bars.label[inside] != NONE).sum()) == report.rows
