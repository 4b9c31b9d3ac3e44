"""Roles of people, each with everything that the one below it may do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

#: As the app roles of the registration are called (``value``), lowest first.
Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)


def highest(claimed: Iterable[object]) -> Role | None:
    """The highest of the roles in a token; ``None`` where none of them is one of ours."""
    known = set(ROLES) & {c for c in claimed if isinstance(c, str)}
    return max(known, key=ROLES.index, default=None)


def allows(role: Role, needed: Role) -> bool:
    """Whether a role is enough."""
    return ROLES.index(role) >= ROLES.index(needed)
