"""A stop by hand, and one that could not be stored when it was asked for.

While the store fails no entry gets its permit, so positions may be closed before the latch; it
follows as soon as the store answers.
"""

from __future__ import annotations

import logging
from typing import Any

from shared.errors import BorsaError, StoreError
from shared.execution import emergency, stop_workflows
from shared.execution.desk import Desk
from shared.storage.patience import at_most

#: Seconds that an operation of the store may take before positions are closed without the latch;
#: a second longer with every run of the workflow, or a store that is merely slow would never hear.
LATCH_SECONDS = 2.0
LONGEST_SECONDS = 10.0


def workflow_id(now: int) -> str:
    """Id of the workflow of a stop that could not be stored at ``now``, UTC ms."""
    return stop_workflows.of_late(now)


def by_hand(desk: Desk, evidence: dict[str, Any], now: int, seconds: float = LATCH_SECONDS) -> bool:
    """Latch because a person says so; told by the caller. ``False`` when it was latched before.

    Raises
    ------
    StoreError
        When the switch cannot be seen latched.
    """
    with at_most(seconds):
        try:
            return desk.kill_switch.latch("manual", evidence, now)
        except StoreError:
            status = desk.kill_switch.status()
            if status is None or status.state != "latched":
                raise
            return status.latched_at == now  # only the answer was lost


def late(desk: Desk, evidence: dict[str, Any], at: int, attempt: int = 0) -> bool:
    """Store a stop that was asked for at ``at`` (UTC ms) while the store failed.

    Returns
    -------
    bool
        Whether nothing is left to be done: it is latched now, or was cleared since.
    """
    seconds = min(LATCH_SECONDS + attempt, LONGEST_SECONDS)
    try:
        with at_most(seconds):
            status = desk.kill_switch.status()
            # Not by when it was armed: a switch may be set up, armed, only after the stop.
            if status is not None and any(e["cleared_at"] > at for e in status.history):
                return True
        first = by_hand(desk, evidence, at, seconds)
    except StoreError as error:
        logging.getLogger("borsa").error("the stop still cannot be stored: %s", error)
        return False
    try:
        emergency.tell_latched(desk, "manual", evidence, f"emergency-{at}", first=first)
    except BorsaError as error:
        logging.getLogger("borsa").error("latched, not fully recorded: %s", error)
    return True
