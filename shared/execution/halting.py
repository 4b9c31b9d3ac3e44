"""The reaction to a refusal that only a person can put right: nothing more is opened.

Keys, region, compliance, liquidation, an account that may only reduce or is in the wrong mode
(class HALT of :mod:`shared.execution.binance.errors`). Closing, protecting and reading go on: each
request is tried as ever, because the exchange may refuse one and take another.
"""

from __future__ import annotations

import logging

from shared.errors import BorsaError, ExchangeHalted
from shared.execution.desk import Desk
from shared.risk.switch_status import Halt

HOUR_MS = 3_600_000


def heed(desk: Desk, error: Exception) -> None:
    """Halt entries for an error of that class, and page a person; anything else is none of ours.

    A ban names its end, until which the rate budget sends nothing; it halts nobody beyond that,
    and is told all the same.
    """
    if not isinstance(error, ExchangeHalted):
        return
    try:
        _halt(desk, error)
    except BorsaError:
        # The caller has a position to protect, or an order to settle, and goes on with that. The
        # next request that is refused comes here again.
        logging.getLogger("borsa").exception("entries could not be halted: %s", error)


def _halt(desk: Desk, error: ExchangeHalted) -> None:
    now = desk.clock.now_ms()
    once = str(now // HOUR_MS)
    if error.retry_after:
        desk.alert(
            "critical",
            "exchange-banned",
            "The exchange takes no requests from here for a while",
            f"{error}. For {error.retry_after:.0f} s nothing is sent; stops rest on the exchange. "
            "Find out what used up the limits, and what else uses this address or these keys.",
            correlation="exchange-banned",
            once=once,
        )
        return
    halt = Halt(code=error.code, status=error.status, reason=str(error)[:500], at=now)
    if desk.kill_switch.ensure().state == "armed":
        desk.note(
            "kill_switch",
            {"state": "halted", "code": halt.code, "reason": halt.reason, "at": now},
            correlation="kill-switch",
        )
        desk.kill_switch.halt(halt)
    desk.alert(
        "critical",
        "entries-halted",
        "The exchange refuses in a way that a person has to put right: nothing is opened",
        f"{error}. Positions are still looked after. Put it right at the exchange or in the key "
        "vault, then arm trading again with the second factor (POST /api/kill-switch/clear).",
        correlation=f"halted-{halt.code}-{halt.status}",
        once=once,
    )
