"""Walking forward: windows, choices, and what is judged on bars that no choice has seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy_runner
from made_results import daily_result, row
from toy_runner import HOUR, START
from toy_search import END, MARKET, SPACE, WINDOWS, find, forward, picklable

from shared.errors import InvalidInput
from shared.market.timeframe import DAY_MS
from shared.research.evaluation import Job
from shared.research.result import Result
from shared.research.sealed import Market
from shared.research.search import Choice, Plan
from shared.research.walkforward import joined, judge
from shared.research.windows import span, walk_forward_windows
from shared.research.workers import Workers


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
