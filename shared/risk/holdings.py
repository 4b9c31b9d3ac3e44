"""What is held, in signed USDT per symbol, as the measures of the whole portfolio want it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from shared.risk.exposure import committed_notional
from shared.risk.plan import Exposure

ZERO = Decimal(0)


Held = dict[str, Decimal]


def holdings(exposures: Sequence[Exposure]) -> tuple[Held, Held] | None:
    """Signed notional per symbol, negative for a short.

    Position and open ledger entry of a symbol are the same thing, so the larger counts.

    Returns
    -------
    tuple of dict or None
        Without and with what is merely reserved; ``None`` when a figure cannot be trusted.
    """
    found = _parts(exposures)
    if found is None:
        return None
    held, buying, selling = found
    return held, {s: held[s] + buying[s] + selling[s] for s in held}


def fillings(exposures: Sequence[Exposure]) -> tuple[Held, ...] | None:
    """What may be held once it is known which reservations have filled; each case once.

    A hedge that may never come must not make a portfolio look safe, and one that may come must
    not be left out: nothing fills, all does, only what buys, only what sells. Where contracts move
    together the worst of all combinations is one of these.

    Returns
    -------
    tuple of dict or None
        As :func:`holdings`, nothing filled first; ``None`` when a figure cannot be trusted.
    """
    found = _parts(exposures)
    if found is None:
        return None
    held, buying, selling = found
    cases: list[Held] = []
    for some in ((), (buying, selling), (buying,), (selling,)):
        case = {s: sum((one[s] for one in some), held[s]) for s in held}
        if case not in cases:
            cases.append(case)
    return tuple(cases)


def _parts(exposures: Sequence[Exposure]) -> tuple[Held, Held, Held] | None:
    """What is held, and what is reserved to buy and to sell, of the same symbols."""
    if committed_notional(exposures) is None:
        return None
    held: Held = {}
    buying: Held = {}
    selling: Held = {}
    for symbol in sorted({e.symbol for e in exposures}):
        mine = [e for e in exposures if e.symbol == symbol]
        signed = {
            kind: sum(
                ((1 if e.quantity >= 0 else -1) * e.notional for e in mine if e.kind == kind), ZERO
            )
            for kind in ("position", "open")
        }
        # The exchange's word comes first on a tie, and says which way round it is.
        held[symbol] = max((signed["position"], signed["open"]), key=abs)
        coming = [e for e in mine if e.kind == "reserved"]
        buying[symbol] = sum((e.notional for e in coming if e.quantity >= 0), ZERO)
        selling[symbol] = -sum((e.notional for e in coming if e.quantity < 0), ZERO)
    return held, buying, selling
