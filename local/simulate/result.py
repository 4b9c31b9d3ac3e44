"""What an episode was, in figures, and the digest of its audit."""

from __future__ import annotations

import hashlib

import msgspec

from local.invariants import Violation
from local.simulate.judge import Judge
from shared.audit.chain import walk
from shared.audit.record import canonical
from shared.simulation.venue import Venue
from shared.storage.store import Store


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What an episode was."""

    decisions: int
    approved: int
    entries: int
    trades: int
    stops: int
    restarts: int
    minutes: int
    fired: tuple[str, ...]
    violations: tuple[Violation, ...]
    checked: dict[int, int]
    failures: dict[str, int]
    audit: str
    seconds: float
    #: What the market and people did: liquidations, funding payments, acts by hand, answers.
    seen: dict[str, int]


def seen(venue: Venue, judge: Judge) -> dict[str, int]:
    """What the market and people did."""
    ledger = venue.ledger()
    return {
        "liquidations": sum(o.client_order_id.startswith("autoclose") for o in ledger.orders),
        "funding payments": sum(i.kind == "FUNDING_FEE" for i in ledger.income),
        "acts by hand": 0,
        "answers to approvals": len(judge.verdicts),
        "stops that failed": len(judge.vigil.failures),
        "of them watched": len(judge.vigil.watched),
        "automatic latches": judge.latched,
        "sales above the limit by a rise in flight": len(judge.risen),
    }


def digest_of(store: Store) -> str:
    """SHA-256 over the whole audit chain, as it is exported."""
    digest = hashlib.sha256()
    for _, body in walk(store, "main"):
        digest.update(canonical(body))
    return digest.hexdigest()
