"""Every failure of other systems is played by a test that exists."""

from __future__ import annotations

import pytest
from pages import quoted, rows, section, text
from test_docs_features import defined

TABLE = {int(r[0]): r for r in rows(section(text("safety.md"), "What went wrong elsewhere"))}


def test_there_are_twenty_eight() -> None:
    assert list(TABLE) == list(range(1, 29))


@pytest.mark.parametrize("number", range(1, 29))
def test_is_played_by_a_test(number: int) -> None:
    tests = quoted(TABLE[number][3])
    assert tests
    for test in tests:
        path, _, name = test.partition("::")
        assert name in defined(path), test


def test_every_scenario_is_in_the_table() -> None:
    path = "tests/app/test_failures_of_others.py"
    scenarios = {name for name in defined(path) if name.startswith("test_")}
    for name in scenarios:
        number = int(name.split("_")[1])
        assert f"{path}::{name}" in TABLE[number][3], name
