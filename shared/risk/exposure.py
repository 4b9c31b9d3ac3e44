"""Adding up exposure without counting too little.

The exchange's positions may be read a moment before the ledger, or the ledger a moment before a
fill appears as a position. Per symbol, therefore: what the ledger knows to be open and what the
exchange reports are the same thing, so the larger counts; what is merely reserved may still fill
on top, so it is added. Between a fill and its :meth:`RiskLedger.convert` this counts too much
for a moment, never too little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from shared.execution.exchange import VenuePosition
from shared.risk.checks import finite
from shared.risk.plan import Exposure

#: Assumed loss fraction of exposure whose stop is unknown: the widest stop there may be.
UNKNOWN_STOP_FRACTION = Decimal("0.05")


def positions_as_exposure(positions: Iterable[VenuePosition]) -> list[Exposure]:
    """The exchange's positions at their mark price."""
    return [
        Exposure(
            symbol=p.symbol,
            quantity=p.quantity,
            notional=abs(p.quantity * p.mark_price),
            kind="position",
        )
        for p in positions
    ]


def committed_notional(exposures: Sequence[Exposure]) -> dict[str, Decimal] | None:
    """USDT committed per symbol; ``None`` when any figure is missing, negative or not finite."""
    totals: dict[str, dict[str, Decimal]] = {}
    for e in exposures:
        notional = finite(e.notional)
        if notional is None or notional < 0 or finite(e.quantity) is None:
            return None
        kinds = totals.setdefault(e.symbol, {})
        kinds[e.kind] = kinds.get(e.kind, Decimal(0)) + notional
    zero = Decimal(0)
    return {
        symbol: max(kinds.get("position", zero), kinds.get("open", zero))
        + kinds.get("reserved", zero)
        for symbol, kinds in totals.items()
    }


def open_symbols(exposures: Sequence[Exposure]) -> set[str] | None:
    """Symbols with any exposure; ``None`` when a figure cannot be trusted."""
    committed = committed_notional(exposures)
    if committed is None:
        return None
    # A position at a mark price of zero is still a position.
    return {e.symbol for e in exposures if e.quantity != 0 or e.notional != 0}


def committed_risk(exposures: Sequence[Exposure]) -> Decimal | None:
    """USDT lost if every stop were hit; exposure beyond the ledger's counts the widest stop."""
    if committed_notional(exposures) is None:
        return None
    zero = Decimal(0)
    total = zero
    for symbol in sorted({e.symbol for e in exposures}):
        mine = [e for e in exposures if e.symbol == symbol]
        known = sum((e.notional for e in mine if e.kind == "open"), zero)
        held = sum((e.notional for e in mine if e.kind == "position"), zero)
        for e in mine:
            if e.kind == "position":
                continue
            if e.risk is None:
                total += e.notional * UNKNOWN_STOP_FRACTION
                continue
            risk = finite(e.risk)
            if risk is None or risk < 0:
                return None
            total += risk
        total += max(zero, held - known) * UNKNOWN_STOP_FRACTION
    return total
