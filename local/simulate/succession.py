"""A process is replaced while an activity of it is in flight, and that one goes on all the same.

The one that takes over runs the same code on the same files, for up to a minute: the task hub gives
it the activity that never reported. Then the old one wakes up where it was, with the permit, the
claim and the views that it had, and ends what it was doing. Its result is nobody's: it dies on the
way to the hub.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from random import Random

#: Activities whose old runs are worth waking up, and that do not start workflows of their own.
MONEY = frozenset(
    {"assess", "open_position", "protect_position", "flatten_account", "settle_account"}
)

#: For how long the successor is alone, seconds; each span is as likely.
SPANS = ((0.2, 2.0), (2.0, 8.0), (8.0, 30.0), (30.0, 60.0))


def span_ms(draw: Random) -> int:
    """How long the old one sleeps."""
    return round(1000 * draw.uniform(*draw.choice(SPANS)))


def beside(work: Callable[[], None]) -> None:
    """Run event loops of another process here and now, inside a task of this one's.

    Nothing of the task's context (how long it can wait for the store, say) is known in there.
    """
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        contextvars.Context().run(work)
    finally:
        asyncio._set_running_loop(running)
        asyncio.set_event_loop(running)
