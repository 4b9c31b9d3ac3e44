"""Guesses that fail are counted and lock for a while, each further lock for longer.

One rule for whatever can be guessed, kept in the store: all instances count together.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from shared.errors import AlreadyExists, Conflict, NotFound
from shared.storage.store import Body, Document, Store

#: Failures in a row that lock, and for how long; each further lock without a success in between
#: lasts twice as long, up to a day.
MAX_FAILURES = 5
LOCK_MS = 15 * 60_000
MAX_LOCK_MS = 24 * 60 * 60_000


class Guesses(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the guesses at one thing; whoever keeps more of it inherits.

    Parameters
    ----------
    failures : int
        In a row, since the last lock.
    locked_until : int
        UTC milliseconds; 0 while it was never locked.
    locks : int
        Without a success in between.
    """

    failures: int = 0
    locked_until: int = 0
    locks: int = 0

    def locked(self, now: int) -> bool:
        """Whether nothing is tried at that time (UTC milliseconds)."""
        return now < self.locked_until


G = TypeVar("G", bound=Guesses)


def failed(known: G, now: int) -> G:
    """With one failure more, which may lock."""
    failures = known.failures + 1
    locks = failures >= MAX_FAILURES
    return msgspec.structs.replace(
        known,
        failures=0 if locks else failures,
        locked_until=now + lock_ms(known.locks) if locks else 0,
        locks=known.locks + locks,
    )


def lock_ms(locks: int) -> int:
    """How long the next lock lasts after so many without a success in between."""
    return int(min(LOCK_MS * 2 ** min(locks, 10), MAX_LOCK_MS))


def load(
    store: Store, container: str, partition: str, id_: str, type_: type[G]
) -> tuple[G, Document | None]:
    """What is stored, and its document; nothing was guessed where there is none."""
    document = store.get(container, partition, id_)
    if document is None:
        return type_(), None
    return msgspec.convert(document.body, type_), document


def save(store: Store, container: str, body: Body, found: Document | None) -> bool:
    """Store it over exactly what was found; ``False`` where somebody else was faster."""
    try:
        if found is None:
            store.create(container, body)
        else:
            store.replace(container, body, etag=found.etag)
    except (AlreadyExists, Conflict, NotFound):
        return False
    return True
