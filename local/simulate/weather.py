"""The state store goes away for seconds or minutes and comes back.

Everything fails, or only what writes, or one container; at once, or after it was waited for. The
outage is the episode's, not a process's: who is started meanwhile finds the store away as well.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from shared.clock import Clock
from shared.storage.patience import patience

#: How long an outage lasts, milliseconds, from and to; each span is as likely.
SPANS = ((1_000, 5_000), (5_000, 20_000), (20_000, 60_000), (60_000, 120_000))

#: Containers that may be away alone.
ALONE = ("control", "orders", "positions", "signals", "audit", "alerts", "trades")

#: An operation that hangs is given up by the adapter after this long where its caller is patient,
#: milliseconds. The real one takes ten seconds, in which no other work of this process would be
#: held up: here there is one thread.
GIVEN_UP_MS = 1_000


class Weather:
    """Whether the store is away.

    Parameters
    ----------
    clock : Clock
    waits : callable
        Told milliseconds for which somebody waits who may not be held up: whose patience has an
        end. That excuses only others, which would be served by other threads.
    blocked : callable
        Told milliseconds of a wait that nobody here can shorten.
    failed : callable
        Told whenever the store fails.
    """

    def __init__(
        self,
        clock: Clock,
        waits: Callable[[int], None],
        blocked: Callable[[int], None],
        failed: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._waits, self._blocked, self._failed = waits, blocked, failed
        self._kind = ""
        self._container = ""
        self._hangs = False
        self._until = 0
        #: Since when nothing could be written, UTC ms; ``None`` while it can.
        self.away_since: int | None = None
        self.outages = 0

    def strike(self, kind: str, draw: Random) -> None:
        """An outage begins, unless there is one: ``all``, ``writes`` or ``one``."""
        now = self._clock.now_ms()
        if now < self._until:
            return
        self.outages += 1
        self._kind, self._container = kind, draw.choice(ALONE)
        self._hangs = draw.random() < 0.5
        self._until = now + draw.randint(*draw.choice(SPANS))
        if kind != "one" or self._container in ("control", "orders"):
            self.away_since = now

    def fails(self, container: str, *, writes: bool) -> bool:
        """Whether an operation fails now; time passes first where the store hangs."""
        if self._clock.now_ms() >= self._until:
            self.away_since = None
            return False
        if self._kind == "writes" and not writes:
            return False
        if self._kind == "one" and container != self._container:
            return False
        if self._hangs:
            self._hang()
        self._failed()
        return True

    def _hang(self) -> None:
        limit = patience()
        if limit is None:
            self._blocked(GIVEN_UP_MS)
            self._clock.sleep(GIVEN_UP_MS / 1000)
        else:
            self._waits(round(limit * 1000))
            self._clock.sleep(limit)

    def over(self) -> None:
        """The store is back."""
        self._until = 0
        self.away_since = None
