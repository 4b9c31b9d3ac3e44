"""What an episode was, in figures, and the digest of its audit."""

from __future__ import annotations

import hashlib

from local.invariants import Violation
from local.simulate.figures import Figures
from local.simulate.judge import Judge
from shared.audit.chain import walk
from shared.audit.record import canonical
from shared.simulation.venue import Venue
from shared.storage.store import Store


class Result(Figures, frozen=True, kw_only=True):
    """What an episode was."""

    fired: tuple[str, ...]
    violations: tuple[Violation, ...]
    audit: str
    seconds: float


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
        "automatic latches": judge.switch.latched,
        "sales above the limit by a rise in flight": len(judge.risen),
    }


def digest_of(store: Store) -> str:
    """SHA-256 over the whole audit chain, as it is exported."""
    digest = hashlib.sha256()
    for _, body in walk(store, "main"):
        digest.update(canonical(body))
    return digest.hexdigest()
