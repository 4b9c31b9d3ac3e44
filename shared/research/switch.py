"""The kill switch of an exact backtest: when it latched, and the person who clears it."""

from __future__ import annotations

#: Hours after which a person clears the switch unless told otherwise: one bad day does not end
#: years. What a backtest, a search or a sweep begins with; a replay clears nothing.
CLEAR_AFTER_HOURS = 24.0


class Switch:
    """Armed or latched. Times in UTC milliseconds.

    Parameters
    ----------
    start_ms : int
        When it is set up; bars that opened before do not count against it.
    clear_after_ms : int
        A person clears it so long after it latched; 0: nobody does.
    """

    def __init__(self, start_ms: int, clear_after_ms: int) -> None:
        self.latched_at = 0
        self.closing = False
        self.armed_at = start_ms + 1
        self.latches: list[int] = []
        self._clear_after_ms = clear_after_ms

    def latch(self, now: int, *, closing: bool) -> None:
        """Latch, or make a latched switch close every position as well."""
        if not self.latched_at:
            self.latched_at = now
            self.latches.append(now)
        self.closing = self.closing or closing

    def cleared(self, now: int) -> bool:
        """Clear it if it is time; whether it was."""
        after = self._clear_after_ms
        if not self.latched_at or not after or now < self.latched_at + after:
            return False
        self.armed_at = self.latched_at + after
        self.latched_at = 0
        self.closing = False
        return True
