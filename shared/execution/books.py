"""Record-keeping around a protective order: before it while the store answers, else after it.

An entry needs its intent in the store before it is sent: without that it could be executed twice.
A stop or a close is reduce-only and can add no exposure: a stop is found again at the exchange by
its deterministic id, and two closes close no more than there is. For those the store may be waited
for, but not for long: a store that fails must not keep a position naked, and neither must an audit
chain that is broken.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

from shared.clock import Clock
from shared.errors import AuditBroken, BorsaError, StoreError, StoreUnavailable
from shared.storage.patience import at_most

T = TypeVar("T")

#: What all writes before a protective order may take together, on our clock.
STORE_MS = 1_000

#: Seconds between attempts to write what was put off.
CATCH_UP_DELAYS = (0.1, 0.3, 0.9)


class Books:
    """Steps that write to the store, each done once, in order, now or later.

    After the first failure, and when the time is used up, every further step is put off: a step
    may build on the one before. Steps must be idempotent: one that failed may have been done.

    Parameters
    ----------
    clock : Clock
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left_ms = STORE_MS
        self._later: list[Callable[[], object]] = []

    @property
    def late(self) -> bool:
        """Whether the store is not waited for any more."""
        return bool(self._later) or self._left_ms <= 0

    def give_up(self) -> None:
        """The store has failed elsewhere: wait for it no more."""
        self._left_ms = 0

    def write(self, step: Callable[[], T], otherwise: T) -> T:
        """The step's result, or ``otherwise`` when it has to come later."""
        return self._try(step, otherwise, self._later.append)

    def read(self, step: Callable[[], T], otherwise: T) -> T:
        """What the store says, or ``otherwise`` when there is no time to hear it."""
        return self._try(step, otherwise, lambda step: None)

    def _try(
        self, step: Callable[[], T], otherwise: T, failed: Callable[[Callable[[], T]], None]
    ) -> T:
        if not self.late:
            began = self._clock.steady_ms()
            try:
                with at_most(self._left_ms / 1000):
                    return step()
            except (StoreUnavailable, AuditBroken):
                self.give_up()
            finally:
                # A clock that is set back gives no more time.
                self._left_ms -= self._clock.steady_ms() - began
        failed(step)
        return otherwise

    def catch_up(self, patience_ms: int | None = None) -> None:
        """Do what was put off; the caller is repeated if that fails, and derives it again.

        Parameters
        ----------
        patience_ms : int, optional
            What an operation of the store may take, and after how long nothing is tried again, of
            a caller who has something else to look after.

        Raises
        ------
        StoreUnavailable
            When the store still fails after some attempts.
        AuditBroken
            When the chain is; what does not need it has been written.
        """
        delays = iter(CATCH_UP_DELAYS)
        refused: BorsaError | None = None
        began = self._clock.steady_ms()
        while self._later:
            try:
                with nullcontext() if patience_ms is None else at_most(patience_ms / 1000):
                    self._later[0]()
            except StoreUnavailable:
                wait = next(delays, None)
                over = patience_ms is not None and self._clock.steady_ms() - began >= patience_ms
                if wait is None or over:
                    self._later.clear()
                    raise
                self._clock.sleep(wait)
                continue
            except (StoreError, AuditBroken) as error:
                refused = refused or error
            self._later.pop(0)
        self._left_ms = STORE_MS
        if refused is not None:
            raise refused
