"""What an episode was in figures, and several of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

K = TypeVar("K")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one episode, or their sums over several."""

    decisions: int
    approved: int
    entries: int
    trades: int
    stops: int
    restarts: int
    minutes: int
    #: Checks by the number of the invariant.
    checked: dict[int, int]
    #: Activities that failed, by function and error.
    failures: dict[str, int]
    #: What the market and people did: liquidations, funding payments, acts by hand, answers.
    seen: dict[str, int]


def summed(episodes: Sequence[Figures]) -> dict[str, Any]:
    """The fields of :class:`Figures` over all episodes."""
    found: dict[str, Any] = {}
    for name in Figures.__struct_fields__:
        values = [getattr(e, name) for e in episodes]
        counts = name in ("checked", "failures", "seen")
        found[name] = together(values) if counts else sum(values)
    return found


def together(counts: Iterable[Mapping[K, int]]) -> dict[K, int]:
    """Counts added up key by key."""
    found: Counter[K] = Counter()
    for one in counts:
        found.update(one)
    return dict(found)


def by_boundary(fired: Sequence[str]) -> dict[str, int]:
    """How many faults struck at each boundary."""
    return dict(Counter(key.split(".", 1)[1].replace("=", " ").split(".")[0] for key in fired))
