"""The feature register: every id is there, and what it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from pages import ROOT, quoted, rows, text

#: Ids of the register by area, with the number of features in each.
AREAS = {"C": 9, "A": 4, "B": 3, "D": 11, "R": 8, "S": 6, "G": 5, "O": 6, "H": 5, "I": 4}
IDS = [f"{area}{n}" for area, count in AREAS.items() for n in range(1, count + 1)]

TABLE = {r[0]: r for r in rows(text("features.md")) if re.fullmatch(r"[A-Z]\d+", r[0])}


@cache
def defined(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(
        n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_every_id_is_there_once_and_no_other() -> None:
    found = [r[0] for r in rows(text("features.md")) if re.fullmatch(r"[A-Z]\d+", r[0])]
    assert found == IDS


def test_the_ids_are_those_of_the_register() -> None:
    register = ROOT.parent / "shared" / "design" / "features.md"
    if not register.exists():
        pytest.skip("the register is not part of the repository")
    assert re.findall(r"^\| ([A-Z]\d+) \|", register.read_text(), re.MULTILINE) == IDS


@pytest.mark.parametrize("id_", IDS)
def test_state_and_tests(id_: str) -> None:
    _, state, what, tests = TABLE[id_]
    assert state in ("done", "part", "not yet")
    assert what or state == "not yet"
    named = quoted(tests)
    assert named or state != "done"
    for test in named:
        path, separator, name = test.partition("::")
        assert separator, test
        assert (ROOT / path).is_file(), test
        assert name in defined(path), test
