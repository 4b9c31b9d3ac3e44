"""A hiccup of the store, waited out where it happens.

An activity that fails is run again by the task hub, and how long its failure is on the way there
nobody here decides: milliseconds as a rule, many seconds now and then. Behind the activity may be
an order that has filled and has no stop yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from shared.clock import Clock
from shared.errors import StoreUnavailable

T = TypeVar("T")

#: Seconds before the second and the third attempt.
PAUSES = (0.2, 0.6)

#: Nothing is begun again later than this after the first failure, milliseconds: a store that hangs
#: is for the hub.
AGAIN_MS = 5_000


def again(clock: Clock, work: Callable[[], T]) -> T:
    """Do something idempotent; when the store fails meanwhile, do it again at once.

    Parameters
    ----------
    work : callable
        Finds by itself what an earlier run of it has done.

    Raises
    ------
    StoreUnavailable
        When it failed three times, or once more five seconds after the first.
    """
    failed_at: int | None = None
    for pause in PAUSES:
        try:
            return work()
        except StoreUnavailable:
            # Not since the work began: an entry is stayed with for many seconds before it may fail.
            now = clock.steady_ms()
            failed_at = now if failed_at is None else failed_at
            if now - failed_at > AGAIN_MS:
                raise
            clock.sleep(pause)
    return work()
