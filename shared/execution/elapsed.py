"""Time that passes for a process, whatever people or the machine do to its clock meanwhile."""

from __future__ import annotations

from shared.clock import Clock


class Elapsed:
    """Milliseconds since it was made.

    A wait that is bounded by a moment of the clock lasts longer by what the clock is set back, and
    behind it may be a position whose stop has failed.

    Parameters
    ----------
    clock : Clock
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.steady_ms()

    def ms(self) -> int:
        """What has passed."""
        return self._clock.steady_ms() - self._began


class Deadline:
    """The end of a span that begins when it is made, in time that passes.

    Parameters
    ----------
    clock : Clock
    ms : int
        How long it is; negative where it was over before.
    """

    def __init__(self, clock: Clock, ms: int) -> None:
        self._passed, self._ms = Elapsed(clock), ms

    def left_ms(self) -> int:
        """What is left of it; negative once it is over."""
        return self._ms - self._passed.ms()
