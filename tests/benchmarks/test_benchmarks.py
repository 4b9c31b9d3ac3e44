"""The benchmarks run and count right; how fast anything is, no test says."""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.__main__ import SECTIONS, main
from benchmarks.cold_import import heavy
from benchmarks.emergency import contracts
from benchmarks.figure import Figure, combined, percentile
from benchmarks.sampling import Sampler
from benchmarks.table import show


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_measures_something(section: str) -> None:
    figures = importlib.import_module(f"benchmarks.{section}").measure("tiny")
    names = [f.name for f in figures]
    assert len(set(names)) == len(names) > 0
    for figure in figures:
        assert figure.value > 0
        assert (figure.peer_value is None) == (figure.peer == "")
        assert figure.peer_value is None or figure.peer_value > 0
        # The app's own import stays free of them, on every machine.
        assert "LOADED" not in figure.note


def test_the_order_is_one_hop_away() -> None:
    from benchmarks.decision import run

    watch = run(2)
    assert len(watch.latencies) >= 2
    assert set(watch.hops) == {1}


def test_heavy_modules_are_noticed() -> None:
    assert heavy(["sys", "numpy", "numpy.linalg"]) == ["numpy"]
    assert heavy(["sys", "json"]) == []


def test_the_emergency_venue_lists_ten_different_contracts() -> None:
    listed = contracts(10)
    assert len(listed) == len({c.symbol for c in listed.values()}) == 10
    assert all(symbol == contract.symbol for symbol, contract in listed.items())


@pytest.mark.parametrize(
    ("values", "fraction", "expected"),
    [
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.95, 95.0),
        ([float(n) for n in range(1, 21)], 0.95, 19.0),
        ([7.0], 0.95, 7.0),
        ([1.0, 2.0], 0.0, 1.0),
    ],
)
def test_percentiles_are_nearest_ranks(
    values: list[float], fraction: float, expected: float
) -> None:
    assert percentile(values, fraction) == expected


def figure(value: float, **fields: object) -> Figure:
    return Figure(name="a", value=value, unit="s", **fields)  # type: ignore[arg-type]


def test_runs_are_combined_to_medians_with_their_range() -> None:
    runs = [[figure(v, note=f"run {v}", peer="other", peer_value=v * 10)] for v in (5.0, 1.0, 2.0)]
    (one,) = combined(runs)
    assert (one.value, one.low, one.high, one.runs) == (2.0, 1.0, 5.0, 3)
    assert (one.peer_value, one.note) == (20.0, "run 2.0")
    with pytest.raises(ValueError, match="different figures"):
        combined([[figure(1)], [figure(1), figure(2)]])


@pytest.mark.parametrize(
    ("measured", "goal", "more", "met"),
    [
        (0.4, 0.5, False, True),
        (0.5, 0.5, False, True),
        (0.6, 0.5, False, False),
        (600.0, 500.0, True, True),
        (400.0, 500.0, True, False),
        (1.0, None, False, None),
    ],
)
def test_a_missed_goal_is_called_missed(
    measured: float, goal: float | None, more: bool, met: bool | None
) -> None:
    row = figure(measured, goal=goal, more_is_better=more)
    assert row.met is met
    text = io.StringIO()
    show([row], "title", Console(file=text, width=190))
    assert ("MISSED" in text.getvalue()) == (met is False)
    assert (": met" in text.getvalue()) == (met is True)


def test_sampling_names_the_part_that_works() -> None:
    from shared.strategies.config import decode_config

    with Sampler() as sampler:
        while sampler.samples < 5:
            decode_config("{}")
    assert sampler.parts["signals"] > 0
    assert sum(sampler.shares().values()) == pytest.approx(1.0)


def test_the_command_prints_one_table_and_writes_the_figures(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    assert main(["--quick", "--only", "task_hub", "--json", str(out)]) == 0
    written = json.loads(out.read_text())
    assert written["size"] == "quick"
    assert len(written["figures"]) == 4
    assert capfd.readouterr().out.count("┏") == 1
    with pytest.raises(SystemExit):
        main(["--only", "nonsense"])
