"""One wrong line, and who has to find it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Defect:
    """One wrong line."""

    name: str
    file: str
    right: str
    wrong: str
    profile: str = ""
    within: int = 1000
    tests: tuple[str, ...] = ()
    lookahead: str = ""

    @property
    def finder(self) -> str:
        """Who has to find it."""
        if self.lookahead:
            return "detector"
        return "scenario" if self.tests else "simulation"
