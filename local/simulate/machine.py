"""The clock of the machine that an instance runs on: set, corrected, and stopped with it.

Whatever is done to it, time passes: only what it tells is wrong, by a minute at most, and for a
minute or so, until it is corrected, which sets it once more.
"""

from __future__ import annotations

from random import Random
from typing import Protocol

#: A clock is wrong by this much at most, milliseconds.
WRONG_MS = 60_000

#: How far it is set, milliseconds, from and to; each span is as likely. The first ones are not
#: noticed by the exchange.
STEPS = ((200, 900), (1_000, 2_900), (3_000, 10_000), (10_000, 60_000))

#: It is corrected after so long, milliseconds.
CORRECTED_MS = (5_000, 90_000)


class True_(Protocol):
    """The time that passes."""

    def now_ms(self) -> int: ...
    def steady_ms(self) -> int: ...
    def seconds(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class MachineClock:
    """What an instance takes its time from.

    Parameters
    ----------
    true : True_
        The time that passes.
    ahead_ms : int
        By how much it is wrong for good.
    """

    def __init__(self, true: True_, ahead_ms: int = 0) -> None:
        self._true = true
        self._always = ahead_ms
        self._ahead = 0
        self._until = 0

    def now_ms(self) -> int:
        now = self._true.now_ms()
        return now + self._always + (self._ahead if now < self._until else 0)

    def steady_ms(self) -> int:
        return self._true.steady_ms()

    def seconds(self) -> float:
        return self.now_ms() / 1000

    def sleep(self, seconds: float) -> None:
        self._true.sleep(seconds)

    def step(self, kind: str, draw: Random) -> None:
        """Set it ``forwards`` or ``back``."""
        by = draw.randint(*draw.choice(STEPS))
        self._set(self._now_ahead() + (by if kind == "forwards" else -by), draw)

    def stood_still(self, ms: int, draw: Random) -> None:
        """The machine was paused for so long, and its clock with it."""
        self._set(self._now_ahead() - ms, draw)

    def _now_ahead(self) -> int:
        return self._ahead if self._true.now_ms() < self._until else 0

    def _set(self, ahead: int, draw: Random) -> None:
        self._ahead = max(-WRONG_MS, min(WRONG_MS, ahead))
        self._until = self._true.now_ms() + draw.randint(*CORRECTED_MS)
