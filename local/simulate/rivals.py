"""Another instance of the same application, between any two effects of the disturbed one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

from local.simulate.boundaries import ExchangeFaults
from local.simulate.judge import Judge
from local.simulate.owner import Owner
from shared.bootstrap import Services
from shared.clock import Clock
from shared.errors import BorsaError
from shared.execution import assess, emergency, entry, guardian, reconcile
from shared.execution.desk import Desk

#: What another instance does while one is frozen.
MEANWHILE = ("guardian", "guardian", "same", "same", "copy", "trade", "reconcile")


class Rivals:
    """What the other instance does when it is its turn.

    Parameters
    ----------
    other : Services
        That instance; nothing disturbs it.
    faults : ExchangeFaults
        Switched off meanwhile.
    judge : Judge
    owner : Owner
        Goes on with a stop that the other instance has begun.
    clock : Clock
    recent : sequence of tuple
        Symbol and signal of the bars that closed last, ``symbols`` of them in each minute.
    failures : Counter
        Counts what goes wrong.
    watch : callable
        Has an account watched, as the activity does that has opened a position.
    """

    def __init__(
        self,
        other: Services,
        faults: ExchangeFaults,
        judge: Judge,
        owner: Owner,
        clock: Clock,
        recent: Sequence[tuple[str, str]],
        symbols: int,
        failures: Counter[str],
        watch: Callable[[str], None],
    ) -> None:
        self._other, self._faults, self._judge, self._owner = other, faults, judge, owner
        self._clock, self._recent, self._symbols = clock, recent, symbols
        self._failures = failures
        self._watch = watch

    def __call__(self, what: str, draw: random.Random) -> None:
        """Another instance does something between two effects of the disturbed one.

        That one is frozen meanwhile: it can protect nothing, and its store seems slow to it.
        """
        hooks, self._faults.hooks = self._faults.hooks, None
        try:
            if what == "freeze":
                self._meanwhile(draw)
            else:
                symbol, signal = self._choose(what, draw)
                with self._judge.frozen(symbol if what in ("copy", "same", "trade") else ""):
                    self._try(what, symbol, signal)
        finally:
            self._faults.hooks = hooks

    def _choose(self, what: str, draw: random.Random) -> tuple[str, str]:
        known = self._recent if what == "copy" else self._recent[-self._symbols :]
        if what == "same":
            known = [k for k in known if k[0] == self._faults.symbol]
        return draw.choice(known) if known else ("", "")

    def _meanwhile(self, draw: random.Random) -> None:
        """The disturbed one stands still, for a minute at most, and the other goes on."""
        with self._judge.frozen(""):
            for _ in range(draw.randint(1, 5)):
                self._clock.sleep(draw.uniform(0.5, 12.0))
                what = draw.choice(MEANWHILE)
                self._try(what, *self._choose(what, draw))

    def _try(self, what: str, symbol: str, signal: str) -> None:
        try:
            self._act(what, symbol, signal)
        except BorsaError as error:
            self._failures[f"rival {what}: {type(error).__name__}"] += 1

    def _act(self, what: str, symbol: str, signal: str) -> None:
        desk = self._other.desk()
        if what == "guardian":
            guardian.guard(desk)
        elif what == "reconcile":
            reconcile.reconcile(desk)
        elif what in ("copy", "same") and symbol:
            self._open(desk, symbol, signal)
        elif what == "trade" and symbol:
            if assess.assess(desk, symbol, signal).outcome == "approved":
                self._open(desk, symbol, signal)
        elif what in ("stop", "stop-flatten"):
            emergency.latch(desk, "manual", {"reason": "simulated"}, f"rival-{desk.clock.now_ms()}")
            self._judge.switch.stopped(self._clock.now_ms())
            self._owner.wants_stop = True
            if what == "stop-flatten":
                emergency.flatten_account(desk, f"rival-{desk.clock.now_ms()}")
        elif what == "flatten" and self._judge.switch.stopped_at is not None:
            emergency.flatten_account(desk, f"rival-{desk.clock.now_ms()}")

    def _open(self, desk: Desk, symbol: str, signal: str) -> None:
        entry.open_position(desk, symbol, signal)
        if desk.watch_always:
            self._watch(desk.account)
