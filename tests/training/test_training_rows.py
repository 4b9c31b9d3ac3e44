"""Rows of candles: live features, labels, holes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from learnable import HOUR, START, tides

from shared.errors import BorsaError, InvalidInput
from shared.intelligence.features import feature_history, window
from shared.intelligence.labels import Barriers, triple_barrier
from shared.market.candle import Columns
from shared.market.resample import resample
from training.dataset import dataset, from_folder

BARRIERS = Barriers(1.5, 1.0, 6)
LOOKBACK = 5
BARS = feature_history() + 100


def write(folder: Path, columns: Columns, name: str) -> None:
    names = ("open_time", "open", "high", "low", "close", "volume")
    table = pa.table({key: getattr(columns, key) for key in names})
    pq.write_table(table, folder / f"{name}.parquet")


def test_rows_are_what_the_application_sees_live() -> None:
    both = {"BTCUSDT": tides(BARS), "ETHUSDT": tides(BARS + 3, symbol="ETHUSDT", seed=2)}
    data = dataset({s: [c] for s, c in both.items()}, BARRIERS, lookback=LOOKBACK)
    assert (np.diff(data.time) >= 0).all()
    offset = {"BTCUSDT": 0, "ETHUSDT": BARS}
    labels = {symbol: triple_barrier(columns, BARRIERS) for symbol, columns in both.items()}
    rows = np.linspace(0, len(data) - 1, 25).astype(np.int64)
    sequences, tabular = data.sequences(rows, LOOKBACK), data.tabular(rows)
    for row, steps, last in zip(rows, sequences, tabular, strict=True):
        symbol = "ETHUSDT" if data.bar[row] >= BARS else "BTCUSDT"
        columns, bar = both[symbol], int(data.bar[row]) - offset[symbol]
        live = window(columns.window(0, bar + 1), LOOKBACK)
        assert (steps == live).all()
        assert (last == live[-1]).all()
        assert data.label[row] == labels[symbol].outcome[bar]
        assert data.opened[row] == columns.open_time[bar] == data.time[row] - HOUR
        assert data.known[row] == columns.open_time[labels[symbol].end[bar]] + HOUR
        assert data.time[row] < data.known[row] <= data.time[row] + 6 * HOUR


def test_every_bar_that_can_be_a_row_is_one() -> None:
    data = dataset({"BTCUSDT": [tides(BARS)]}, BARRIERS, lookback=LOOKBACK)
    first = feature_history() - 1 + LOOKBACK - 1
    assert data.bar.tolist() == list(range(first, BARS - 6))


def test_no_row_spans_a_hole() -> None:
    whole = tides(2 * BARS)
    runs = [whole.window(0, BARS), whole.window(BARS + 1, 2 * BARS)]
    data = dataset({"BTCUSDT": runs}, BARRIERS, lookback=LOOKBACK)
    alone = [dataset({"BTCUSDT": [run]}, BARRIERS, lookback=LOOKBACK) for run in runs]
    assert len(data) == len(alone[0]) + len(alone[1])
    rows = np.arange(len(data))
    apart = [one.sequences(np.arange(len(one)), LOOKBACK) for one in alone]
    assert (data.sequences(rows, LOOKBACK) == np.concatenate(apart)).all()


def test_dates_bound_what_is_read_and_what_is_known() -> None:
    columns = tides(BARS)
    start, end = (int(columns.open_time[-at]) for at in (60, 20))
    data = dataset({"BTCUSDT": [columns]}, BARRIERS, start_ms=start, end_ms=end)
    assert data.opened.min() == start
    assert data.known.max() <= end
    with pytest.raises(InvalidInput, match=r"no row to learn from; one needs \d+ bars"):
        dataset({"BTCUSDT": [columns]}, BARRIERS, start_ms=end, end_ms=start)
    with pytest.raises(InvalidInput, match="no row to learn from"):
        dataset({"BTCUSDT": [columns.window(0, feature_history())]}, BARRIERS)


def test_time_frames_are_not_mixed() -> None:
    columns = tides(BARS)
    with pytest.raises(InvalidInput, match="one time frame"):
        dataset({"A": [columns], "B": [resample(columns, "4h")]}, BARRIERS)


def test_a_longer_look_back_than_the_rows_have() -> None:
    data = dataset({"BTCUSDT": [tides(BARS)]}, BARRIERS, lookback=LOOKBACK)
    with pytest.raises(InvalidInput, match="look-back of 6"):
        data.sequences(np.arange(2), 6)


def test_a_folder_as_it_was_downloaded(tmp_path: Path) -> None:
    whole = tides(200)
    write(tmp_path, whole.window(0, 120), "BTCUSDT-1h-2024")
    write(tmp_path, whole.window(120, 200), "BTCUSDT-1h-2025")
    notes: list[str] = []
    (run,) = from_folder(tmp_path, (), "1h", note=notes.append)["BTCUSDT"]
    assert run.open_time.tolist() == whole.open_time.tolist()
    assert notes == []
    (longer,) = from_folder(tmp_path, ("BTCUSDT",), "4h")["BTCUSDT"]
    assert longer.close.tolist() == resample(whole, "4h").close.tolist()


def test_a_folder_with_a_hole_and_one_without_volume(tmp_path: Path) -> None:
    whole = tides(200)
    write(tmp_path, whole.window(0, 100), "BTCUSDT-1h-a")
    write(tmp_path, whole.window(120, 200), "BTCUSDT-1h-b")
    other = tides(100, symbol="ETHUSDT")
    other.volume[:] = 0.0
    write(tmp_path, other, "ETHUSDT-1h")
    notes: list[str] = []
    runs = from_folder(tmp_path, (), "1h", note=notes.append)
    assert [len(run) for run in runs["BTCUSDT"]] == [100, 80]
    assert [note.split(":")[0] for note in notes] == ["BTCUSDT", "ETHUSDT"]
    assert "holes" in notes[0]
    assert "no volume" in notes[1]


@pytest.mark.parametrize(
    ("symbols", "timeframe", "told"),
    [
        (("DOGEUSDT",), "1h", "no candles of DOGEUSDT; there are candles of BTCUSDT"),
        ((), "15m", "15m candles of BTCUSDT cannot be made of 1h"),
        ((), "7h", "unknown time frame"),
        ((), "12h", "no whole 12h candle"),
    ],
)
def test_what_a_folder_does_not_have(
    tmp_path: Path, symbols: tuple[str, ...], timeframe: str, told: str
) -> None:
    write(tmp_path, tides(10), "BTCUSDT-1h")
    assert START % (24 * HOUR) == 0
    with pytest.raises(BorsaError, match=told):
        from_folder(tmp_path, symbols, timeframe)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such folder"):
        from_folder(tmp_path / "nothing", (), "1h")
