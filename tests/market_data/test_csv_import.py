"""CSV files as other programs write them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from publisher import ms

from local.cli.main import main
from shared.market.files import load_market

T = ms("2025-03-01")
HOUR = 3_600_000


def bring(tmp_path: Path, text: str, *options: str, what: str = "candles") -> int:
    file = tmp_path / "in.csv"
    file.write_text(text)
    base = ["data", "import", str(file), "--symbol", "BTCUSDT", "--what", what]
    frame = [] if what == "funding" else ["--timeframe", "1h"]
    return main([*base, *frame, "--out", str(tmp_path / "out"), *options])


def loaded(tmp_path: Path, hours: int = 3) -> list[tuple[float, ...]]:
    market = load_market(tmp_path / "out", ["BTCUSDT"], T, T + hours * HOUR)["BTCUSDT"].candles
    columns = (market.open_time, market.open, market.high, market.low, market.close, market.volume)
    return list(zip(*(c.tolist() for c in columns), strict=True))


ROWS = [
    (T, 10.5, 12.0, 9.5, 11.0, 100.0),
    (T + HOUR, 11.0, 11.5, 10.0, 10.5, 0.0),
    (T + 2 * HOUR, 10.5, 13.0, 10.5, 13.0, 7.25),
]


def lines(time: list[str], separator: str = ",", decimal: str = ".") -> str:
    return "".join(
        separator.join([t, *(str(v).replace(".", decimal) for v in row[1:])]) + "\n"
        for t, row in zip(time, ROWS, strict=True)
    )


FORMS = [
    ("open_time,open,high,low,close,volume\n", [str(r[0]) for r in ROWS], []),
    ("Timestamp,Open,High,Low,Close,Volume\n", [str(r[0] // 1000) for r in ROWS], []),
    ("time,open,high,low,close,volume\n", [str(r[0] * 1000) for r in ROWS], []),
    ("time,open,high,low,close,volume\n", [str(r[0] * 10**6) for r in ROWS], []),
    ("Date,Open,High,Low,Close,Volume BTC\n", [f"2025-03-01 0{i}:00:00" for i in range(3)], []),
    ("date,open,high,low,close,volume\n", [f"2025-03-01T0{i}:00:00Z" for i in range(3)], []),
    ("date,open,high,low,close,volume\n", [f"2025-03-01T0{i + 3}:00+03:00" for i in range(3)], []),
    (
        "Zeit,o,h,l,c,Menge\n",
        [f"01.03.2025 0{i + 1}:00" for i in range(3)],
        [
            "--columns",
            "open_time=Zeit,open=o,high=h,low=l,close=c,volume=Menge",
            "--time-format",
            "%d.%m.%Y %H:%M",
            "--timezone",
            "Europe/Berlin",
        ],
    ),
    (
        "https://www.example.com\nunix,open,high,low,close,volume\n",
        [str(r[0]) for r in ROWS],
        ["--skip", "1"],
    ),
]


@pytest.mark.parametrize(("header", "time", "options"), FORMS)
def test_usual_forms(tmp_path: Path, header: str, time: list[str], options: list[str]) -> None:
    assert bring(tmp_path, header + lines(time), *options) == 0
    assert loaded(tmp_path) == ROWS


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    text = lines([str(r[0]) for r in ROWS], ";", ",")
    head = "time;open;high;low;close;volume\n"
    assert bring(tmp_path, head + text, "--delimiter", ";", "--decimal", ",") == 0
    assert loaded(tmp_path) == ROWS


def test_newest_first_and_doubled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = lines([str(r[0]) for r in ROWS]).splitlines(keepends=True)
    text = "time,open,high,low,close,volume\n" + "".join([*rows[::-1], rows[1]])
    assert bring(tmp_path, text) == 0
    assert loaded(tmp_path) == ROWS
    out = capsys.readouterr().out
    assert "rows were sorted by time" in out
    assert "1 row(s) that were there twice were dropped" in out


def test_funding(tmp_path: Path) -> None:
    text = "calc_time,funding_interval_hours,last_funding_rate\n" + f"{T},8,0.0001\n"
    assert bring(tmp_path, text, what="funding") == 0
    assert (tmp_path / "out" / "BTCUSDT-funding.parquet").exists()


HEAD = "time,open,high,low,close,volume\n"
REFUSED = [
    (
        "time,open,high,low,close,volume\nyesterday,1,1,1,1,1\n",
        [],
        "line 2: column time: 'yesterday' is no time",
    ),
    (
        "time,open,high,low,close,volume\n1740787200000,1,1\n",
        [],
        "line 2: it has 3 cells, and column low is number 4",
    ),
    ("", [], "which column is open_time"),
    (HEAD, [], "the file has no row"),
    ("when,open,high,low,close,volume\n1,1,1,1,1,1\n", [], "--columns open_time=NAME"),
    (HEAD + f"{T},1,1,1,1\n", [], "line 2"),
    (HEAD + f"{T},1,1,1,much,1\n", [], "line 2: column close: 'much' is no number"),
    (HEAD + f"{T},1,1,1,nan,1\n", [], "line 2: column close: 'nan' is no number"),
    (HEAD + f"{T},1,0.5,1,1,1\n", [], "line 2: no candle can be open 1, high 0.5"),
    (HEAD + f"{T},1,1,1,1,-1\n", [], "no candle can be"),
    (HEAD + f"{T + 1000},1,1,1,1,1\n", [], "is no 1h boundary; check"),
    (HEAD + f"{T},1,1,1,1,1\n{T},2,2,2,2,1\n", [], "lines 2 and 3 say different things"),
    (HEAD + "yesterday,1,1,1,1,1\n", [], "line 2"),
    (HEAD, ["--columns", "prize=close"], "there is no column prize"),
    (HEAD, ["--columns", "close"], "write OURS=THEIRS"),
    (HEAD, ["--timezone", "Mars/Olympus"], "unknown time zone"),
    (HEAD, ["--decimal", ","], "are one character each, and different"),
    (HEAD, ["--what", "trades"], "use candles, mark, funding"),
    (HEAD, ["--timeframe", "7m"], "unknown time frame"),
]


@pytest.mark.parametrize(("text", "options", "said"), REFUSED)
def test_what_cannot_be_is_refused_with_its_place(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    options: list[str],
    said: str,
) -> None:
    assert bring(tmp_path, text, *options) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_earlier_import_is_overwritten_only_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = HEAD + lines([str(r[0]) for r in ROWS])
    assert bring(tmp_path, text) == 0
    assert bring(tmp_path, text) == 2
    assert "overwrite it with --replace" in capsys.readouterr().err
    assert bring(tmp_path, text, "--replace") == 0
