"""Links resolve, and nothing in the pages names what is not part of the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import DOCS, PAGES, ROOT, anchors, links

NAMES = [p.relative_to(ROOT).as_posix() for p in PAGES]

_PATH = re.compile(
    r"`((?:shared|functions|local|infra|tests|benchmarks|docs|web)/[\w./-]*|[\w-]+\.(?:py|yaml))`"
)


@pytest.mark.parametrize("name", NAMES)
def test_links_resolve(name: str) -> None:
    page = ROOT / name
    broken = []
    for target in links(page.read_text()):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        there = page if not path else (page.parent / path).resolve()
        if not there.exists() or (anchor and anchor not in anchors(there.read_text())):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("name", NAMES)
def test_paths_exist(name: str) -> None:
    missing = []
    for path in _PATH.findall((ROOT / name).read_text()):
        at_home = (ROOT / path).exists() or (
            "/" not in path
            and any(ROOT.glob(f"{folder}/**/{path}") for folder in ("shared", "local"))
        )
        if not at_home:
            missing.append(path)
    assert not missing


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_machine_is_named(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.findall(r"(?:^|[\s`'\"(])/(?:home|root|tmp|work|var|Users)/\S*", text)


def test_every_page_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        for target in links(page.read_text()):
            path = (page.parent / target.partition("#")[0]).resolve()
            if not target.startswith("http") and path.exists():
                waiting.append(path)
    assert {p.name for p in DOCS.glob("*.md")} <= {p.name for p in seen}
