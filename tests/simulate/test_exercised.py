"""The judge of what the profiles did, on figures made by hand."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from exercised import Figures, judged, menu_of, never_struck, problems

from local.simulate.profiles import PROFILES


def full(profile: str, seed: int = 7) -> Figures:
    """Everything that a profile can do, a hundred times each."""
    rates = PROFILES[profile].rates
    happened = (
        "restarts",
        "emergency stops",
        "liquidations",
        "funding payments",
        "stops that failed",
        "of them watched",
        "automatic latches",
        "acts by hand",
        "answers to approvals",
        "outages of the store",
        "successions",
        "halts looked at",
    )
    return Figures(
        profile=profile,
        seed=seed,
        struck={f"{menu} {kind}": 100 for menu, kinds in rates.items() for kind, _ in kinds},
        happened=dict.fromkeys(happened, 1),
    )


def without(figures: Figures, name: str) -> Figures:
    return msgspec.structs.replace(
        figures,
        struck={k: n for k, n in figures.struck.items() if not k.startswith(name)},
        happened={k: n for k, n in figures.happened.items() if k != name},
    )


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_that_does_all_it_names_is_fine(profile: str) -> None:
    assert problems(PROFILES[profile], [full(profile)]) == []


@pytest.mark.parametrize(
    ("profile", "missing"),
    [
        ("gaps", "liquidations"),
        ("gaps", "funding payments"),
        ("watch", "stops that failed"),
        ("bursts", "automatic latches"),
        ("strangers", "acts by hand"),
        ("approvals", "answers to approvals"),
        ("crash", "restarts"),
        ("stops", "emergency stops"),
        ("twins", "rival same"),
        ("silence", "prices old"),
        ("maker", "post-only 5022"),
        ("exchange", "stops no-stops"),
        ("exchange", "lookup hidden"),
        ("store", "replace conflict"),
        ("outage", "outages of the store"),
        ("outage", "outage writes"),
        ("clocks", "clock frozen"),
        ("zombies", "successions"),
        ("halts", "halts looked at"),
        ("doubt", "doubt 503-done"),
    ],
)
def test_what_is_missing_is_told(profile: str, missing: str) -> None:
    assert problems(PROFILES[profile], [without(full(profile), missing)])
    # Where another piece of the profile showed it, it was there.
    assert problems(PROFILES[profile], [without(full(profile), missing), full(profile)]) == []


def test_a_rare_fault_is_only_asked_for_where_it_was_due() -> None:
    few = msgspec.structs.replace(full("exchange"), struck={"read slow": 20, "write 429": 1})
    told = problems(PROFILES["exchange"], [few])
    assert "exchange: nothing of lookup struck" in told
    assert not [line for line in told if line.endswith("down never")]


def test_faults_beside_what_a_profile_is_about_are_asked_for_together() -> None:
    bursts = full("bursts")
    assert problems(PROFILES["bursts"], [without(bursts, "stops no-stops")]) == []
    silent = bursts
    for menu in PROFILES["bursts"].rates:
        silent = without(silent, menu + " ")
    told = problems(PROFILES["bursts"], [silent])
    assert told == ["bursts: nothing struck beside what it is about"]


def test_a_kind_that_no_profile_showed_is_told() -> None:
    pieces = [full(profile) for profile in PROFILES]
    assert never_struck(pieces) == []
    assert never_struck([without(piece, "read down") for piece in pieces]) == ["read down"]


def test_the_last_piece_of_a_profile_judges_it(tmp_path: Path) -> None:
    planned = [("gaps", 7), ("gaps", 107), ("watch", 7)]
    calm = [without(full("gaps", seed), "liquidations") for seed in (7, 107)]
    assert judged(tmp_path, calm[0], planned) == []
    assert judged(tmp_path, full("watch"), planned) == []
    told = judged(tmp_path, calm[1], planned)
    assert told[0] == "gaps: no liquidations"
    # All are there: what none of them showed is told as well.
    assert "never struck: rival same" in told


@pytest.mark.parametrize(
    ("place", "menu"),
    [
        ("POST-order", "write"),
        ("DELETE-algoOrder", "write"),
        ("GET-order", "lookup"),
        ("GET-positionRisk", "read"),
        ("POST-order.rival", "rival"),
        ("create-audit.kill", "kill"),
        ("replace-control", "replace"),
        ("create-audit", "store-write"),
        ("patch-control", "store-write"),
        ("get-orders", "store-read"),
        ("run-assess", "activity"),
        ("report-assess", "report"),
        ("deliver-market", "events"),
        ("post-only", "post-only"),
        ("outage", "outage"),
        ("clock", "clock"),
        ("halt", "halt"),
        ("doubt", "doubt"),
        ("create-orders.zombie", "zombie"),
        ("prices", "prices"),
    ],
)
def test_places_and_their_menus(place: str, menu: str) -> None:
    assert menu_of(place) == menu
