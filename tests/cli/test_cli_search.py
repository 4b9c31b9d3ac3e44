"""./run optimize, walkforward and lookahead as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from local.cli.main import main
from local.cli.walkforward import longest_holding
from shared.research.config import from_environment
from shared.research.space import Space, parse
from shared.research.trials import Ledger
from shared.strategies.registry import FORMULAS, available, strategy

START = 1_672_531_200_000  # 2023-01-01
HOUR = 3_600_000
BARS = 24 * 150
END = "2023-05-30"


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hourly candles of two contracts with trends in them, as CSV."""
    folder = tmp_path_factory.mktemp("candles")
    for seed, (symbol, price, tick) in enumerate([("BTCUSDT", 3e4, 0.1), ("ETHUSDT", 2e3, 0.01)]):
        rng = np.random.default_rng(seed)
        drift = np.repeat(rng.normal(0.0, 0.0015, BARS // 60), 60)
        close = price * np.exp(np.cumsum(rng.normal(0.0, 0.006, BARS) + drift))
        opened = np.concatenate(([price], close[:-1]))
        high = np.maximum(opened, close) * (1 + np.abs(rng.normal(0, 0.002, BARS)))
        low = np.minimum(opened, close) * (1 - np.abs(rng.normal(0, 0.002, BARS)))
        columns = [np.round(np.round(c / tick) * tick, 8) for c in (opened, high, low, close)]
        volume = np.round(np.exp(rng.normal(5.0, 0.5, BARS)), 3)
        lines = ["open_time,open,high,low,close,volume"]
        for i in range(BARS):
            prices = ",".join(repr(float(c[i])) for c in columns)
            lines.append(f"{START + i * HOUR},{prices},{volume[i]}")
        (folder / f"{symbol}-1h.csv").write_text("\n".join(lines) + "\n")
    return folder


def ask(candles: Path, tmp_path: Path, command: str, *more: str) -> list[str]:
    words = [command, "--data", str(candles), "--from", "2023-01-20", "--to", END]
    words += ["--symbols", "BTCUSDT,ETHUSDT", "--workers", "0", "--quiet"]
    # Twenty days of history are enough for these, and an average of 36 bars for a fast one of 40.
    words += ["--config", "demonstration", "--timeframes", "1h"]
    words += ["--ledger", str(tmp_path / "trials.jsonl"), "--out", str(tmp_path / "out")]
    return [*words, *more]


SPACE = ["--param", "threshold=0.2:0.4:0.1", "--param", "trend.fast=8,40", "--min-trades", "5"]


def test_optimize_judges_on_what_it_did_not_search(
    candles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ask(
        candles, tmp_path, "optimize", *SPACE, "--holdout", "40d", "--jitter", "4", "--paths", "3"
    )
    assert main(words) == 0
    first = capsys.readouterr().out
    assert "report.html" in first.replace("\n", "")
    beside = json.loads((tmp_path / "out" / "report.json").read_text())
    search = beside["search"]
    # 40 and above slow (36) cannot be used; that is three of six.
    assert [bool(o["problem"]) for o in search["outcomes"]].count(True) == 3
    assert search["tried"]["trials"] == 3
    assert beside["statistics"]["start"] == "2023-04-21T00:00:00.000Z"
    assert search["end"] == search["choice"]["seen_until"]
    assert beside["settings"]["seen_until"] <= START + (31 + 28 + 31 + 20) * 24 * HOUR
    assert len(beside["jitter"]["returns"]) > 0
    assert len(beside["redrawn"]["returns"]) == 3
    assert set(beside["variations"]) >= {"Costs x 2", "Costs x 3"}
    html = (tmp_path / "out" / "report.html").read_text()
    assert "Beside buy and hold" in html
    assert "Chosen on this very data" not in html
    # Again: nothing is tried twice, and the same comes out.
    made = (tmp_path / "trials.jsonl").read_bytes()
    assert main(words) == 0
    assert capsys.readouterr().out == first
    assert (tmp_path / "trials.jsonl").read_bytes() == made


def test_without_a_holdout_the_report_says_so(candles: Path, tmp_path: Path) -> None:
    words = ask(
        candles, tmp_path, "optimize", *SPACE, "--holdout", "0d", "--jitter", "0", "--paths", "0"
    )
    assert main([*words, "--method", "bayes", "--trials", "6"]) == 0
    assert "Chosen on this very data" in (tmp_path / "out" / "report.html").read_text()


def test_failure_26_walk_forward_and_monte_carlo_are_there(
    candles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """freqtrade#11737, #2821: the research features that users asked for most."""
    spans = ["--train", "50d", "--test", "20d", "--embargo", "24h"]
    assert main(ask(candles, tmp_path, "walkforward", *SPACE, *spans)) == 0
    # A long path is wrapped.
    assert "report.html" in capsys.readouterr().out.replace("\n", "")
    beside = json.loads((tmp_path / "out" / "report.json").read_text())
    steps = beside["walk_forward"]["steps"]
    # 131 days less 50, 2 of purge (48 bars) and 1 of embargo leave three tests of 20.
    assert len(steps) == 3
    for step in steps:
        gap = step["window"]["test_start"] - step["window"]["train_end"]
        assert gap == 3 * 24 * HOUR
        assert step["choice"]["seen_until"] <= step["window"]["train_end"]
    assert beside["statistics"]["end"] == "2023-05-31T00:00:00.000Z"
    assert len(list(Ledger(tmp_path / "trials.jsonl").trials())) == 3 * 6
    # How much of the result was luck: trades in another order, drawn again, and days in blocks.
    for method in ("shuffled", "resampled", "blocks"):
        drawn = beside["luck"][method]
        assert drawn["paths"] == 10_000
        assert drawn["own_final"] == pytest.approx(1 + beside["statistics"]["total_return"])
        assert drawn["final"] == sorted(drawn["final"])
        assert method == "shuffled" or drawn["final"][0] < drawn["own_final"] < drawn["final"][-1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--param", "trend.fast=1:400:1", "--param", "trend.slow=1:400:1",
          "--param", "threshold=0:1:0.1"], "1,760,000 points"),
        ([], "at least one parameter"),
        (["--param", "trend.fast=5:1:1"], "no range"),
        (["--param", "trend.speed=1:3:1"], "speed"),
        (["--param", "threshold=0.3", "--objective", "luck"], "one of sharpe"),
        (["--param", "threshold=0.3", "--method", "magic"], "grid, bayes"),
        (["--param", "threshold=0.3", "--holdout", "900d"], "leaves nothing"),
        (["--param", "threshold=0.3", "--set", "NOTHING"], "NAME=VALUE"),
        (["--param", "threshold=0.3", "--set", "NOTHING=1"], "there is no setting NOTHING"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_what_cannot_be_searched_is_told(
    words: list[str], says: str, candles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(ask(candles, tmp_path, "optimize", *words)) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_too_short_for_the_windows(
    candles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(ask(candles, tmp_path, "walkforward", "--param", "threshold=0.3")) == 2
    assert "too short" in capsys.readouterr().err


def test_lookahead_of_all_that_ships(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lookahead", "all", "--bars", "900", "--cuts", "4"]) == 0
    ship = [name for name in available() if not strategy(name).with_params({}).refusal("1h")]
    assert ship[: len(FORMULAS)] == [formula.name for formula in FORMULAS]
    assert capsys.readouterr().out.count("blind to the future") == len(ship)
    assert (
        main(["lookahead", "ta:EMA", "--bars", "300", "--cuts", "4", "--param", "timeperiod=9"])
        == 0
    )


OWN = """
import numpy as np

def late(c):
    return {"return": np.diff(c.close, prepend=c.close[0])}

def early(c, bars=1):
    return np.append(c.close[bars:], c.close[:bars])

number = 3
"""


def test_lookahead_of_your_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_feature.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    options = ["--bars", "300", "--cuts", "4"]
    assert main(["lookahead", "own_feature:late", *options]) == 0
    capsys.readouterr()
    assert main(["lookahead", "own_feature:early", *options]) == 1
    out = capsys.readouterr().out
    assert "KNOWS THE FUTURE" in out
    assert main(["lookahead", "own_feature:early", *options, "--param", "bars=3"]) == 1
    for subject, says in (
        ("own_feature:missing", "missing"),
        ("nowhere:x", "nowhere"),
        ("own_feature:number", "neither a strategy"),
        ("trends", "unknown strategy"),
        ("ta:NOTHING", "NOTHING"),
    ):
        assert main(["lookahead", subject, *options]) == 2
        assert says in capsys.readouterr().err


def test_lookahead_on_candle_files(candles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["lookahead", "trend", "--data", str(candles), "--cuts", "3", "--timeframe", "1h"]
    assert main([*words, "--from", "2023-02-01", "--to", "2023-04-30"]) == 0
    assert main(words) == 2
    assert "--from" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("param", "bars"),
    [
        ("trend.fast=5:50:5", 336),
        ("MAX_HOLDING_BARS=24,336,100", 336),
        ("MAX_HOLDING_BARS=24:90:10", 84),
        ("MAX_HOLDING_BARS=24:30000", 30000),
    ],
)
def test_the_gap_is_as_long_as_any_trial_may_hold_a_position(param: str, bars: int) -> None:
    config = from_environment(
        {}, symbols=("BTCUSDT",), timeframes=("15m", "1h"), start_ms=0, end_ms=10
    )
    assert longest_holding(Space([parse(param)]), config) == bars * 3_600_000


HOSTILE = """
import numpy as np

def raises(c):
    return 1 / 0

def writes(c):
    c.close[5] = 1.0
    return c.close

rolls = np.random.default_rng(1)

def rolled(c):
    return rolls.normal(size=len(c))

def text(c):
    return "abc"

def nothing(c):
    return np.full(len(c), np.nan)
"""


@pytest.mark.parametrize(
    ("subject", "says"),
    [
        ("hostile:raises", "hostile:raises raised ZeroDivisionError: division by zero (hostile.py"),
        ("hostile:writes", "read-only"),
        ("hostile:rolled", "gives other values when it is asked again"),
        ("hostile:text", "could not convert string"),
        ("hostile:nothing", "hostile:nothing has no number on any of 300 bars"),
        ("unparsed:x", "unparsed raised SyntaxError"),
        ("unimported:x", "No module named 'nothing_of_this_name'"),
    ],
)
def test_what_your_own_code_dies_of_is_told_in_a_line(
    subject: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "hostile.py").write_text(HOSTILE)
    (tmp_path / "unparsed.py").write_text("def broken(:\n")
    (tmp_path / "unimported.py").write_text("import nothing_of_this_name\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["lookahead", subject, "--bars", "300", "--cuts", "4"]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("command", ["optimize", "walkforward"])
@pytest.mark.parametrize(
    ("param", "says"),
    [
        ("trend.fsat=5,10", "fsat"),
        ("RISK_PER_TRAID=0.001,0.002", "there is no setting RISK_PER_TRAID"),
        ("threshold=7:9:1", "threshold=7"),
        ("STOP_ATR=x", "STOP_ATR=x"),
    ],
)
def test_a_mistake_in_a_parameter_is_told_before_any_trial(
    command: str,
    param: str,
    says: str,
    candles: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ledger = tmp_path / "trials.jsonl"
    words = ask(candles, tmp_path, command, "--param", "trend.slow=20,40", "--param", param)
    assert main(words) == 2
    assert says in capsys.readouterr().err
    assert not ledger.exists()
