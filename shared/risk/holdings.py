"""What is held, in signed USDT per symbol, as the measures of the whole portfolio want it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from shared.risk.exposure import committed_notional
from shared.risk.plan import Exposure

ZERO = Decimal(0)


def holdings(exposures: Sequence[Exposure]) -> tuple[dict[str, Decimal], dict[str, Decimal]] | None:
    """Signed notional per symbol, negative for a short.

    Position and open ledger entry of a symbol are the same thing, so the larger counts. A
    reservation may fill or not: a hedge that may never come must not make a portfolio look safe,
    and one that may come must not be left out, hence both answers.

    Returns
    -------
    tuple of dict or None
        Without and with what is merely reserved; ``None`` when a figure cannot be trusted.
    """
    if committed_notional(exposures) is None:
        return None
    held: dict[str, Decimal] = {}
    coming: dict[str, Decimal] = {}
    for symbol in sorted({e.symbol for e in exposures}):
        mine = [e for e in exposures if e.symbol == symbol]
        signed = {
            kind: sum(
                ((1 if e.quantity >= 0 else -1) * e.notional for e in mine if e.kind == kind), ZERO
            )
            for kind in ("position", "open", "reserved")
        }
        # The exchange's word comes first on a tie, and says which way round it is.
        larger = max((signed["position"], signed["open"]), key=abs)
        held[symbol] = larger
        coming[symbol] = larger + signed["reserved"]
    return held, coming
