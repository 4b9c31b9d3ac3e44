"""Whether the profiles did to the application what they are named for.

Every piece of the simulation that a test run makes leaves its figures in a folder that the whole
run shares; whoever is the last of a profile judges their sum, so nothing is simulated for this.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from local.simulate.profiles import PROFILES, Profile
from local.simulate.result import Result
from local.simulate.schedule import Menu

#: What must have happened in all pieces of a profile together, by the names of the figures: what it
#: is about, and often enough in a thousand decisions not to be missed by chance.
HAPPENED: Mapping[str, tuple[str, ...]] = {
    "crash": ("restarts",),
    "stops": ("emergency stops", "restarts"),
    "gaps": ("liquidations", "funding payments"),
    "silence": ("restarts",),
    "watch": ("stops that failed", "of them watched"),
    "bursts": ("automatic latches",),
    "strangers": ("acts by hand",),
    "approvals": ("answers to approvals", "restarts"),
    "maker": ("restarts",),
    "outage": ("outages of the store", "emergency stops"),
    "zombies": ("successions", "emergency stops"),
    "halts": ("halts looked at",),
    "hub": ("emergency stops", "stops that failed"),
    "storm": ("restarts",),
}

#: So many strikes of a menu must a kind of fault be due before its absence means anything.
DUE = 15

_ALONE = (
    *("stops", "post-only", "trigger", "vanish", "prices"),
    *("outage", "clock", "halt", "doubt", "ask"),
)
_LOOKUPS = ("order", "algoOrder", "openAlgoOrders")
_MENUS = {"run": "activity", "report": "report", "deliver": "events", "get": "store-read"}


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one piece: how often each fault struck, as ``menu kind``, and what happened."""

    profile: str
    seed: int
    struck: dict[str, int]
    happened: dict[str, int]


def menu_of(place: str) -> str:
    """The menu that the faults of a place are drawn from, by the names of a profile's rates."""
    for menu in ("rival", "kill", "zombie"):
        if place.endswith(f".{menu}"):
            return menu
    if place in _ALONE:
        return place
    verb, _, name = place.partition("-")
    if verb in _MENUS:
        return _MENUS[verb]
    if verb == "GET":
        return "lookup" if name in _LOOKUPS else "read"
    if verb.isupper():
        return "write"
    return "replace" if verb == "replace" else "store-write"


def figures_of(profile: str, seed: int, results: Sequence[Result]) -> Figures:
    """What the episodes of one piece came to."""
    struck: Counter[str] = Counter()
    happened: Counter[str] = Counter()
    for result in results:
        for key in result.fired:
            place, _, kind = key.partition(".")[2].partition("=")
            struck[f"{menu_of(place.rpartition('.')[0])} {kind}"] += 1
        happened.update(result.seen)
        happened.update({"restarts": result.restarts, "emergency stops": result.stops})
    return Figures(profile=profile, seed=seed, struck=dict(struck), happened=dict(happened))


def problems(profile: Profile, pieces: Collection[Figures]) -> list[str]:
    """What a profile has rates for or is named after, and did not do."""
    struck, happened = _sums(pieces)
    found = [
        f"{profile.name}: no {what}"
        for what in HAPPENED.get(profile.name, ())
        if not happened[what]
    ]
    background = 0
    for menu, kinds in profile.rates.items():
        strikes = sum(struck[f"{menu} {kind}"] for kind, _ in kinds)
        total = sum(rate for _, rate in kinds)
        if _faint(menu, kinds):
            background += strikes
        elif not strikes:
            found.append(f"{profile.name}: nothing of {menu} struck")
        for kind, rate in kinds:
            if strikes * rate / total >= DUE and not struck[f"{menu} {kind}"]:
                found.append(f"{profile.name}: {menu} struck {strikes} times, {kind} never")
    faint = any(_faint(menu, kinds) for menu, kinds in profile.rates.items())
    if faint and not background:
        found.append(f"{profile.name}: nothing struck beside what it is about")
    return found


def _faint(menu: str, kinds: Menu) -> bool:
    """Whether a profile has a menu at less than its usual rates: beside what it is about."""
    usual = sum(rate for _, rate in PROFILES["storm"].rates.get(menu, ()))
    return sum(rate for _, rate in kinds) < 0.99 * usual


def never_struck(pieces: Collection[Figures]) -> list[str]:
    """Kinds of faults that no profile showed at all."""
    struck, _ = _sums(pieces)
    all_kinds = {
        f"{menu} {kind}"
        for name, profile in PROFILES.items()
        for menu, kinds in profile.rates.items()
        for kind, _ in kinds
    }
    return sorted(kind for kind in all_kinds if not struck[kind])


def _sums(pieces: Iterable[Figures]) -> tuple[Counter[str], Counter[str]]:
    struck: Counter[str] = Counter()
    happened: Counter[str] = Counter()
    for piece in pieces:
        struck.update(piece.struck)
        happened.update(piece.happened)
    return struck, happened


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test run see."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "exercised"
    folder.mkdir(exist_ok=True)
    return folder


def judged(folder: Path, piece: Figures, planned: Collection[tuple[str, int]]) -> list[str]:
    """Leave a piece's figures; the problems of its profile, and of all, once all are there."""
    (folder / f"{piece.profile}-{piece.seed}.tmp").write_bytes(msgspec.json.encode(piece))
    (folder / f"{piece.profile}-{piece.seed}.tmp").rename(
        folder / f"{piece.profile}-{piece.seed}.json"
    )
    there = {
        (one.profile, one.seed): one
        for file in sorted(folder.glob("*.json"))
        for one in [msgspec.json.decode(file.read_bytes(), type=Figures)]
    }
    mine = [key for key in planned if key[0] == piece.profile]
    found: list[str] = []
    if set(mine) <= there.keys():
        found += problems(PROFILES[piece.profile], [there[key] for key in mine])
    if set(planned) <= there.keys():
        found += [f"never struck: {kind}" for kind in never_struck(there.values())]
    return found
