"""Names of the workflows of emergency stops, and which of them a person has ended."""

from __future__ import annotations

from shared.risk.switch_status import SwitchStatus

#: Stops that are asked for within so long while the store fails are one.
TOGETHER_MS = 600_000

_LATE = "emergency-late-"


def of_latch(latched_at: int | None) -> str:
    """The workflow of a stop that is stored: one latch, one workflow."""
    return f"emergency-{latched_at}"


def of_late(at: int) -> str:
    """The workflow of a stop that could not be stored when it was asked for, UTC ms."""
    return f"{_LATE}{at // TOGETHER_MS}"


def cleared(switch: SwitchStatus, workflow: str) -> bool:
    """Whether trading was armed again after the stop of a workflow.

    A late stop may have joined another latch, or have been repeated: whatever was cleared since it
    was asked for, it was a part of. Its name says only within which ten minutes that was: of one
    that is still to be latched this must not be asked, or what was cleared before is taken for it.
    """
    if switch.state == "latched":
        return False
    if workflow.startswith(_LATE):
        since = int(workflow.removeprefix(_LATE)) * TOGETHER_MS
        return any(episode["cleared_at"] >= since for episode in switch.history)
    return any(of_latch(episode["latched_at"]) == workflow for episode in switch.history)
