"""Parameters of a search: from the command line, from a file, as a grid, and their neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import InvalidInput
from shared.research.space import Space, from_file, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trend.fast=5:50:5", (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)),
        ("a=0.1:0.4:0.1", (0.1, 0.2, 0.3, 0.4)),
        ("a=3:10:3", (3, 6, 9)),
        ("a=1:3", (1, 2, 3)),
        ("a=24,36,48", (24, 36, 48)),
        ("a = on, off", ("on", "off")),
        ("a=true,false", (True, False)),
        ("a=7", (7,)),
    ],
)
def test_parameters_of_the_command_line(text: str, expected: tuple[object, ...]) -> None:
    found = parse(text)
    assert found.values == expected
    assert found.name == text.partition("=")[0].strip()
    assert [type(v) for v in found.values] == [type(v) for v in expected]


def test_a_range_without_steps_is_continuous() -> None:
    found = parse("a=0.5:1.5")
    assert (found.continuous, found.low, found.high) == (True, 0.5, 1.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fast", "NAME=FROM:TO:STEP"),
        ("fast=", "NAME=FROM:TO:STEP"),
        ("=1:2", "NAME=FROM:TO:STEP"),
        ("fast=5:1:1", "no range"),
        ("fast=1:5:0", "above zero"),
        ("fast=1:5:-1", "above zero"),
        ("fast=1:x:2", "not a number"),
        ("fast=1:2:3:4", "FROM:TO:STEP"),
        ("fast=1,1", "twice"),
        ("fast=1,,2", "commas"),
        ("fast=nan:5:1", "no range"),
        ("fast=0:1:0.0000001", "larger step"),
    ],
)
def test_parameters_that_cannot_be_used(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        parse(text)


def test_parameter_files(tmp_path: Path) -> None:
    toml, json = tmp_path / "space.toml", tmp_path / "space.json"
    toml.write_text(
        'trend.fast = "5:15:5"\nthreshold = [0.3, 0.4]\n'
        "[trend.slow]\nfrom = 20\nto = 40\nstep = 10\n"
    )
    json.write_text(
        '{"trend.fast": "5:15:5", "threshold": [0.3, 0.4],'
        ' "trend.slow": {"from": 20, "to": 40, "step": 10}}'
    )
    a, b = from_file(toml), from_file(json)
    assert a.parameters == b.parameters
    assert a.size == 3 * 2 * 3
    json.write_text('{"a": {"from": 1, "to": 2, "by": 3}}')
    with pytest.raises(InvalidInput, match="by is not known"):
        from_file(json)
    json.write_text("[1]")
    with pytest.raises(InvalidInput, match="names with their values"):
        from_file(json)
    with pytest.raises(InvalidInput, match="missing"):
        from_file(tmp_path / "missing.json")


def test_a_grid_of_a_million_is_refused_with_what_to_do() -> None:
    space = Space([parse("a=1:100:1"), parse("b=1:100:1"), parse("c=1:100:1")])
    assert space.size == 1_000_000
    with pytest.raises(InvalidInput, match=r"1,000,000 points.*--method bayes"):
        space.grid()
    with pytest.raises(InvalidInput, match="needs steps"):
        Space([parse("a=0.5:1.5")]).grid()
    with pytest.raises(InvalidInput, match="twice"):
        Space([parse("a=1"), parse("a=2")])
    with pytest.raises(InvalidInput, match="at least one"):
        Space([])


def test_neighbours_stay_near() -> None:
    space = Space([parse("a=10:50:1"), parse("b=0.1:0.9:0.1"), parse("c=x,y")])
    for point in space.near({"a": 20, "b": 0.5, "c": "x", "d": True}, 50, width=0.2):
        assert isinstance(point["a"], int)
        assert 16 <= point["a"] <= 24
        assert 0.4 <= float(point["b"]) <= 0.6
        assert (point["c"], point["d"]) == ("x", True)
