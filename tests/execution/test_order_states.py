"""Every transition of an order's life, allowed and refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.execution.order_states import DEAD, STATES, judge

D = Decimal

# What may follow what, written down once more and by hand: from -> to -> verdict.
#   = same, + allowed, . late (ignored), ! contradiction
PLAIN = """
            intent open filled cancelled rejected unknown not_sent
intent        =     +     +       +        +        +        +
open          .     =     +       +        +        +        .
filled        .     .     =       .        .        .        .
cancelled     .     .     +       =        .        .        .
rejected      .     !     !       .        =        .        .
unknown       +     +     +       +        +        =        +
not_sent      .     !     !       .        .        .        =
"""
#: Conditional orders differ here: refused or not sent, they may be asked for again.
ASKED_AGAIN = {
    (before, now)
    for before in ("rejected", "not_sent")
    for now in ("intent", "open", "filled", "cancelled")
}
SIGNS = {"=": "same", "+": "allowed", ".": "late", "!": "contradiction"}


def table() -> list[tuple[str, str, str]]:
    head, *lines = [line.split() for line in PLAIN.strip().splitlines()]
    return [
        (line[0], wanted, SIGNS[sign])
        for line in lines
        for wanted, sign in zip(head, line[1:], strict=True)
    ]


def test_the_table_names_every_state():
    assert {a for a, _, _ in table()} == {b for _, b, _ in table()} == set(STATES)
    assert len(table()) == len(STATES) ** 2


@pytest.mark.parametrize(("state", "wanted", "verdict"), table())
def test_every_transition(state, wanted, verdict):
    assert judge(state, wanted) == verdict
    again = (state, wanted) in ASKED_AGAIN
    assert judge(state, wanted, conditional=True) == ("allowed" if again else verdict)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("wanted", STATES)
def test_less_executed_than_is_known_is_old_news(state, wanted):
    assert judge(state, wanted, D(2), D(1)) == "late"
    assert judge(state, wanted, D(2), D(2)) == judge(state, wanted)


@given(st.lists(st.tuples(st.sampled_from(STATES), st.integers(0, 3)), max_size=30), st.booleans())
def test_whatever_news_arrives_in_whatever_order(news, conditional):
    """Executed quantity never shrinks; what has filled stays filled; the dead rise only loudly."""
    state, executed = "intent", D(0)
    for wanted, quantity in news:
        verdict = judge(state, wanted, executed, D(quantity), conditional=conditional)
        before = state
        if verdict in ("allowed", "same", "contradiction"):
            state = wanted
            assert quantity >= executed
            executed = D(quantity)
        if before == "filled":
            assert state == "filled"
        if before in DEAD and state not in DEAD and not conditional:
            assert verdict == "contradiction" or (before == "cancelled" and state == "filled")
        if before == "open":
            assert state not in ("intent", "not_sent")


@given(st.data())
def test_shuffled_doubled_and_dropped_news_ends_the_same(data):
    """As long as the last news arrives at all, the end does not depend on the way."""
    news = [("open", D(0)), ("open", D(1)), ("open", D(2)), ("filled", D(3))]
    drops = data.draw(st.sets(st.integers(0, 2)))
    kept = [n for i, n in enumerate(news) if i not in drops]
    kept += data.draw(st.lists(st.sampled_from(kept), max_size=5))
    state, executed = "intent", D(0)
    for wanted, quantity in data.draw(st.permutations(kept)):
        if judge(state, wanted, executed, quantity) in ("allowed", "same"):
            state, executed = wanted, quantity
    assert (state, executed) == ("filled", D(3))
