"""Searches: what they choose, go on with after an interruption, and write into their ledger."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import toy_runner
from toy_runner import HOUR, START
from toy_search import END, MARKET, SPACE, by_hand, find, picklable

from shared.errors import InvalidInput
from shared.research.code import LEFT_OUT, PARTS, code_digest, digest_of
from shared.research.evaluation import Job, Outcome
from shared.research.search import Plan, chosen, search
from shared.research.trials import Ledger, Trial, packed, params_key, unpacked
from shared.research.workers import Workers


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
