"""``./run patterns`` and ``./run anomalies``: one file that needs no other, safe in every name."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_results import START

from local.cli.main import main
from shared.indicators.anomalies import HISTORY, scores, unusual
from shared.indicators.chart_found import found, tally
from shared.indicators.chart_patterns import Rules
from shared.indicators.sensitivity import Sensitivity
from shared.market.candle import Columns
from shared.market.timeframe import DAY_MS
from shared.research.charts.pattern_page import page
from shared.simulation.synthetic import SyntheticMarket

BARS = SyntheticMarket(5).columns("BTCUSDT", START, START + 2 * DAY_MS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Candle files of minutes."""
    rows = zip(
        *(
            getattr(BARS, n).tolist()
            for n in ("open_time", "open", "high", "low", "close", "volume")
        ),
        strict=True,
    )
    text = "open_time,open,high,low,close,volume\n" + "".join(
        ",".join(map(str, row)) + "\n" for row in rows
    )
    (tmp_path / "BTCUSDT-1m.csv").write_text(text)
    return tmp_path


def test_the_command_writes_one_file_that_needs_no_other(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "out" / "charts.html"
    asked = ["patterns", "--candles", str(folder), "--timeframe", "1m", "--out", str(out)]
    assert main([*asked, "--latest", "5"]) == 0
    text = out.read_text()
    # Nothing is fetched: no address anywhere, and a rule that forbids it.
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)="(?!#)', text)
    rows = json.loads(out.with_suffix(".json").read_text())
    expected = found(BARS, Rules())
    assert len(rows) == len(expected) > 20
    assert text.count('<div class="card">') == 5
    told = capsys.readouterr().out
    for one in tally(expected):
        assert (one.kind.replace("_", " ") in told) == bool(one.known)


def test_anomalies_in_one_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "anomalies.html"
    asked = ["anomalies", "--candles", str(folder), "--timeframe", "1m", "--out", str(out)]
    assert main([*asked, "--strongest", "3"]) == 0
    text = out.read_text()
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)="(?!#)', text)
    rows = json.loads(out.with_suffix(".json").read_text())
    odd = unusual(scores(BARS), Sensitivity())
    assert [row["time"] for row in rows] == (BARS.open_time[odd] + 60_000).tolist()
    assert len(rows) > 0
    assert text.count('<div class="card">') == min(3, len(rows))
    assert f"any {len(rows)}" in re.sub(r" +", " ", capsys.readouterr().out)
    # Hours made of these minutes are too few to be judged.
    assert main([*asked[:-4], "--timeframe", "1h", "--out", str(out)]) == 2
    assert f"a bar is judged by {HISTORY:d}" in capsys.readouterr().err


def test_longer_bars_are_made_of_those_that_are_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "charts.html"
    asked = ["patterns", "--candles", str(folder), "--timeframe", "3m", "--out", str(out)]
    assert main(asked) == 0
    assert "3m" in out.read_text()
    assert main([*asked, "--from", "2001-01-01", "--to", "2001-02-01"]) == 2
    assert "no 3m candles of BTCUSDT in that range" in capsys.readouterr().err
    assert main([*asked[:-4], "--timeframe", "1h", "--out", str(out)]) == 2
    assert "patterns need 480" in capsys.readouterr().err


def test_a_name_cannot_break_out_of_the_page() -> None:
    name = "<script>alert(1)</script>"
    bars = replace(BARS, symbol=name)
    assert name not in page(bars, found(bars, Rules()), Rules())


def test_a_market_without_patterns_has_a_page() -> None:
    still = Columns(
        "BTCUSDT", "1m", BARS.open_time, *[np.full(len(BARS), 100.0)] * 4, np.zeros(len(BARS))
    )
    rows = found(still, Rules())
    assert rows == []
    assert "None." in page(still, rows, Rules())
