"""The report: complete, self-contained, safe, and right for odd results too."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from made_results import HOUR, START, daily_result, random_result, row

from shared.errors import InvalidInput
from shared.market.candle import Columns
from shared.market.timeframe import DAY_MS
from shared.research.breakdown import breakdown
from shared.research.caveats import caveats
from shared.research.equity import Curve
from shared.research.evaluation import Outcome
from shared.research.luck import assess
from shared.research.overfitting import Overfitting
from shared.research.report.extras import Extras, Jitter
from shared.research.report.page import write_report
from shared.research.report.plot import calendar_ticks, nice_ticks, thinned
from shared.research.report.words import hours, money, number, percent, price
from shared.research.result import EXIT_REASONS, Result
from shared.research.search import Choice, Plan, Search
from shared.research.statistics import statistics
from shared.research.trials import Tried
from shared.research.walkforward import Step, WalkForward
from shared.research.windows import Window

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


class Page(HTMLParser):
    """Tags, ids, links and whether every tag was closed."""

    VOID = frozenset({"meta", "input", "br", "path", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "srcset", "data", "action", "poster"):
                self.links.append(value or "")
            assert not name.startswith("on"), f"inline handler {name}"

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def written(result: Result, extras: Extras, folder: Path) -> tuple[Page, str, dict]:  # type: ignore[type-arg]
    path = folder / "out" / "report.html"
    write_report(result, extras, path)
    text = path.read_text("utf-8")
    page = Page(text)
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    # Everything is inside: links lead to places of the page, nothing is loaded.
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "NaN" not in text.replace("isNaN", "")
    return page, text, json.loads(path.with_suffix(".json").read_text("utf-8"))


def full(result: Result) -> Extras:
    """Extras with everything."""
    time = result.time - HOUR
    close = 100.0 + np.sin(np.arange(len(time)) / 500.0)
    prices = Columns("BTCUSDT", "1h", time, close, close, close, close, close)
    hold = Curve(
        np.concatenate(([time[0]], result.time)), np.linspace(5000.0, 9000.0, len(time) + 1)
    )
    params = [{"trend.fast": f, "threshold": t} for f in (5, 10, 15) for t in (0.3, 0.4)]
    outcomes = [
        Outcome(params=p, figures={"sharpe": 1.0 + i / 10, "trades": 99.0, "return": 0.1 * i})
        for i, p in enumerate(params)
    ]
    outcomes.append(Outcome(params={"trend.fast": 1, "threshold": 0.3}, problem="too fast"))
    choice = Choice(study="s", params=params[5], score=1.5, seen_until=START)
    search = Search(
        plan=Plan(),
        study="s",
        start=START,
        end=START + 100 * DAY_MS,
        outcomes=outcomes,
        choice=choice,
        deflated=0.61,
        overfitting=Overfitting(
            probability=0.55, loss_probability=0.4, slope=-0.2, trials=6, observations=100,
            blocks=10, combinations=252, logits=[],
        ),
        distinct=6,
        tried=Tried(trials=431, studies=7, variance=0.001),
    )  # fmt: skip
    window = Window(
        number=1,
        train_start=START,
        train_end=START + 50 * DAY_MS,
        test_start=START + 52 * DAY_MS,
        test_end=START + 80 * DAY_MS,
    )
    whole = statistics(result)
    steps = [
        Step(window=window, choice=choice, trials=6, train=outcomes[5], test=whole),
        Step(window=window, choice=None, trials=6, train=None, test=None),
    ]
    return Extras(
        title="Everything",
        prices={"BTCUSDT": prices},
        benchmarks={"Buy and hold": hold},
        variations={"Costs doubled": whole},
        jitter=Jitter(0.1, [0.1, -0.05, 0.2]),
        search=search,
        walk=WalkForward(steps, result, 0.42),
        paths=300,
    )


def test_a_full_report(tmp_path: Path) -> None:
    result = random_result(4, days=300, trades=240, edge=0.1)
    page, text, beside = written(result, full(result), tmp_path)
    whole = statistics(result)
    for anchor in (
        "warnings", "equity", "months", "walkforward", "search", "figures", "distribution",
        "costs", "groups", "rolling", "luck", "stress", "trades", "list", "settings",
    ):  # fmt: skip
        assert anchor in page.ids
    for figure in (
        percent(whole.total_return, sign=True),
        percent(whole.max_drawdown),
        number(whole.sharpe),
        number(whole.trading.profit_factor),
        f"{whole.trading.trades:,}",
        "431",
        "61.0\u202f%",
        "Mean growth per year",
        "Chosen on this very data",
        "not traded",
        "Costs doubled",
        "3 variations",
        "Chosen by overfitting",
    ):
        assert figure in page.text or figure in text
    assert page.tags.count("svg") >= 8
    assert beside["statistics"]["sharpe"] == whole.sharpe
    assert len(beside["trades"]) == 240
    assert beside["equity"]["equity"][-1] == result.equity[-1]
    assert len(beside["equity"]["time"]) == 301
    first = beside["trades"][0]
    assert first["net"] == result.trades.net[0]
    assert first["exit_reason"] in EXIT_REASONS
    assert first["side"] in ("long", "short")
    assert beside["search"]["tried"]["trials"] == 431
    assert beside["walk_forward"]["steps"][0]["test"]["sharpe"] == whole.sharpe
    assert beside["luck"]["shuffled"]["paths"] == 300
    assert len(text) < 600_000


def test_the_chart_holds_the_values_it_draws(tmp_path: Path) -> None:
    result = random_result(5, days=60, trades=40)
    _, text, _ = written(result, Extras(paths=200), tmp_path)
    found = re.search(
        r'aria-label="Equity and drawdown.*?<script type="application/json">(.*?)</script>',
        text,
        re.S,
    )
    assert found
    series = {s["name"]: s for s in json.loads(found[1])["series"]}
    assert series["Equity"]["x"][-1] == result.time[-1]
    assert series["Equity"]["y"][-1] == pytest.approx(result.equity[-1], rel=1e-5)
    assert max(series["Equity"]["y"]) == pytest.approx(max(result.equity.max(), 5000.0), rel=1e-5)
    assert min(series["Drawdown"]["y"]) == pytest.approx(-statistics(result).max_drawdown, rel=1e-5)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    evil = '<script>alert(1)</script>"onload="x'
    result = replace(
        random_result(6, days=40, trades=30),
        symbols=(evil, "</script>"),
        strategies=("<img src=x>", "b"),
        notes=(evil,),
        decisions={evil: 3},
        settings={"</pre><script>": evil},
    )
    page, text, _ = written(result, Extras(title=evil, paths=200), tmp_path)
    assert page.tags.count("img") == 0
    assert "<script>alert" not in text
    assert evil in "".join(page.words)


@pytest.mark.parametrize(
    ("case", "result"),
    [
        ("no trade", daily_result([1000.0] * 40)),
        ("one sample", daily_result([1010.0])),
        ("one trade", daily_result([1000.0, 1010.0], [row(10.0, START + DAY_MS)])),
        ("lost", daily_result([400.0, -5.0, -5.0], [row(-1005.0, START + DAY_MS, risk=0.0)])),
        ("equal trades", daily_result([9.0] * 30, [row(1.0, START + i * DAY_MS) for i in (1, 2)])),
        ("no cost before", daily_result([990.0] * 3, [row(-10.0, START + DAY_MS, fees=4.0)])),
    ],
)  # fmt: skip
def test_odd_results(case: str, result: Result, tmp_path: Path) -> None:
    page, _, _ = written(result, Extras(paths=200), tmp_path)
    assert {"warnings", "equity", "months", "figures"} <= set(page.ids)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_report(daily_result([1.0]), Extras(paths=200), tmp_path / "file" / "report.html")


def titles(result: Result, **other: object) -> dict[str, str]:
    whole, parts = statistics(result), breakdown(result)
    luck = assess(result, paths=300, tried=other.pop("tried", None))  # type: ignore[arg-type]
    return {c.title: c.level for c in caveats(result, whole, parts, luck, **other)}  # type: ignore[arg-type]


def steady(nets: list[float], **other: object) -> Result:
    """One trade a day, equity moving with it."""
    rows = [row(n, START + (i + 1) * DAY_MS - HOUR, **other) for i, n in enumerate(nets)]
    equity = 1000.0 + np.cumsum(nets)
    return daily_result(equity.tolist(), rows)


GOOD = [2.0, 3.0, -1.0, 1.5] * 100


@pytest.mark.parametrize(
    ("title", "level", "result"),
    [
        ("No trade", "serious", daily_result([1000.0] * 300)),
        ("It lost money", "serious", steady([-2.0, 1.0] * 100)),
        ("Deep drawdown", "serious", steady([-10.0] * 25 + [5.0] * 200)),
        ("Too few trades", "serious", steady(GOOD[:20])),
        ("Few trades", "caution", steady(GOOD[:60])),
        ("Short period", "caution", steady(GOOD[:150])),
        ("One good month", "serious", steady([10.0] * 31 + [-1.0, 0.5] * 100)),
        ("A few trades carry it", "caution", steady([500.0] + [-1.0, 0.9] * 49)),
        ("Costs eat the edge", "serious", steady([-0.5] * 200, fees=2.0)),
        ("Costs eat most of the edge", "caution", steady(GOOD, fees=2.0)),
        ("Little room for worse fills", "caution", steady(GOOD, fees=2.0)),
        ("Liquidations", "serious", steady(GOOD, exit_reason=EXIT_REASONS.index("liquidation"))),
        ("The kill switch fired", "serious", steady(GOOD, exit_reason=5)),
        ("Open at the end", "note", steady(GOOD, exit_reason=EXIT_REASONS.index("end of data"))),
        ("Could be luck", "serious", steady([1.0, -0.98] * 100)),
        ("Under water for most of the time", "caution", steady([-5.0] + [0.02] * 240)),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_warnings_in_plain_words(title: str, level: str, result: Result) -> None:
    assert titles(result).get(title) == level


def test_a_good_long_record_has_no_warning() -> None:
    assert titles(steady(GOOD)) == {}


def test_warnings_that_need_more() -> None:
    good = steady(GOOD)
    assert titles(good, benchmarks={"Hold": 5.0}) == {"Something simpler earned more": "caution"}
    assert titles(good, benchmarks={"Hold": -0.5}) == {}
    many = titles(good, tried=Tried(trials=100_000, studies=9, variance=0.09))
    assert many.get("Could be luck") == "serious"
    bad = full(random_result(1, days=60, trades=40)).search
    assert bad is not None
    assert titles(good, overfit=bad.overfitting) == {"Chosen by overfitting": "serious"}
    assert titles(replace(good, notes=("mark price is missing",))) == {"Note on the data": "note"}


def test_notes_that_say_the_same_are_told_once() -> None:
    notes = (
        "the kill switch latched 1 time(s), first at 2022-05-11T13:00:02.000Z",
        "the kill switch latched 6 time(s), first at 2023-01-01T00:00:02.000Z",
        "BTCUSDT: no mark price file",
        "XRPUSDT: no mark price file",
        "something else",
    )
    result = replace(steady(GOOD), notes=notes)
    whole, parts = statistics(result), breakdown(result)
    found = caveats(result, whole, parts, assess(result, paths=200))
    assert [c.text for c in found] == [
        notes[0] + " (and 1 more like it)",
        notes[2] + " (and 1 more like it)",
        notes[4],
    ]


def test_warnings_of_other_assumptions() -> None:
    good, bad = steady(GOOD), statistics(steady([-2.0, 1.0] * 100))
    same = statistics(good)
    assert titles(good, variations={"Costs x 2": bad}) == {"Doubled costs lose": "caution"}
    assert titles(good, variations={"Costs x 2": same, "Inside a bar: any": same}) == {}
    found = titles(good, variations={"Inside a bar: the adverse extreme first": bad})
    assert found == {"The order inside a bar decides": "caution"}


def test_a_symbol_that_carries_it() -> None:
    rows = [row(2.0 if i % 2 else -1.0, START + (i + 1) * DAY_MS, symbol=i % 2) for i in range(200)]
    result = daily_result((1000.0 + np.cumsum([r["net"] for r in rows])).tolist(), rows)
    assert titles(result)["One symbol carries it"] == "caution"


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0.0, 10.0, 5, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
        (-0.031, 0.0, 2, [-0.02, 0.0]),
        (4870.0, 9120.0, 4, [5000.0, 6000.0, 7000.0, 8000.0, 9000.0]),
    ],
)
def test_round_ticks(low: float, high: float, count: int, expected: list[float]) -> None:
    found = nice_ticks(low, high, count)
    assert all(low - 1e-9 <= v <= high + 1e-9 for v in found)
    assert 2 <= len(found) <= 2 * count + 1
    if count == 5:
        assert found == expected
    assert set(found) & set(expected)


@pytest.mark.parametrize("days", [0.5, 1, 3, 20, 70, 90, 200, 400, 1500, 4000, 9000])
def test_calendar_ticks_are_few_and_inside(days: float) -> None:
    low, high = float(START), START + days * DAY_MS
    found = calendar_ticks(low, high)
    assert 1 <= len(found) <= 12
    assert all(low <= at <= high for at, _ in found)
    assert len({at for at, _ in found}) == len(found)


def test_thinning_keeps_every_peak_and_trough() -> None:
    y = np.random.default_rng(1).normal(0.0, 1.0, 50_000)
    y[31_234], y[11_111] = 50.0, -50.0
    keep = thinned(y, 300)
    assert len(keep) <= 602
    assert {0, 49_999, 31_234, 11_111} <= set(keep.tolist())
    assert (np.diff(keep) > 0).all()
    assert thinned(y[:100]).tolist() == list(range(100))


def test_figures_in_words() -> None:
    assert number(-1234.5) == "\u22121,234.50"
    assert number(-0.001) == "0.00"
    assert number(None) == number(float("nan")) == "\u2013"
    assert number(2.0, 1, sign=True) == "+2.0"
    assert percent(0.1234) == "12.3\u202f%"
    assert money(12345.6) == "12,346"
    assert (price(67123.4), price(0.123456), price(1.5)) == ("67,123.4", "0.123456", "1.5")
    assert (hours(0.5), hours(6.25), hours(72.0)) == ("30\u202fmin", "6.2\u202fh", "3.0\u202fd")


PROBE = """
<script>
window.problems = [];
addEventListener("error", e => window.problems.push(e.message));
</script>
"""
ASK = """
<script>
addEventListener("load", () => {
  const said = [];
  for (const chart of document.querySelectorAll("figure.chart")) {
    if (!chart.querySelector("script") || !chart.offsetWidth) continue;
    chart.focus();
    chart.dispatchEvent(new KeyboardEvent("keydown", {key: "Home", bubbles: true}));
    chart.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}));
    const tip = chart.querySelector(".tip");
    said.push(tip.hidden ? "hidden" : tip.textContent);
  }
  const link = document.querySelector("a[data-from]");
  link.click();
  const figure = document.querySelector("#trades figure");
  const zoomed = [figure.classList.contains("zoomed"), figure.querySelector(".axis").textContent];
  figure.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape"}));
  zoomed.push(figure.classList.contains("zoomed"));
  const wide = document.documentElement.scrollWidth - innerWidth;
  document.body.dataset.probe = JSON.stringify({said, wide, zoomed, problems: window.problems});
});
</script>
"""

if BROWSER:

    @pytest.mark.parametrize("width", [1400, 420])
    def test_in_a_browser(width: int, tmp_path: Path) -> None:
        """Scripts run without errors, arrow keys read every chart, nothing is too wide."""
        result = random_result(4, days=120, trades=90)
        path = tmp_path / "report.html"
        write_report(result, full(result), path)
        text = path.read_text("utf-8")
        path.write_text(
            text.replace("<body>", "<body>" + PROBE).replace("</body>", ASK + "</body>")
        )
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            f"--window-size={width},900",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
        ]
        shown = subprocess.run(
            [BROWSER, *options, path.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        found = re.search(r'data-probe="([^"]*)"', shown)
        assert found
        probe = json.loads(found[1].replace("&quot;", '"').replace("&amp;", "&"))
        assert probe["problems"] == []
        assert probe["wide"] <= 0
        assert len(probe["said"]) >= 5
        assert probe["zoomed"][::2] == [True, False]
        assert re.search(r"\d\d:\d\d|\d{4}-\d\d-\d\d", probe["zoomed"][1])
        assert all(re.search(r"\d", said) for said in probe["said"])
