"""The whole application under faults: nothing is violated, and whatever is wrong is found."""

from __future__ import annotations

import msgspec
import pytest
from defect import Defect
from defects import DEFECTS
from exercised import figures_of, judged, shared_folder
from finders import ROOT, copy_of_tree
from prove import look_for

from local.cli.main import main
from local.simulate.profiles import ATTACKS, PROFILES
from local.simulate.result import Result
from local.simulate.run import Finding, episode, simulate, told
from local.simulate.schedule import Schedule
from local.simulate.shrink import shrink
from shared.errors import InvalidInput

#: Every test run simulates more than 20,000 decisions, in pieces that share the cores well;
#: ``./run simulate --decisions 1000000 --profile all`` is the long search.
DECISIONS = 500
#: Profiles that attack one thing.
NARROW = ("outage", "clocks", "zombies", "doubt", "hub")
#: Pieces of each profile; those of a profile that looks every two seconds, and of entries that
#: rest, take longer.
PARTS = {profile: 2 if profile in ("watch", "maker", *NARROW) else 3 for profile in ATTACKS}
PIECES = [(profile, 7 + 100 * n) for profile, parts in PARTS.items() for n in range(parts)]


def explain(findings: tuple[Finding, ...]) -> str:
    return "\n".join(line for finding in findings for line in told(finding))


@pytest.mark.parametrize(("profile", "seed"), PIECES)
def test_no_invariant_is_violated_under_faults(
    profile: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    results: list[Result] = []
    report = simulate(DECISIONS, seed, profile, progress=lambda one, done: results.append(one))
    assert not report.findings, explain(report.findings)
    assert report.decisions >= DECISIONS
    assert report.entries > DECISIONS / 20, "nothing was traded, so nothing was tested"
    assert report.faults, "nothing was disturbed, so nothing was tested"
    assert report.checked[4] > 2 * DECISIONS
    assert report.checked[10] == report.decisions
    piece = figures_of(profile, seed, results)
    assert judged(shared_folder(tmp_path_factory), piece, PIECES) == []


def test_every_run_simulates_twenty_thousand_decisions_of_all_profiles() -> None:
    assert len(PIECES) * DECISIONS >= 20_000
    assert {profile for profile, _ in PIECES} == set(PROFILES) - {"quiet"}


def test_one_seed_is_one_history_to_the_byte() -> None:
    first, second = (episode("9.0", PROFILES["storm"], 30) for _ in range(2))
    other = episode("9.1", PROFILES["storm"], 30)
    assert first.audit == second.audit
    assert first.fired == second.fired
    assert msgspec.structs.replace(first, seconds=0.0) == msgspec.structs.replace(
        second, seconds=0.0
    )
    assert first.audit != other.audit


def test_faults_can_be_left_out_one_by_one() -> None:
    whole = episode("9.0", PROFILES["crash"], 20)
    assert len(whole.fired) > 3
    kept = whole.fired[:3]
    part = episode("9.0", PROFILES["crash"], 20, kept)
    assert set(part.fired) <= set(kept)
    assert part.fired
    none = episode("9.0", PROFILES["crash"], 20, ())
    assert none.fired == ()
    assert none.restarts == 0


def test_a_fault_is_the_same_whatever_else_struck() -> None:
    menu = (("a", 0.3), ("b", 0.3))

    def draws(only: tuple[str, ...] | None) -> list[str]:
        schedule = Schedule("s", only)
        for step in range(20):
            schedule.begin(step)
            for _ in range(5):
                schedule.draw("store", menu)
        return schedule.fired

    whole = draws(None)
    assert len(whole) > 40
    assert draws(tuple(whole[3:9])) == whole[3:9]


@pytest.mark.parametrize(
    ("needed", "least"),
    [
        pytest.param((), 0, id="fails without any fault"),
        pytest.param(("7",), 1, id="one fault"),
        pytest.param(("2", "31"), 2, id="two faults far apart"),
        pytest.param(("0", "1", "39"), 3, id="three"),
    ],
)
def test_shrinking_keeps_what_is_needed_and_drops_the_rest(
    needed: tuple[str, ...], least: int
) -> None:
    faults = [str(n) for n in range(40)]
    kept = shrink(faults, lambda schedule: set(needed) <= set(schedule), budget=200)
    assert set(needed) <= set(kept)
    assert len(kept) == least


def test_the_command_line_replays_an_episode(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--profile", "store", "--episode", "9.0", "--decisions", "10"]) == 0
    out = capsys.readouterr().out
    assert "no invariant was violated" in out
    arguments = ["simulate", "--profile", "quiet", "--decisions", "10", "--seed", "2", "--quiet"]
    assert main(arguments) == 0
    assert "checks by invariant" in capsys.readouterr().out


def test_bad_requests_are_refused() -> None:
    with pytest.raises(InvalidInput, match="no profile"):
        simulate(10, 1, "calm")
    with pytest.raises(InvalidInput, match="at least one"):
        simulate(0, 1, "quiet")


#: Of each kind one that is found at once; ``prove.py`` looks for all of them.
QUICK = (
    "permit skipped",
    "intent of a stop not stored",
    "trade missing in the audit",
    "stops that could open",
    "leverage left as it was",
)


def test_defects_are_found_and_told_with_their_replay() -> None:
    by_name = {d.name: d for d in DEFECTS}
    with copy_of_tree() as folder:
        for name in QUICK:
            found = look_for(by_name[name], folder)
            assert found["found"], f"{name}: {found['text']}"


def test_every_defect_changes_exactly_one_place() -> None:
    assert len({d.name for d in DEFECTS}) == len(DEFECTS) >= 25
    for defect in DEFECTS:
        assert isinstance(defect, Defect)
        assert (ROOT / defect.file).read_text().count(defect.right) == 1, defect.name
        assert defect.profile in PROFILES or defect.finder != "simulation"


def test_the_page_lists_every_defect_with_its_finder_and_all_are_found() -> None:
    page = (ROOT / "docs" / "safety.md").read_text()
    part = page.partition("## Is the simulation able to find anything?")[2].partition("\n## ")[0]
    listed = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in part.splitlines()
        if line.startswith("| ") and not line.startswith("| defect ")
    ]
    assert [row[:2] for row in listed] == [[d.name, d.finder] for d in DEFECTS]
    assert all(row[-1].startswith("clean") for row in listed)
    for row, defect in zip(listed, DEFECTS, strict=True):
        by_itself = row[5] if defect.finder == "simulation" else row[6]
        assert by_itself not in ("-", "none"), defect.name
