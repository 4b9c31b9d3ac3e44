"""Arming trading again: a person, a second factor, a reason, and an account in order."""

from __future__ import annotations

from collections.abc import Sequence

from shared.compliance.operator import refusals_told
from shared.errors import Conflict, InvalidInput
from shared.execution import protection
from shared.execution import stuck as stuck_orders
from shared.execution.desk import Desk
from shared.execution.exchange import VenueAlgoOrder, VenueOrder, VenuePosition, open_symbols
from shared.execution.ids import is_ours
from shared.portfolio import positions


def clear(desk: Desk, *, code: str, reason: str, operator: str) -> None:
    """Arm trading again after a latch or a halt.

    Raises
    ------
    ExchangeError
        The exchange cannot be read, or still refuses.
    StoreUnavailable
        Nothing is armed, unless the very last write was done and neither its answer nor the switch
        can be read.
    InvalidInput
        Neither latched nor halted, wrong or reused code, no reason, no operator; nothing is
        changed.
    Conflict
        The exchange still shows positions or orders; where
        positions were held rather than closed, ones that are not ours or lack a full stop. Or it
        was stopped once more meanwhile.
    """
    switch = desk.kill_switch.status()
    if switch is None or switch.state == "armed":
        raise InvalidInput("the kill switch is not latched")
    if switch.state == "halted":
        _resume(desk, code=code, reason=reason, operator=operator)
        return
    held, plain = desk.exchange.positions(), desk.exchange.open_orders()
    algos = desk.exchange.open_algo_orders()
    stuck = stuck_orders.stuck(desk, held, algos)
    if switch.closing:
        remaining = open_symbols(held, plain, [a for a in algos if a not in stuck])
        if remaining:
            raise Conflict(f"the account is not flat yet: {', '.join(remaining)}")
    else:
        unsafe = _not_in_order(desk, held, plain, algos)
        if unsafe:
            raise Conflict(
                f"not ours, or without a full stop: {', '.join(unsafe)}; stop to close them"
            )
    with refusals_told(desk, "clear the kill switch", operator):
        desk.kill_switch.clear(
            code,
            reason,
            operator,
            judged=switch,
            tell=lambda: _tell(
                desk,
                f"Kill switch cleared by {operator}",
                f"Reason: {reason}. Trading is armed again.{stuck_orders.told(stuck)}",
                operator=operator,
                reason=reason,
            ),
        )


def _resume(desk: Desk, *, code: str, reason: str, operator: str) -> None:
    """After a halt: what was open is open still, and the exchange has to answer again."""
    desk.exchange.account_and_positions()
    with refusals_told(desk, "resume after a halt", operator):
        desk.kill_switch.resume(
            code,
            reason,
            operator,
            tell=lambda: _tell(
                desk,
                f"Trading resumed after a halt by {operator}",
                f"Reason: {reason}. If the exchange refuses again, entries are halted again.",
                operator=operator,
                reason=reason,
            ),
        )


def _tell(desk: Desk, title: str, text: str, *, operator: str, reason: str) -> None:
    """Write down and announce who arms trading, before it is armed.

    After it a failing store would leave trading armed with nobody told, and the person answered
    that it failed.
    """
    now = desk.clock.now_ms()
    desk.note(
        "kill_switch",
        {"state": "armed", "operator": operator, "reason": reason, "at": now},
        correlation="kill-switch",
    )
    desk.alert("critical", "kill-switch-cleared", title, text, correlation=f"cleared-{now}")


def _not_in_order(
    desk: Desk,
    held: Sequence[VenuePosition],
    plain: Sequence[VenueOrder],
    algos: Sequence[VenueAlgoOrder],
) -> list[str]:
    """Symbols with anything that nobody here decided, or a position without its full stop."""
    records = positions.open_records(desk.store, desk.account)
    unsafe = {o.symbol for o in plain}
    unsafe |= {a.symbol for a in algos if not is_ours(a.client_algo_id)}
    unsafe |= {
        p.symbol for p in held if p.symbol not in records or protection.uncovered(p, algos) > 0
    }
    return sorted(unsafe)
