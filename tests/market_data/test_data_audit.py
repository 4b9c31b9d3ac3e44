"""The audit finds what was put wrong into files, at its place, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from publisher import candles, ms

from local.cli.main import main
from shared.errors import BorsaError
from shared.market.files import load_market
from shared.market.resample import resample
from shared.market.timeframe import DAY_MS, duration_ms
from shared.research.data.audit import audit
from shared.research.data.findings import AuditReport
from shared.research.data.series import Rows, Series
from shared.research.data.store import encoded
from shared.simulation.synthetic import SyntheticMarket

START = ms("2025-03-01")
HOUR = 3_600_000
SHARED = Path(__file__).resolve().parents[3] / "shared" / "market"


def series_rows(series: Series, hours: int = 200) -> Rows:
    if series.kind == "funding":
        time = np.arange(START, START + hours * HOUR, 8 * HOUR)
        return Rows(time, np.full((len(time), 1), 0.0001))
    c = candles(series.symbol, series.timeframe, START, START + hours * HOUR)
    values = np.column_stack((c.open, c.high, c.low, c.close, c.volume))
    return Rows(c.open_time, values[:, : len(series.columns)])


CANDLES = Series("BTCUSDT", "candles", "1h")
MARK = Series("BTCUSDT", "mark", "1h")
FUNDING = Series("BTCUSDT", "funding")


def write(folder: Path, series: Series, rows: Rows, name: str = "") -> None:
    (folder / f"{name or series.stem}.parquet").write_bytes(encoded(series, rows))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for series in (CANDLES, MARK, FUNDING):
        write(tmp_path, series, series_rows(series))
    return tmp_path


def told(report: AuditReport) -> list[tuple[str, str, int, int]]:
    """Severity, kind, hours from the start, count."""
    return [(f.severity, f.kind, (f.start - START) // HOUR, f.count) for f in report.findings]


def test_sound_files_give_no_finding(folder: Path) -> None:
    report = audit(folder)
    assert report.findings == []
    assert [(f.file, f.rows) for f in report.files] == [
        ("BTCUSDT-1h-mark.parquet", 200),
        ("BTCUSDT-1h.parquet", 200),
        ("BTCUSDT-funding.parquet", 25),
    ]


def cell(row: int, column: int, value: float) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        values = rows.values.copy()
        values[row, column] = value
        return Rows(rows.time, values)

    return change


def drop(a: int, b: int) -> Callable[[Rows], Rows]:
    return lambda r: Rows(np.delete(r.time, range(a, b)), np.delete(r.values, range(a, b), axis=0))


def swap(a: int, b: int) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        order = np.arange(len(rows))
        order[[a, b]] = order[[b, a]]
        return Rows(rows.time[order], rows.values[order])

    return change


def double(row: int, change: float = 0.0) -> Callable[[Rows], Rows]:
    def doubled(rows: Rows) -> Rows:
        extra = rows.values[row].copy()
        extra[0] += change
        return Rows(
            np.insert(rows.time, row + 1, rows.time[row]),
            np.insert(rows.values, row + 1, extra, axis=0),
        )

    return doubled


def silent(a: int, b: int) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        values = rows.values.copy()
        values[a:b, 4] = 0
        return Rows(rows.time, values)

    return change


def scaled(a: int, b: int, columns: slice, factor: float) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        values = rows.values.copy()
        values[a:b, columns] *= factor
        return Rows(rows.time, values)

    return change


PLANTED = [
    (CANDLES, drop(50, 53), [("error", "gap", 50, 3)]),
    (MARK, drop(7, 8), [("error", "gap", 7, 1)]),
    (CANDLES, double(20), [("error", "doubled", 20, 1)]),
    (CANDLES, double(20, 1.0), [("error", "doubled", 20, 1)]),
    (CANDLES, swap(30, 31), [("error", "unsorted", 30, 1)]),
    (CANDLES, cell(40, 1, 1.0), [("error", "impossible", 40, 1)]),
    (CANDLES, cell(40, 2, 1e6), [("error", "impossible", 40, 1)]),
    (CANDLES, cell(40, 2, -1.0), [("error", "impossible", 40, 1), ("warning", "wick", 40, 1)]),
    (CANDLES, cell(40, 4, -5.0), [("error", "impossible", 40, 1)]),
    (CANDLES, cell(60, 3, float("nan")), [("error", "not a number", 60, 1)]),
    (CANDLES, silent(10, 14), []),
    (CANDLES, silent(10, 15), [("warning", "zero volume", 10, 5)]),
    (CANDLES, cell(90, 1, 70_000.0), [("warning", "wick", 90, 1)]),
    (
        CANDLES,
        scaled(100, 102, slice(0, 4), 1.2),
        [
            ("warning", "jump", 100, 1),
            ("warning", "mark distance", 100, 2),
            ("warning", "wick", 100, 2),
            ("warning", "jump", 102, 1),
        ],
    ),
    (FUNDING, cell(2, 0, 0.01), [("warning", "funding rate", 16, 1)]),
    (FUNDING, drop(5, 6), [("warning", "funding gap", 32, 1)]),
]


@pytest.mark.parametrize(("series", "change", "expected"), PLANTED)
def test_what_is_planted_is_found(
    folder: Path,
    series: Series,
    change: Callable[[Rows], Rows],
    expected: list[tuple[str, str, int, int]],
) -> None:
    write(folder, series, change(series_rows(series)))
    report = audit(folder)
    assert told(report) == expected
    assert {f.file for f in report.findings} <= {f"{series.stem}.parquet"}
    # What is called an error is what the reader of replay and backtest refuses.
    refused = None
    try:
        load_market(folder, ["BTCUSDT"], START, START + 200 * HOUR)
    except BorsaError as error:
        refused = error
    assert (report.errors > 0) == (refused is not None), refused


def test_a_crash_that_the_mark_price_confirms_is_no_jump(folder: Path) -> None:
    for series in (CANDLES, MARK):
        write(folder, series, scaled(100, 200, slice(0, 4), 0.8)(series_rows(series)))
    assert audit(folder).findings == []


def test_without_a_mark_price_every_jump_is_told(folder: Path) -> None:
    (folder / "BTCUSDT-1h-mark.parquet").unlink()
    write(folder, CANDLES, scaled(100, 200, slice(0, 4), 0.8)(series_rows(CANDLES)))
    assert told(audit(folder)) == [("warning", "jump", 100, 1)]


def test_files_of_one_series_are_compared(folder: Path) -> None:
    write(folder, CANDLES, cell(9, 4, 3.0)(series_rows(CANDLES)), "BTCUSDT-1h-b")
    assert told(audit(folder)) == [("error", "contradiction", 9, 1)]


def test_a_break_between_two_files(folder: Path) -> None:
    rows = series_rows(CANDLES)
    write(folder, CANDLES, Rows(rows.time[:50], rows.values[:50]))
    write(folder, CANDLES, Rows(rows.time[60:], rows.values[60:]), "BTCUSDT-1h-b")
    assert told(audit(folder)) == [("warning", "break", 50, 10)]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT-1h.parquet").write_bytes(b"no parquet")
    (tmp_path / "ETHUSDT-1h.csv").write_text("open_time,open,high,low,close\n1,2,3,4,5\n")
    (tmp_path / "XRPUSDT-1h.csv").write_text("open_time,open,high,low,close,volume\n")
    rows = "open_time,open,high,low,close,volume\nx,1,1,1,1,1\n1740787200000,1,1,y,1,1\n"
    (tmp_path / "ADAUSDT-1h.csv").write_text(rows)
    found = {(f.file, f.kind) for f in audit(tmp_path).findings}
    assert found == {
        ("BTCUSDT-1h.parquet", "unusable"),
        ("ETHUSDT-1h.csv", "unusable"),
        ("XRPUSDT-1h.csv", "empty"),
        ("ADAUSDT-1h.csv", "not a number"),
    }


# ---------------------------------------------------------------- resampling


@pytest.mark.parametrize("timeframe", ["5m", "1h", "4h"])
def test_resampled_candles_are_the_venues_own(tmp_path: Path, timeframe: str) -> None:
    """Minutes of the generator against the candles that the simulated venue answers with."""
    from decimal import Decimal

    from shared.simulation.venue import Venue

    market = SyntheticMarket(7, ["BTCUSDT"])
    venue = Venue(market, start_ms=START + DAY_MS, deposit=Decimal(5000))
    step = duration_ms(timeframe)
    own = venue.klines("BTCUSDT", timeframe, start=START, end=START + DAY_MS - 1, limit=1500)
    made = resample(market.columns("BTCUSDT", START, START + DAY_MS), timeframe)
    assert len(made) == len(own) == DAY_MS // step
    table = np.array(own)
    np.testing.assert_array_equal(made.open_time, table[:, 0].astype(np.int64))
    for place, name in enumerate(("open", "high", "low", "close"), start=1):
        np.testing.assert_array_equal(getattr(made, name), table[:, place])
    np.testing.assert_allclose(made.volume, table[:, 5], rtol=1e-12)


def test_a_candle_that_is_not_made_of_the_shorter_ones_is_found(tmp_path: Path) -> None:
    minutes = candles("BTCUSDT", "5m", START, START + 48 * HOUR)
    hours = resample(minutes, "1h")
    for columns, change in ((minutes, 0.0), (hours, 2.0)):
        values = np.column_stack(
            (columns.open, columns.high, columns.low, columns.close, columns.volume)
        )
        values[17, 1] += change
        series = Series("BTCUSDT", "candles", columns.timeframe)
        write(tmp_path, series, Rows(columns.open_time, values))
    (finding,) = audit(tmp_path).findings
    assert (finding.kind, finding.file, finding.count) == ("resampling", "BTCUSDT-1h.parquet", 1)
    assert finding.start == START + 17 * HOUR


@pytest.mark.skipif(not SHARED.is_dir(), reason="no recorded market beside this checkout")
def test_recorded_minutes_make_the_recorded_hours() -> None:
    report = audit(SHARED)
    assert report.errors == 0
    # Its README tells of one 5m row per symbol whose volume differs, and of the two spans of 1m.
    odd = [f for f in report.findings if f.kind not in ("wick", "mark distance", "jump")]
    assert {(f.kind, f.count) for f in odd if f.kind == "resampling"} == {("resampling", 1)}
    assert {f.file for f in odd if f.kind == "break"} == {
        "BTCUSDT-1m-2025.parquet",
        "ETHUSDT-1m-2025.parquet",
    }


# ---------------------------------------------------------------- the command


def test_the_command_tells_and_exits(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "audit", str(folder)]) == 0
    assert "3 files, 0 error(s), 0 warning(s)" in capsys.readouterr().out
    write(folder, CANDLES, drop(50, 53)(series_rows(CANDLES)))
    out = tmp_path / "audit.json"
    assert main(["data", "audit", str(folder), "--json", str(out)]) == 1
    line = "error    BTCUSDT-1h.parquet gap 2025-03-03T02:00 to 2025-03-03T05:00: 3 candle(s)"
    assert line in capsys.readouterr().out
    assert json.loads(out.read_text())["findings"][0]["count"] == 3
    assert main(["data", "audit", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err
