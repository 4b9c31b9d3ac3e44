"""How often dangerous or dear requests are let through, for each instance.

Guessing is stopped by the second factor's own lock, which is in the store and the same for all
instances. This keeps one caller with a key from using up the exchange's rate limit, which exits
need. An emergency stop is never counted.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

from shared.clock import Clock
from shared.errors import TooManyRequests

#: Requests within a minute. The dearest reads every list twice, about 140 of the 2,400 weight
#: that an address has a minute: exits must find most of it left.
PER_MINUTE = 10
MINUTE_MS = 60_000


class Throttle:
    """Counts requests over the last minute.

    Parameters
    ----------
    clock : Clock
    limit : int
        How many are let through within a minute.
    what : str
        What the requests are for, for the message.
    """

    def __init__(
        self,
        clock: Clock,
        limit: int = PER_MINUTE,
        what: str = "to clear, promote, drill or judge",
    ) -> None:
        self._clock = clock
        self._limit = limit
        self._what = what
        self._seen: deque[int] = deque()
        self._lock = threading.Lock()

    def admit(self) -> None:
        """Let one request through.

        Raises
        ------
        TooManyRequests
            When the limit is reached; the refused request is not counted.
        """
        now = self._clock.now_ms()
        with self._lock:
            seen = self._seen
            # A clock that was set back forgets what now lies in the future.
            while seen and not 0 <= now - seen[0] < MINUTE_MS:
                seen.popleft()
            if len(seen) >= self._limit:
                raise TooManyRequests(
                    f"more than {self._limit} requests {self._what} within a minute; wait a little",
                    retry_after=(seen[0] + MINUTE_MS - now) / 1000,
                )
            seen.append(now)


class Throttles:
    """One :class:`Throttle` for each caller, and the callers that were heard of last only.

    Parameters
    ----------
    clock : Clock
    limit : int
        How many requests of one caller are let through within a minute.
    what : str
        What the requests are for, for the message.
    most : int
        Callers that are remembered. Whoever comes as more than these is met by the limit for all,
        which belongs in front of this.
    """

    def __init__(self, clock: Clock, limit: int, what: str, most: int = 1_000) -> None:
        self._clock, self._limit, self._what, self._most = clock, limit, what, most
        self._each: OrderedDict[str, Throttle] = OrderedDict()
        self._lock = threading.Lock()

    def admit(self, caller: str) -> None:
        """Let one request of a caller through.

        Raises
        ------
        TooManyRequests
            When the caller's limit is reached; the refused request is not counted.
        """
        with self._lock:
            one = self._each.pop(caller, None) or Throttle(self._clock, self._limit, self._what)
            self._each[caller] = one
            if len(self._each) > self._most:
                self._each.popitem(last=False)
        one.admit()
