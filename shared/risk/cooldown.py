"""The pause on a symbol after losing exits: what of its past the gate is told."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from shared.risk.decision import Cooldown
from shared.risk.gate import MAX_COOLDOWN_LOSSES


def after(before: Cooldown, net_pnl: Decimal, closed_at: int) -> Cooldown:
    """The past of a symbol once one more trade in it is over, at ``closed_at`` (UTC ms).

    A trade that lost nothing, fees and funding included, ends the row; losses beyond what
    lengthens a pause are not counted.
    """
    if net_pnl >= 0:
        return Cooldown()
    losses = min(MAX_COOLDOWN_LOSSES, before.losses_in_a_row + 1)
    return Cooldown(last_loss_at=closed_at, losses_in_a_row=losses)


def of(trades: Iterable[tuple[Decimal, int]]) -> Cooldown:
    """The same from net results and closing times of trades, the newest first.

    Reads no further than it has to.
    """
    row: list[tuple[Decimal, int]] = []
    for net_pnl, closed_at in trades:
        if net_pnl >= 0:
            break
        row.append((net_pnl, closed_at))
        if len(row) == MAX_COOLDOWN_LOSSES:
            break
    found = Cooldown()
    for net_pnl, closed_at in reversed(row):
        found = after(found, net_pnl, closed_at)
    return found
