"""A hiccup of the store is waited out where it happens; everything else goes up at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.clock import VirtualClock
from shared.errors import BorsaError, Conflict, StoreUnavailable
from shared.execution.again import again


def work(
    *answers: BorsaError | str, seconds: float = 0.0
) -> tuple[VirtualClock, Callable[[], str]]:
    clock, left = VirtualClock(0), list(answers)

    def run() -> str:
        clock.sleep(seconds)
        answer = left.pop(0)
        if isinstance(answer, BorsaError):
            raise answer
        return answer

    return clock, run


DOWN = StoreUnavailable("down")


@pytest.mark.parametrize(
    ("answers", "after_ms"), [(["done"], 0), ([DOWN, "done"], 200), ([DOWN, DOWN, "done"], 800)]
)
def test_waited_out(answers, after_ms):
    clock, run = work(*answers)
    assert again(clock, run) == "done"
    assert clock.now_ms() == after_ms


def test_three_failures_in_a_row_are_told():
    clock, run = work(DOWN, DOWN, DOWN, "never")
    with pytest.raises(StoreUnavailable):
        again(clock, run)


def test_a_store_that_hangs_is_not_asked_a_third_time():
    clock, run = work(DOWN, DOWN, "never", seconds=5.1)
    with pytest.raises(StoreUnavailable):
        again(clock, run)
    assert clock.now_ms() == 10_400


def test_long_work_that_fails_at_its_end_is_taken_up_at_once():
    clock, run = work(DOWN, "done", seconds=12.0)
    assert again(clock, run) == "done"
    assert clock.now_ms() == 24_200


def test_what_is_no_hiccup_is_not_repeated():
    clock, run = work(Conflict("somebody else was faster"), "never")
    with pytest.raises(Conflict):
        again(clock, run)
