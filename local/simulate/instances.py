"""The instances of the application in an episode: one runs; it dies, is redeployed, or is replaced.

One that is replaced while an activity of it is in flight goes on beside its successor
(:mod:`local.simulate.succession`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from local.clock import VirtualClock
from local.simulate.boundaries import ExchangeFaults, Killed
from local.simulate.judge import Judge
from local.simulate.process import Process
from local.simulate.succession import beside, span_ms
from shared import bootstrap
from shared.errors import AlreadyExists


class Instances:
    """Whoever runs the application just now, and whoever ran it before and is not at its end yet.

    Parameters
    ----------
    seed : str
    clock : VirtualClock
    judge : Judge
        Told for how long nobody could act.
    faults : ExchangeFaults
        The exchange's side of what fails, which is of the process that runs.
    make : callable
        Makes a process, from the seed of its task hub.
    passes : callable
        Lets time pass until a moment, UTC milliseconds.
    """

    def __init__(
        self,
        seed: str,
        clock: VirtualClock,
        judge: Judge,
        faults: ExchangeFaults,
        make: Callable[[int], Process],
        passes: Callable[[int], None],
    ) -> None:
        self._seed = seed
        self._clock = clock
        self._judge = judge
        self._faults = faults
        self._make = make
        self._passes = passes
        self.process: Process | None = None
        #: One that has been replaced and has not come to its end yet.
        self._zombie: Process | None = None
        self._succeeding = False
        self.restarts = self.successions = 0

    def running(self) -> Process:
        """The one that runs, started where none does."""
        while self.process is None:
            self.process = self._make(self._seed_number())
            try:
                self.process.start()
            except Killed:
                self.bury()
        return self.process

    def succeed(self, draw: random.Random) -> None:
        """Another process takes over; the one that asks goes on when that has run for a while."""
        old = self.process
        if old is None or self._succeeding or self._zombie is not None:
            return
        self.successions += 1
        self._zombie, self.process = old, None
        old.hooks.zombie = self._succeeding = True
        # What it would tell the hubs is told by nobody: there it ends at the latest.
        old.platform.event_log.append = lambda *args, **named: old.hooks.die("outputs")  # type: ignore[method-assign]
        self.restarts += 1
        until = self._clock.now_ms() + span_ms(draw)
        try:
            beside(partial(self._alone, until))
        finally:
            self._succeeding = False
        # Nothing more goes wrong for it: what it knows is wrong enough.
        self._faults.hooks = None
        bootstrap.use(old.services)

    def _alone(self, until: int) -> None:
        """The successor's first seconds, looked at as ever."""
        while self._clock.now_ms() < until:
            self._passes(min(until, self._clock.now_ms() + 5_000))

    def bury(self) -> None:
        """The process has died: seconds pass before the next one runs."""
        if self._zombie is not None and not self._succeeding:
            # The old one has come to its end, and the one that runs is another.
            self._zombie.abandon()
            self._zombie = None
            if self.process is not None:
                self._faults.hooks = self.process.hooks
                bootstrap.use(self.process.services)
            return
        assert self.process is not None
        self.process.abandon()
        self.process = None
        self._faults.hooks = None
        self.restarts += 1
        down = random.Random(f"down|{self._seed}|{self.restarts}").choice((200, 2_000, 15_000))
        self._judge.blocked(down)
        self._clock.sleep(down / 1000)

    def redeploy(self) -> None:
        """A clean stop and a new process on what is stored."""
        if self.process is None:
            return
        began = self._clock.now_ms()
        try:
            self.process.stop()
        except Killed:
            self.bury()
            return
        self.process = None
        self._faults.hooks = None
        self.restarts += 1
        self._judge.blocked(self._clock.now_ms() - began, since=began)

    def watch(self, account: str) -> None:
        """Start the watch over an account unless it runs: the task hub is everybody's."""
        if self.process is None:
            return
        hub = self.process.platform.hub
        with suppress(AlreadyExists):
            hub.operations.start("account_watch", f"account-watch-{account}", "{}")

    def _seed_number(self) -> int:
        return random.Random(f"hub|{self._seed}|{self.restarts}").getrandbits(32)

    def end(self) -> None:
        """The episode is over, and so is every process."""
        if self._zombie is not None:
            self._zombie.abandon()
        if self.process is not None:
            self.process.abandon()
            self.process = None
