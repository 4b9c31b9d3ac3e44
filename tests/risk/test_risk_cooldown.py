"""The pause after losses: what counts as one, and how many count."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.risk import cooldown
from shared.risk.decision import Cooldown

D = Decimal


@pytest.mark.parametrize(
    ("results", "losses", "last"),
    [
        pytest.param([], 0, None, id="nothing traded"),
        pytest.param(["1"], 0, None, id="a gain"),
        pytest.param(["-1"], 1, 1, id="a loss"),
        pytest.param(["-1", "-0.00000001"], 2, 2, id="two, however small"),
        pytest.param(["-1", "-1", "0"], 0, None, id="nothing lost ends the row"),
        pytest.param(["-1", "2", "-1"], 1, 3, id="a gain between them"),
        pytest.param(["-1"] * 9, 6, 9, id="no more than six count"),
    ],
)
def test_row(results: list[str], losses: int, last: int | None) -> None:
    newest_first = [(D(r), at) for at, r in enumerate(results, start=1)][::-1]
    expected = Cooldown(last_loss_at=last, losses_in_a_row=losses)
    assert cooldown.of(newest_first) == expected


@given(st.lists(st.integers(-3, 3), max_size=20))
def test_one_by_one_or_looked_up_it_is_the_same(results: list[int]) -> None:
    told = Cooldown()
    for at, result in enumerate(results):
        told = cooldown.after(told, D(result), at)
    assert cooldown.of([(D(r), at) for at, r in enumerate(results)][::-1]) == told


def test_no_more_is_read_than_needed() -> None:
    rows = iter([(D(-1), 3), (D(1), 2), (D(-1), 1)])
    assert cooldown.of(rows) == Cooldown(last_loss_at=3, losses_in_a_row=1)
    assert next(rows) == (D(-1), 1)
