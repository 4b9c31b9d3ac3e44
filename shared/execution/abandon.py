"""Giving up an entry that certainly opened nothing."""

from __future__ import annotations

from decimal import Decimal

from shared.execution import chase
from shared.execution.desk import Desk
from shared.portfolio import positions


def alert_refused(desk: Desk, symbol: str, decision_id: str, reason: str) -> None:
    """Tell that an approved entry opened nothing."""
    desk.alert(
        "warning",
        "entry-refused",
        f"{symbol}: the entry order was not executed",
        f"{reason}. Nothing was opened.",
        correlation=decision_id,
    )


def abandon(desk: Desk, symbol: str, decision_id: str, reason: str) -> None:
    """Free everything held for a decision that certainly opened nothing."""
    found = positions.load(desk.store, desk.account, symbol)
    if found is not None and found[0].decision_id == decision_id and found[0].state != "closed":
        positions.change(
            desk.store,
            found[0],
            state="closed",
            exit_reason=f"never opened: {reason}",
            quantity=Decimal(0),
        )
    chase.release_permits(desk, decision_id)
    desk.ledger.release(decision_id)
