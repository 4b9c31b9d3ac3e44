"""Searches, their ledger, and the wall between what was seen and what is reported."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy_runner
from made_results import daily_result, row
from toy_runner import HOUR, START, market

from shared.errors import InvalidInput
from shared.market.timeframe import DAY_MS
from shared.research.code import LEFT_OUT, PARTS, code_digest, digest_of
from shared.research.evaluation import Job, Outcome, Runner
from shared.research.result import Result
from shared.research.sealed import Market, market_digest, sealed, seen_until
from shared.research.search import Choice, Plan, Search, chosen, search
from shared.research.space import Space, from_file, parse
from shared.research.trials import Ledger, Trial, packed, params_key, unpacked
from shared.research.walkforward import joined, judge, walk_forward
from shared.research.windows import span, walk_forward_windows
from shared.research.workers import Workers

MARKET = market()
END = START + 4000 * HOUR


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trend.fast=5:50:5", (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)),
        ("a=0.1:0.4:0.1", (0.1, 0.2, 0.3, 0.4)),
        ("a=3:10:3", (3, 6, 9)),
        ("a=1:3", (1, 2, 3)),
        ("a=24,36,48", (24, 36, 48)),
        ("a = on, off", ("on", "off")),
        ("a=true,false", (True, False)),
        ("a=7", (7,)),
    ],
)
def test_parameters_of_the_command_line(text: str, expected: tuple[object, ...]) -> None:
    found = parse(text)
    assert found.values == expected
    assert found.name == text.partition("=")[0].strip()
    assert [type(v) for v in found.values] == [type(v) for v in expected]


def test_a_range_without_steps_is_continuous() -> None:
    found = parse("a=0.5:1.5")
    assert (found.continuous, found.low, found.high) == (True, 0.5, 1.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fast", "NAME=FROM:TO:STEP"),
        ("fast=", "NAME=FROM:TO:STEP"),
        ("=1:2", "NAME=FROM:TO:STEP"),
        ("fast=5:1:1", "no range"),
        ("fast=1:5:0", "above zero"),
        ("fast=1:5:-1", "above zero"),
        ("fast=1:x:2", "not a number"),
        ("fast=1:2:3:4", "FROM:TO:STEP"),
        ("fast=1,1", "twice"),
        ("fast=1,,2", "commas"),
        ("fast=nan:5:1", "no range"),
        ("fast=0:1:0.0000001", "larger step"),
    ],
)
def test_parameters_that_cannot_be_used(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        parse(text)


def test_parameter_files(tmp_path: Path) -> None:
    toml, json = tmp_path / "space.toml", tmp_path / "space.json"
    toml.write_text(
        'trend.fast = "5:15:5"\nthreshold = [0.3, 0.4]\n'
        "[trend.slow]\nfrom = 20\nto = 40\nstep = 10\n"
    )
    json.write_text(
        '{"trend.fast": "5:15:5", "threshold": [0.3, 0.4],'
        ' "trend.slow": {"from": 20, "to": 40, "step": 10}}'
    )
    a, b = from_file(toml), from_file(json)
    assert a.parameters == b.parameters
    assert a.size == 3 * 2 * 3
    json.write_text('{"a": {"from": 1, "to": 2, "by": 3}}')
    with pytest.raises(InvalidInput, match="by is not known"):
        from_file(json)
    json.write_text("[1]")
    with pytest.raises(InvalidInput, match="names with their values"):
        from_file(json)
    with pytest.raises(InvalidInput, match="missing"):
        from_file(tmp_path / "missing.json")


def test_a_grid_of_a_million_is_refused_with_what_to_do() -> None:
    space = Space([parse("a=1:100:1"), parse("b=1:100:1"), parse("c=1:100:1")])
    assert space.size == 1_000_000
    with pytest.raises(InvalidInput, match=r"1,000,000 points.*--method bayes"):
        space.grid()
    with pytest.raises(InvalidInput, match="needs steps"):
        Space([parse("a=0.5:1.5")]).grid()
    with pytest.raises(InvalidInput, match="twice"):
        Space([parse("a=1"), parse("a=2")])
    with pytest.raises(InvalidInput, match="at least one"):
        Space([])


def test_neighbours_stay_near() -> None:
    space = Space([parse("a=10:50:1"), parse("b=0.1:0.9:0.1"), parse("c=x,y")])
    for point in space.near({"a": 20, "b": 0.5, "c": "x", "d": True}, 50, width=0.2):
        assert isinstance(point["a"], int)
        assert 16 <= point["a"] <= 24
        assert 0.4 <= float(point["b"]) <= 0.6
        assert (point["c"], point["d"]) == ("x", True)


def test_windows_by_hand() -> None:
    days = [
        (
            w.train_start // DAY_MS,
            w.train_end // DAY_MS,
            w.test_start // DAY_MS,
            w.test_end // DAY_MS,
        )
        for w in walk_forward_windows(
            0, 100 * DAY_MS, train=40 * DAY_MS, test=20 * DAY_MS, purge=2 * DAY_MS, embargo=DAY_MS
        )
    ]
    # 100 - 40 - 3 = 57 days leave two tests, which end with the data.
    assert days == [(17, 57, 60, 80), (37, 77, 80, 100)]
    anchored = walk_forward_windows(
        0, 100 * DAY_MS, train=40 * DAY_MS, test=20 * DAY_MS, anchored=True
    )
    assert [w.train_start for w in anchored] == [0, 0, 0]
    assert [w.train_end // DAY_MS for w in anchored] == [40, 60, 80]
    assert all(w.train_end == w.test_start for w in anchored)


def test_windows_that_do_not_fit() -> None:
    with pytest.raises(InvalidInput, match="need 60 days, there are 50 days"):
        walk_forward_windows(0, 50 * DAY_MS, train=40 * DAY_MS, test=20 * DAY_MS)
    with pytest.raises(InvalidInput, match="above zero"):
        walk_forward_windows(0, 50 * DAY_MS, train=0, test=20 * DAY_MS)
    assert (span("36h"), span("90d"), span("2w")) == (36 * HOUR, 90 * DAY_MS, 14 * DAY_MS)
    with pytest.raises(InvalidInput, match="36h, 90d or 52w"):
        span("3 months")


@pytest.mark.parametrize("hours", [1, 500, 501.5, 3999, 4000, 9000])
def test_a_sealed_market_knows_nothing_after_its_end(hours: float) -> None:
    end = START + int(hours * HOUR)
    cut = sealed(MARKET, end)["BTCUSDT"]
    assert seen_until({"BTCUSDT": cut}) <= end
    assert cut.end_ms <= end
    for columns in (cut.candles, cut.mark, *cut.longer.values()):
        assert columns is not None
        for name in ("open_time", "open", "high", "low", "close", "volume"):
            # No view: a view would lead to the whole array.
            assert getattr(columns, name).base is None
    assert cut.funding is not None
    assert cut.funding.time.base is None
    whole = MARKET["BTCUSDT"].candles
    bars = min(int(hours), 4000)
    assert np.array_equal(cut.candles.close, whole.close[:bars])
    if hours < 4000:
        assert len(cut.longer["1d"]) < 23 or hours >= 72
    with pytest.raises(InvalidInput, match="nothing is known"):
        sealed(MARKET, START)


def test_equal_markets_have_equal_digests() -> None:
    assert market_digest(MARKET) == market_digest(market())
    other = market()
    other["BTCUSDT"].candles.close[17] += 1e-9
    assert market_digest(other) != market_digest(MARKET)
    assert market_digest(sealed(MARKET, END - HOUR)) != market_digest(MARKET)


SPACE = Space([parse("length=4:40:4"), parse("scale=0.5,1.0")])


def picklable(name: str) -> Runner:
    """A runner as other processes find it: a test of the function host may have unloaded ours."""
    found: Runner = getattr(importlib.import_module("toy_runner"), name)
    return found


def find(path: Path, plan: Plan, workers: Workers | None = None, **other: object) -> Search:
    with workers or Workers(toy_runner.run) as some:
        return search(
            some,
            MARKET,
            SPACE,
            plan,
            Ledger(path),
            start=START,
            end=START + 2000 * HOUR,
            timeframes=["1h"],
            **other,  # type: ignore[arg-type]
        )


def by_hand(length: int, scale: float) -> float:
    """Total return of the toy, in a plain loop."""
    close = MARKET["BTCUSDT"].candles.close.tolist()
    equity = 1.0
    for i in range(1, 2000):
        window = close[max(0, i - length) : i]
        side = scale if close[i - 1] > sum(window) / length else -scale
        equity *= 1.0 + side * (close[i] / close[i - 1] - 1.0)
    return equity - 1.0


def test_a_grid_finds_the_best_of_all_points(tmp_path: Path) -> None:
    found = find(tmp_path / "trials.jsonl", Plan(objective="return"))
    expected = {
        (length, scale): by_hand(length, scale)
        for length in range(4, 41, 4)
        for scale in (0.5, 1.0)
        if length != 28
    }
    assert found.choice is not None
    best = max(expected, key=lambda k: expected[k])
    assert (found.choice.params["length"], found.choice.params["scale"]) == best
    assert found.choice.score == pytest.approx(expected[best])
    assert len(found.outcomes) == 20
    # 28 cannot be used; that is told and no reason to stop.
    assert [o.params["length"] for o in found.outcomes if o.problem] == [28, 28]
    assert found.tried.trials == 18
    assert found.choice.seen_until == END
    assert found.overfitting is not None
    assert found.overfitting.trials == 18
    assert found.deflated is not None
    assert 0.0 <= found.deflated <= 1.0


def test_a_plateau_is_preferred_to_a_needle() -> None:
    def at(a: int, b: int, score: float | None) -> Outcome:
        figures = {"sharpe": score, "trades": 99.0}
        return Outcome(params={"a": a, "b": b}, figures=figures)

    rows = [
        [9.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 3.0, 2.0],
        [None, 0.0, 3.0, 4.0, 3.0],
        [0.0, 0.0, 2.0, 3.0, None],
    ]
    grid = [at(10 * x, y, v) for y, row in enumerate(rows) for x, v in enumerate(row)]
    best, plateau = chosen(grid, Plan()), chosen(grid, Plan(choose="plateau"))
    assert best is not None
    assert best.params == {"a": 0, "b": 0}
    assert plateau is not None
    # Around (30, 2): 0 + 3 + 2 + 3 + 4 + 3 + 2 + 3 and the worst (0) for what has no score.
    assert plateau.params == {"a": 30, "b": 2}
    # A point without a score is never taken, however good its neighbours.
    alone = [at(0, 0, None), at(1, 0, 1.0), at(2, 0, -5.0)]
    taken = chosen(alone, Plan(choose="plateau"))
    assert taken is not None
    assert taken.params["a"] == 1
    assert chosen([at(0, 0, None)], Plan(choose="plateau")) is None


def test_too_few_trades_are_no_score(tmp_path: Path) -> None:
    found = find(tmp_path / "t", Plan(minimum_trades=100_000))
    assert found.choice is None
    assert found.best is None
    assert len(found.outcomes) == 20


def test_an_interrupted_search_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    plan = Plan(method="bayes", trials=24, seed=3)
    whole = find(tmp_path / "other.jsonl", plan)

    class Stop(Exception):
        pass

    def stop(done: int, total: int, outcome: Outcome | None) -> None:
        if done >= 10:
            raise Stop

    with pytest.raises(Stop):
        find(path, plan, progress=stop)
    # A crash in the middle of a line.
    cut = path.read_bytes()[:-40]
    path.write_bytes(cut)
    kept = len(list(Ledger(path).trials()))
    assert 5 <= kept <= 10

    evaluated = []

    def counting(given, jobs):  # type: ignore[no-untyped-def]
        evaluated.extend(jobs)
        return toy_runner.run(given, jobs)

    found = find(path, plan, Workers(counting))
    assert found.outcomes == whole.outcomes
    assert found.choice == whole.choice
    distinct = {tuple(sorted(o.params.items())) for o in whole.outcomes}
    assert len({tuple(sorted(j.params.items())) for j in evaluated}) == len(distinct) - kept


def test_other_processes_find_the_same(tmp_path: Path) -> None:
    plan = Plan(method="bayes", trials=16, seed=5)
    here = find(tmp_path / "a.jsonl", plan)
    there = find(tmp_path / "b.jsonl", plan, Workers(picklable("run"), 2))
    assert there.outcomes == here.outcomes
    assert there.choice == here.choice


def test_the_ledger_remembers_every_search(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    find(path, Plan())
    once = Ledger(path).tried(["BTCUSDT"])
    find(path, Plan())  # nothing new
    assert Ledger(path).tried(["BTCUSDT"]) == once
    find(path, Plan(), base={"costs": 2})  # another study
    twice = Ledger(path).tried(["BTCUSDT", "ETHUSDT"])
    assert (once.trials, once.studies) == (18, 1)
    assert (twice.trials, twice.studies) == (36, 2)
    assert Ledger(path).tried(["ETHUSDT"]).trials == 0
    assert Ledger(tmp_path / "none").tried(["BTCUSDT"]).trials == 0


def test_other_code_makes_its_own_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trials.jsonl"
    first = find(path, Plan())
    assert first.other_code == 0
    evaluated = []

    def counting(given, jobs):  # type: ignore[no-untyped-def]
        evaluated.extend(jobs)
        return toy_runner.run(given, jobs)

    monkeypatch.setattr("shared.research.search.code_digest", lambda: "another")
    second = find(path, Plan(), Workers(counting))
    assert {params_key(j.params) for j in evaluated} == {params_key(p) for p in SPACE.grid()}
    assert second.other_code == 20
    # The configurations are the same ones: nothing more was tried.
    assert second.tried == first.tried
    assert {t.code for t in Ledger(path).trials()} == {code_digest(), "another"}


def test_the_digest_is_of_the_code_that_decides(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    for part in (*PARTS, *LEFT_OUT):
        where = shared / part
        where.parent.mkdir(parents=True, exist_ok=True)
        if part.endswith(".py"):
            where.write_text("a = 1\n")
        else:
            where.mkdir(parents=True, exist_ok=True)
            (where / "one.py").write_text("a = 1\n")
    before = digest_of(shared)
    (shared / "research" / "report" / "one.py").write_text("a = 2\n")
    assert digest_of(shared) == before
    (shared / "risk" / "one.py").write_text("a = 2\n")
    changed = digest_of(shared)
    assert changed != before
    (shared / "risk" / "one.py").rename(shared / "risk" / "two.py")
    moved = digest_of(shared)
    assert moved not in (before, changed)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mlp.onnx").write_bytes(b"a model")
    assert digest_of(shared) not in (before, changed, moved)
    assert len(code_digest()) == 16


def test_a_configuration_is_one_trial_however_often_it_was_run(tmp_path: Path) -> None:
    """Bailey and Lopez de Prado count what can be chosen, not how often it was looked at."""
    path = tmp_path / "trials.jsonl"

    def trial(base: str, fast: int, end: int, ratio: float, problem: str = "") -> Trial:
        return Trial(
            study=f"{base}-{end}",
            base=base,
            params={"fast": fast},
            symbols=["BTCUSDT"],
            timeframes=["1h"],
            start=0,
            end=end,
            figures={"sharpe_per_day": ratio},
            problem=problem,
        )

    Ledger(path).append(
        [trial("a", fast, end, fast * end / 1000) for end in (10, 30, 20) for fast in (1, 2, 3)]
    )
    found = Ledger(path).tried(["BTCUSDT"])
    assert (found.trials, found.studies) == (3, 3)
    # Of the longest span: 0.03, 0.06, 0.09.
    assert found.variance == pytest.approx(0.0009)
    Ledger(path).append([trial("b", 1, 30, 0.03), trial("b", 2, 30, 0.0, "cannot be")])
    assert Ledger(path).tried(["BTCUSDT"]).trials == 4
    # What earlier versions wrote has no base: one search at a time.
    Ledger(path).append([trial("", 9, 30, 0.03), trial("", 9, 40, 0.03)])
    assert Ledger(path).tried(["BTCUSDT"]).trials == 6


def test_trials_that_do_not_differ_are_no_choice(tmp_path: Path) -> None:
    def ignoring(given, jobs):  # type: ignore[no-untyped-def]
        five = [Job(params={"length": 5}, start=j.start, end=j.end) for j in jobs]
        return toy_runner.run(given, five)

    found = find(tmp_path / "a", Plan(), Workers(ignoring))
    assert found.overfitting is None
    assert found.distinct == 1
    assert found.alike.startswith("all 20 trials came to the same result")

    def unscaled(given, jobs):  # type: ignore[no-untyped-def]
        return toy_runner.run(
            given,
            [Job(params={"length": j.params["length"]}, start=j.start, end=j.end) for j in jobs],
        )

    halved = find(tmp_path / "b", Plan(), Workers(unscaled))
    assert halved.overfitting is not None
    assert halved.overfitting.trials == halved.distinct == 9
    assert halved.alike.startswith("9 of 18 trials")
    assert find(tmp_path / "c", Plan()).alike == ""


def test_a_ledger_that_is_not_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_text('{"a": 1}\n')
    with pytest.raises(InvalidInput, match="line 1"):
        list(Ledger(path).trials())
    with pytest.raises(InvalidInput, match="cannot be written"):
        Ledger(tmp_path / "trials.jsonl" / "x").append(
            [Trial(study="s", params={}, symbols=[], timeframes=[], start=0, end=1)]
        )


def test_returns_are_kept_as_they_were() -> None:
    values = np.array([0.01, -0.02, 0.0])
    assert unpacked(packed(values)) == pytest.approx(values, abs=1e-8)


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"method": "magic"}, "grid, bayes"),
        ({"objective": "luck"}, "one of sharpe"),
        ({"trials": 0}, "1 to 100,000"),
        ({"choose": "luckiest"}, "best, plateau"),
        ({"choose": "plateau", "method": "bayes"}, "found on a grid"),
    ],
)
def test_plans_that_cannot_be_used(plan: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        Plan(**plan)  # type: ignore[arg-type]


def test_a_search_beyond_its_market_is_refused(tmp_path: Path) -> None:
    with Workers(toy_runner.run) as workers, pytest.raises(InvalidInput, match="not inside"):
        search(
            workers, MARKET, SPACE, Plan(), Ledger(tmp_path / "t"),
            start=START, end=END + HOUR, timeframes=["1h"],
        )  # fmt: skip


WINDOWS = walk_forward_windows(
    START, END, train=1200 * HOUR, test=700 * HOUR, purge=24 * HOUR, embargo=12 * HOUR
)


def forward(path: Path, runner: object = toy_runner.run, count: int = 0, **plan: object):  # type: ignore[no-untyped-def]
    with Workers(runner, count) as workers:  # type: ignore[arg-type]
        return walk_forward(
            workers,
            MARKET,
            SPACE,
            Plan(objective="return", **plan),  # type: ignore[arg-type]
            Ledger(path),
            WINDOWS,
            timeframes=["1h"],
            deposit=1000.0,
        )


def test_walk_forward_is_the_tests_of_the_choices_in_a_row(tmp_path: Path) -> None:
    found = forward(tmp_path / "t")
    assert len(found.steps) == len(WINDOWS) == 3
    equity = 1000.0
    for step, window in zip(found.steps, WINDOWS, strict=True):
        assert step.choice is not None
        assert step.test is not None
        assert step.choice.seen_until <= window.test_start - 36 * HOUR
        # The choice is the best of the training span alone.
        best = max(
            (
                next(
                    iter(
                        toy_runner.run(
                            MARKET, [Job(params=p, start=window.train_start, end=window.train_end)]
                        )
                    )
                )
                for p in SPACE.grid()
                if p["length"] != 28
            ),
            key=lambda r: float(r.equity[-1]),
        )
        assert step.choice.score == pytest.approx(best.equity[-1] / 1000.0 - 1.0)
        job = Job(
            params=step.choice.params, start=window.test_start, end=window.test_end, deposit=equity
        )
        alone = next(iter(toy_runner.run(MARKET, [job])))
        assert step.test.start_equity == pytest.approx(equity)
        equity = float(alone.equity[-1])
        assert step.test.end_equity == pytest.approx(equity)
    assert found.result.equity[-1] == pytest.approx(equity)
    assert len(found.result.time) == 3 * 700
    assert set(np.diff(found.result.time).tolist()) == {HOUR}
    assert found.result.time[-1] == END


def test_a_runner_that_searches_its_memory_finds_no_future(tmp_path: Path) -> None:
    """In other processes, with the whole market in this one."""
    assert toy_runner.later_candles(START)  # here it would be found
    honest, cheated = forward(tmp_path / "a"), forward(tmp_path / "b", picklable("cheat"), 2)
    assert [s.choice for s in cheated.steps] == [s.choice for s in honest.steps]
    assert cheated.result.equity == pytest.approx(honest.result.equity)


def test_a_choice_is_not_judged_on_what_it_has_seen() -> None:
    choice = Choice(study="s", params={"length": 8}, score=1.0, seen_until=START + 1000 * HOUR)
    with Workers(toy_runner.run) as workers:
        with pytest.raises(InvalidInput, match="not out of sample"):
            judge(
                workers, MARKET, choice,
                start=START + 999 * HOUR, end=START + 1500 * HOUR, deposit=1.0,
            )  # fmt: skip
        found = judge(
            workers, MARKET, choice,
            start=START + 1000 * HOUR, end=START + 1500 * HOUR, deposit=10.0,
        )  # fmt: skip
    assert found.settings["seen_until"] == choice.seen_until
    assert found.start_equity == 10.0


class Trained:
    """A runner whose models were trained on data that no search hands it."""

    seen_until = END + HOUR

    def __call__(self, market: Market, jobs: Sequence[Job]) -> Iterable[Result]:
        return toy_runner.run(market, jobs)


def test_what_a_model_was_trained_on_counts_as_seen(tmp_path: Path) -> None:
    found = find(tmp_path / "a", Plan(objective="return"), Workers(Trained()))
    assert found.choice is not None
    assert found.choice.seen_until == Trained.seen_until
    with (
        Workers(Trained()) as workers,
        pytest.raises(InvalidInput, match="search, or a model in it, had seen the market until"),
    ):
        judge(
            workers, MARKET, found.choice,
            start=START + 2900 * HOUR, end=START + 3200 * HOUR, deposit=1.0,
        )  # fmt: skip
    with pytest.raises(InvalidInput, match="a model of the configuration was trained on bars"):
        forward(tmp_path / "b", Trained())


def test_no_choice_anywhere_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="none of 20 trials"):
        forward(tmp_path / "t", minimum_trades=10**6)


def test_where_nothing_was_chosen_equity_stands_still() -> None:
    first = daily_result([1100.0, 1200.0], [row(1.0, DAY_MS)], start=0)
    second = daily_result([1300.0], [row(2.0, 6 * DAY_MS)], start_equity=1200.0, start=5 * DAY_MS)
    found = joined([first, second], -2 * DAY_MS, 7 * DAY_MS)
    assert (found.time // DAY_MS).tolist() == [-1, 0, 1, 2, 3, 4, 5, 6, 7]
    assert found.equity.tolist() == [1000, 1000, 1100, 1200, 1200, 1200, 1200, 1300, 1300]
    assert found.trades.net.tolist() == [1.0, 2.0]
    with pytest.raises(InvalidInput, match="overlap"):
        joined([second, first], 0, DAY_MS)
    with pytest.raises(InvalidInput, match="different symbols"):
        joined([first, replace(second, symbols=("XRPUSDT",))], 0, DAY_MS)


def test_workers_say_what_they_lack() -> None:
    with pytest.raises(InvalidInput, match=r"0 \(this process\) to 64"):
        Workers(toy_runner.run, 65)
    with Workers(toy_runner.run) as workers, pytest.raises(InvalidInput, match="no market"):
        workers.result(Job(params={}, start=0, end=1))


def test_a_score_needs_a_number() -> None:
    assert Outcome(params={}, figures={"sharpe": None, "trades": 50.0}).score("sharpe", 20) is None
    assert Outcome(params={}, figures={"sharpe": 1.0, "trades": 19.0}).score("sharpe", 20) is None
    assert Outcome(params={}, figures={"sharpe": 1.0, "trades": 20.0}).score("sharpe", 20) == 1.0
    assert Outcome(params={}, problem="no").score("sharpe", 0) is None
    bad = Outcome(params={}, figures={"sharpe": math.nan, "trades": 50.0})
    assert bad.score("sharpe", 0) is None
