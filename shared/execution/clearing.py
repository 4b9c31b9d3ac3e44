"""Clearing the kill switch: a person, a second factor, a reason, and a flat account."""

from __future__ import annotations

from shared.errors import Conflict
from shared.execution.desk import Desk
from shared.execution.exchange import open_symbols


def clear(desk: Desk, *, code: str, reason: str, operator: str) -> None:
    """Arm trading again.

    Raises
    ------
    InvalidInput
        Wrong or reused code, no reason, no operator; nothing is changed.
    Conflict
        The switch is not latched, or the exchange still shows positions or orders.
    """
    remaining = open_symbols(
        desk.exchange.positions(), desk.exchange.open_orders(), desk.exchange.open_algo_orders()
    )
    if remaining:
        raise Conflict(f"the account is not flat yet: {', '.join(remaining)}")
    desk.kill_switch.clear(code, reason, operator)
    now = desk.clock.now_ms()
    desk.note(
        "kill_switch",
        {"state": "armed", "operator": operator, "reason": reason, "at": now},
        correlation="kill-switch",
    )
    desk.alert(
        "critical",
        "kill-switch-cleared",
        f"Kill switch cleared by {operator}",
        f"Reason: {reason}. Trading is armed again.",
        correlation=f"cleared-{now}",
    )
