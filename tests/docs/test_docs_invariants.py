"""Each invariant names the tests that attack it, and when the simulation looks at it."""

from __future__ import annotations

import pytest
from pages import quoted, rows, section, text
from test_docs_features import defined

TABLE = [r for r in rows(section(text("safety.md"), "The invariants")) if r[0].isdigit()]
ATTACKED = {int(r[0]): r for r in TABLE if len(r) == 5}
CHECKED = {int(r[0]): r for r in TABLE if len(r) == 2}


def test_there_are_eleven_of_each() -> None:
    assert list(ATTACKED) == list(CHECKED) == list(range(1, 12))


@pytest.mark.parametrize("number", range(1, 12))
def test_is_attacked_by_tests_that_exist(number: int) -> None:
    tests = quoted(ATTACKED[number][4])
    assert tests
    for test in tests:
        path, _, name = test.partition("::")
        assert name in defined(path), test
