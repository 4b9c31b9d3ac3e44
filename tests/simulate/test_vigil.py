"""A watch that has begun is followed to its end: late looks are told, not taken for nobody's."""

from __future__ import annotations

import pytest

from local.simulate.vigil import ACCOUNT, LOOK_DUE_MS, UNWATCHED_MS, Vigil

SYMBOL = "BTCUSDT"


def nothing(symbol: str, since: int, until: int) -> int:
    return 0


def watching(at: int = 1_000, *, again: bool = True) -> Vigil:
    vigil = Vigil()
    vigil.looked(SYMBOL, at, again=again)
    return vigil


def test_a_watch_that_ends_by_itself_is_told_once() -> None:
    vigil = watching(1_000)
    assert vigil.forgotten(1_000 + LOOK_DUE_MS, 0, nothing) == []
    assert vigil.forgotten(1_001 + LOOK_DUE_MS, 0, nothing) == [SYMBOL]
    assert vigil.forgotten(2_000 + LOOK_DUE_MS, 0, nothing) == []


def test_each_look_puts_the_next_one_off() -> None:
    vigil = watching(1_000)
    vigil.near(SYMBOL, 2_000)
    vigil.looked(SYMBOL, 3_000, again=True)
    assert vigil.forgotten(3_000 + LOOK_DUE_MS, 0, nothing) == []
    assert vigil.forgotten(3_001 + LOOK_DUE_MS, 0, nothing) == [SYMBOL]


def test_a_round_that_saw_a_stop_near_does_not_put_it_off() -> None:
    vigil = watching(1_000)
    vigil.near(SYMBOL, 9_000)
    assert vigil.forgotten(1_001 + LOOK_DUE_MS, 0, nothing) == [SYMBOL]


@pytest.mark.parametrize(
    ("vigil", "held", "disturbed", "excused"),
    [
        pytest.param(watching(again=False), {SYMBOL}, 0, 0, id="it said that it is over"),
        pytest.param(watching(), {"ETHUSDT"}, 0, 0, id="the position is gone"),
        pytest.param(watching(), {SYMBOL}, 1_000, 0, id="something went wrong since"),
        pytest.param(watching(), {SYMBOL}, 0, 5_000, id="nobody could act"),
    ],
)
def test_what_ends_or_excuses_a_watch(
    vigil: Vigil, held: set[str], disturbed: int, excused: int
) -> None:
    vigil.held(held)
    late = vigil.forgotten(5_000 + LOOK_DUE_MS, disturbed, lambda symbol, since, until: excused)
    assert late == []


def test_a_position_that_comes_after_another_one_owes_no_look() -> None:
    vigil = watching(1_000)
    vigil.held(set())
    vigil.held({SYMBOL})
    assert vigil.forgotten(100_000, 0, nothing) == []


@pytest.mark.parametrize(
    ("looked", "again", "leeway"),
    [(7_000, True, 0), (6_499, True, UNWATCHED_MS), (9_000, False, UNWATCHED_MS)],
)
def test_a_stop_that_fails_is_met_in_seconds_where_it_was_watched(
    looked: int, again: bool, leeway: int
) -> None:
    vigil = watching(looked, again=again)
    vigil.triggered(SYMBOL, 10_000)
    assert vigil.leeway(SYMBOL, 10_000) == leeway
    assert vigil.leeway(SYMBOL, 9_999) == 0, "it was naked before: no failing stop explains that"


def open_since(at: int) -> Vigil:
    """Every position is to be watched, and there is one."""
    vigil = Vigil(always=True)
    vigil.held({SYMBOL}, at)
    return vigil


def test_where_every_position_is_watched_no_stop_that_fails_gets_more_time() -> None:
    vigil = open_since(1_000)
    vigil.triggered(SYMBOL, 900_000)
    assert vigil.leeway(SYMBOL, 900_000) == 0
    assert vigil.failures == vigil.watched == {(SYMBOL, 900_000)}


@pytest.mark.parametrize("again", [None, False, True])
def test_an_account_that_holds_something_is_looked_at(again: bool | None) -> None:
    """Also when nobody has begun, or the watch says that it is over though it is not."""
    vigil = open_since(1_000)
    last = 1_000
    if again is not None:
        last = 5_000
        vigil.surveyed(last, again=again)
    vigil.held({SYMBOL, "ETHUSDT"}, last)
    assert vigil.forgotten(last + LOOK_DUE_MS, 0, nothing) == []
    assert vigil.forgotten(last + LOOK_DUE_MS + 1, 0, nothing) == [ACCOUNT]


def test_an_account_that_holds_nothing_is_not() -> None:
    vigil = open_since(1_000)
    vigil.held(set(), 2_000)
    assert vigil.forgotten(100_000, 0, nothing) == []
    vigil.held({SYMBOL}, 100_000)
    assert vigil.forgotten(100_000 + LOOK_DUE_MS, 0, nothing) == []
