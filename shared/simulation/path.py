"""The price inside a bar.

Four anchors, reached after 0, 1/3, 2/3 and all of the bar, straight lines between them:

* who holds a position when the bar starts meets the adverse extreme first: long
  open-low-high-close, short open-high-low-close;
* without a position open-low-high-close when the bar closes at or above its open, else
  open-high-low-close.

The last anchor lies on the bar's last millisecond; the next bar starts at its own open, so a gap
between bars is a jump.
"""

from __future__ import annotations

from shared.simulation.source import Bar


class BarPath:
    """Contract and mark price inside one bar.

    Attributes
    ----------
    times : tuple of int
        The four anchor times, UTC milliseconds.
    last, mark : tuple of float
        Contract and mark price at the anchors.
    """

    __slots__ = ("bar", "last", "low_first", "mark", "times")

    def __init__(self, bar: Bar, duration: int, low_first: bool) -> None:
        self.bar = bar
        self.low_first = low_first
        t = bar.open_time
        third = duration // 3
        self.times = (t, t + third, t + 2 * third, t + duration - 1)
        if low_first:
            self.last = (bar.open, bar.low, bar.high, bar.close)
            self.mark = (bar.mark_open, bar.mark_low, bar.mark_high, bar.mark_close)
        else:
            self.last = (bar.open, bar.high, bar.low, bar.close)
            self.mark = (bar.mark_open, bar.mark_high, bar.mark_low, bar.mark_close)

    def at(self, ms: int) -> tuple[float, float]:
        """Contract and mark price at a time inside the bar."""
        times, last, mark = self.times, self.last, self.mark
        if ms >= times[3]:
            return last[3], mark[3]
        k = 0 if ms < times[1] else 1 if ms < times[2] else 2
        share = (ms - times[k]) / (times[k + 1] - times[k])
        return (
            last[k] + (last[k + 1] - last[k]) * share,
            mark[k] + (mark[k + 1] - mark[k]) * share,
        )

    def range_until(self, ms: int, *, mark: bool = False) -> tuple[float, float]:
        """Highest and lowest price from the bar's open to ``ms``."""
        prices = self.mark if mark else self.last
        now = self.at(ms)[1 if mark else 0]
        seen = [p for t, p in zip(self.times, prices, strict=True) if t <= ms]
        seen.append(now)
        return max(seen), min(seen)


def low_first(bar: Bar, position: int) -> bool:
    """Whether the low comes before the high; ``position`` is the sign of what is held."""
    if position:
        return position > 0
    return bar.close >= bar.open
