"""Every failure of other systems is played by a test that carries its number."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest
from pages import ROOT, quoted, rows, section, text
from test_docs_features import defined

TABLE = {int(r[0]): r for r in rows(section(text("safety.md"), "What went wrong elsewhere"))}

#: ``test_7_...`` in the files of scenarios, ``test_failure_7_...`` among other tests.
NUMBERED = re.compile(r"test_(?:failure_)?(\d{1,2})_[a-z]\w+")


def scenarios() -> dict[int, set[str]]:
    """Tests by the number in their name."""
    found: dict[int, set[str]] = defaultdict(set)
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        path = str(file.relative_to(ROOT))
        for name in defined(path):
            numbered = NUMBERED.fullmatch(name)
            meant = "test_failures_of" in path or "_failure_" in name
            if numbered and (meant or int(numbered[1]) in TABLE):
                found[int(numbered[1])].add(f"{path}::{name}")
    return found


SCENARIOS = scenarios()


def test_there_are_twenty_eight() -> None:
    assert list(TABLE) == list(range(1, 29))


@pytest.mark.parametrize("number", range(1, 29))
def test_is_played_by_a_scenario_of_its_number(number: int) -> None:
    tests = quoted(TABLE[number][3])
    for test in tests:
        path, _, name = test.partition("::")
        assert name in defined(path), test
    # Named by its number, and the table names all of them.
    assert SCENARIOS[number]
    assert SCENARIOS[number] <= set(tests)


def test_no_scenario_has_a_number_that_nobody_reported() -> None:
    assert set(SCENARIOS) <= set(TABLE)
