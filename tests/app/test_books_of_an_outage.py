"""What is put off while the store fails is caught up with: each step once, in its order."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
from desk import Crash
from hypothesis import given
from hypothesis import strategies as st

from local.clock import VirtualClock
from shared.errors import StoreUnavailable
from shared.execution.books import STORE_MS, Books
from shared.storage.patience import patience


@given(st.lists(st.sampled_from(["ok", "fails", "slow"]), max_size=12))
def test_every_step_is_done_once_and_in_its_order(kinds: list[str]) -> None:
    """However the store behaves, after catching up the steps are what was asked for."""
    clock = VirtualClock(0)
    books = Books(clock)
    done: list[int] = []
    tried: Counter[int] = Counter()
    down = True

    def step(number: int, kind: str) -> int:
        tried[number] += 1
        if kind == "fails" and down:
            raise StoreUnavailable("down")
        if kind == "slow" and tried[number] == 1:
            limit = patience()
            clock.sleep(0.6 if limit is None else min(limit, 0.6))
        done.append(number)
        return number

    for number, kind in enumerate(kinds):
        late = books.late
        result = books.write(partial(step, number, kind), otherwise=-1)
        assert result == (-1 if late or (kind == "fails") else number)
        assert clock.now_ms() <= STORE_MS
    down = False
    books.catch_up()
    assert done == list(range(len(kinds)))
    assert not books.late


def test_what_cannot_be_caught_up_is_said(open_floor) -> None:
    clock = VirtualClock(0)
    books = Books(clock)

    def step() -> None:
        raise StoreUnavailable("down")

    books.write(step, None)
    with pytest.raises(StoreUnavailable):
        books.catch_up()


def test_a_process_that_dies_is_not_kept_by_its_books() -> None:
    clock = VirtualClock(0)
    books = Books(clock)

    def step() -> None:
        raise Crash

    with pytest.raises(Crash):
        books.write(step, None)
    assert not books.late
