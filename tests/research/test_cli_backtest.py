"""``./run backtest``: files, figures and clear words."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from local.cli.dates import end_moment
from local.cli.main import main
from shared.research.market import from_files
from shared.simulation.synthetic import SyntheticMarket

#: 2025-05-04
START = 1_746_316_800_000
DAY = 86_400_000


def backtest(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        code = main(["backtest", *words])
    except SystemExit as stopped:  # argparse
        code = int(stopped.code or 0)
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten days of 15-minute candles with mark prices, no funding."""
    market = SyntheticMarket(5, ("BTCUSDT",))
    data = tmp_path / "candles"
    data.mkdir()
    from shared.market.resample import resample

    for name, mark in (("BTCUSDT-15m", False), ("BTCUSDT-15m-mark", True)):
        bars = resample(
            market.columns("BTCUSDT", START - 20 * DAY, START + 10 * DAY, mark=mark), "15m"
        )
        frame = {k: getattr(bars, k) for k in ("open_time", "open", "high", "low", "close")}
        if not mark:
            frame["volume"] = bars.volume
        pd.DataFrame(frame).to_csv(data / f"{name}.csv", index=False)
    return data


def test_results_agree_with_each_other(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code, told, _ = backtest(
        capsys,
        "--data", str(folder), "--symbols", "BTCUSDT", "--timeframe", "15m",
        "--from", "2025-05-04", "--to", "2025-05-13", "--strategies", "trend,momentum:2",
        "--set", "MAX_LEVERAGE=3", "--out", str(out), "--quiet",
    )  # fmt: skip
    assert code == 0
    assert "no funding file" in told
    report = json.loads((out / "report.json").read_text())
    rows = list(csv.DictReader((out / "trades.csv").read_text().splitlines()))
    equity = pd.read_parquet(out / "equity.parquet")
    assert len(rows) == len(report["trades"]) > 3
    assert {r["strategy"] for r in rows} <= {"trend", "momentum"}
    net = sum(float(r["net"]) for r in rows)
    assert np.isclose(equity["equity"].iloc[-1], 5000 + net, atol=1e-6)
    assert report["settings"]["limits"]["max_leverage"] == 3
    assert (out / "report.html").read_text().startswith("<!")


@pytest.mark.parametrize(
    ("settlements", "says"),
    [
        (range(-60, 30), []),
        (
            range(-60, 12),
            ["2025-05-07T16:00:00.000Z to 2025-05-14", "0.01 % every 8 hours after the last"],
        ),
        (range(6, 30), ["2025-05-04T00:00:00.000Z to 2025-05-06T00", "none is paid there"]),
        (
            [*range(-60, 3), *range(9, 30)],
            ["2025-05-04T16:00:00.000Z to 2025-05-07T00", "none is paid there"],
        ),
        (
            [*range(-60, 3), *range(9, 20)],
            ["T16:00:00.000Z to 2025-05-07T00:00:00.000Z and in 1 more", "none in the other"],
        ),
    ],
)
def test_funding_for_a_part_of_the_range_is_told(
    folder: Path, settlements: Iterable[int], says: list[str]
) -> None:
    times = [START + n * 8 * 3_600_000 for n in settlements]
    table = pd.DataFrame({"funding_time": times, "funding_rate": 0.0003})
    table.to_csv(folder / "BTCUSDT-funding.csv", index=False)
    *_, notes = from_files(folder, ["BTCUSDT"], START, START + 10 * DAY)
    assert len(notes) == (1 if says else 0)
    assert all(words in notes[0] for words in says)


def test_candles_without_volume_are_told(folder: Path) -> None:
    file = folder / "BTCUSDT-15m.csv"
    whole = pd.read_csv(file)
    whole.loc[whole["open_time"] >= START + 9 * DAY, "volume"] = 0.0
    whole.to_csv(file, index=False)
    *_, notes = from_files(folder, ["BTCUSDT"], START, START + 10 * DAY)
    assert notes[-1].startswith("BTCUSDT: 96 of 960 candles have no volume")


def test_mark_prices_for_a_part_of_the_range_are_told(folder: Path) -> None:
    file = folder / "BTCUSDT-15m-mark.csv"
    whole = pd.read_csv(file)
    whole[whole["open_time"] < START + 4 * DAY].to_csv(file, index=False)
    *_, notes = from_files(folder, ["BTCUSDT"], START, START + 10 * DAY)
    assert notes[0].startswith(
        "BTCUSDT: 576 of 960 mark prices are missing, the first at 2025-05-08T00:00:00.000Z; "
        "there it is the contract price"
    )


@pytest.mark.parametrize("end", ["2025-05-05", "20250505", "2025-05-06T00:00"])
def test_a_bare_end_date_includes_its_day(end: str) -> None:
    assert end_moment(end) == START + 2 * DAY


def test_the_highest_costs_have_a_result(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, err = backtest(
        capsys,
        "--data", str(folder), "--symbols", "BTCUSDT", "--timeframe", "15m", "--costs", "50",
        "--config", "demonstration", "--from", "2025-05-04", "--to", "2025-05-06",
        "--out", str(tmp_path / "out"), "--quiet",
    )  # fmt: skip
    assert code == 0, err
    assert "Costs x 2" in told
    assert "Costs x 3" not in told


def test_a_coarser_detail_is_made_of_the_candles(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A file with nothing but a signal configuration, that ten days are history enough for.
    few = tmp_path / "few-bars.json"
    few.write_text('{"default": {"members": [{"strategy": "candlesticks"}], "threshold": 0.2}}')
    code, told, _ = backtest(
        capsys,
        "--data", str(folder), "--symbols", "BTCUSDT", "--timeframe", "1h", "--detail", "1h",
        "--config", str(few), "--from", "2025-05-04", "--to", "2025-05-13",
        "--out", str(tmp_path / "out"), "--quiet",
    )  # fmt: skip
    assert code == 0
    assert "prices inside 1h bars" in told
    assert "few-bars.json" in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--to", "2025-05-01"], "swap them"),
        (["--symbols", "DOGEUSDT"], "no candles of DOGEUSDT"),
        (["--from", "2020-01-01", "--to", "2020-02-01"], "no candles of BTCUSDT cover"),
        (["--timeframe", "7m"], "TIMEFRAMES"),
        (["--timeframe", "5m"], "5m candles cannot be made of 15m candles"),
        (["--detail", "1m"], "bars of 1m cannot be made of 15m candles"),
        (["--strategies", "astrology"], "unknown strategy 'astrology'"),
        (["--strategies", "trend:much"], "write NAME or NAME:WEIGHT"),
        (["--set", "MAX_LEVERAGE=50"], "MAX_LEVERAGE"),
        (["--set", "MAX_LEVERAGE"], "write NAME=VALUE"),
        (["--set", "ENTRY_STYLE=post_only"], "a backtest knows ioc only"),
        (["--set", "NO_SUCH=1"], "there is no setting NO_SUCH"),
        (["--config", "absent.json"], "absent.json"),
        (["--costs", "-1"], "costs is -1"),
        (["--deposit", "0"], "deposit is 0"),
        (["--deposit", "1e30"], "deposit is 1E+30"),
        (["--costs", "101"], "costs is 101"),
        (["--clear-after", "-1"], "'-1' is no number of hours"),
        (["--clear-after", "nan"], "'nan' is no number of hours"),
        (["--clear-after", "inf"], "'inf' is no number of hours"),
        (["--seed", "-1"], "'-1' is no whole number"),
        (["--seed", "5000000000"], "5000000000 is above 4294967295"),
        (["--to", "9999-12-31"], "write a year from 1970 to 2999"),
        (["--paths", "-3"], "'-3' is no whole number"),
    ],
)
def test_what_cannot_be_done_is_told(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    says: str,
) -> None:
    given = {
        "--data": str(folder),
        "--symbols": "BTCUSDT",
        "--timeframe": "15m",
        "--from": "2025-05-04",
        "--to": "2025-05-08",
        "--out": str(tmp_path / "out"),
    }
    given.update(zip(words[::2], words[1::2], strict=True))
    code, _, err = backtest(capsys, *(w for pair in given.items() for w in pair), "--quiet")
    assert code == 2
    assert says in err


def test_the_built_in_market_says_which_contracts_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = backtest(
        capsys,
        "--synthetic", "--symbols", "BTCUSDT,FOOUSDT", "--from", "2025-05-04",
        "--to", "2025-05-05", "--out", str(tmp_path), "--quiet",
    )  # fmt: skip
    assert code == 2
    assert "no contract for FOOUSDT; there are BTCUSDT, ETHUSDT" in err


def test_the_exact_engine_says_the_same(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for more in ([], ["--exact"]):
        out = tmp_path / f"out{len(found)}"
        code, _, _ = backtest(
            capsys,
            "--data", str(folder), "--symbols", "BTCUSDT", "--timeframe", "15m",
            "--config", "demonstration", "--from", "2025-05-04", "--to", "2025-05-06",
            "--out", str(out), "--quiet", *more,
        )  # fmt: skip
        assert code == 0
        found.append([round(float(x), 6) for x in pd.read_csv(out / "trades.csv")["net"]])
    assert found[0] == found[1]
