"""The closed candles of one symbol and time frame, each once and in order, from two sources."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from shared.market.candle import Candle
from shared.market.timeframe import duration_ms

#: Candles kept while an earlier one is missing; more are fetched again when the hole is filled.
_MOST_HELD = 1500
#: Published candles remembered, to notice a repetition that says something else.
_REMEMBERED = 8


class CandleSequence:
    """Puts what the stream and REST tell into order.

    The stream tells of single candles; what is ahead of its turn is held. REST answers with the
    candles of a range: what it leaves out between two that it has does not exist at the venue.

    Parameters
    ----------
    symbol, timeframe : str
    """

    def __init__(self, symbol: str, timeframe: str) -> None:
        self.symbol = symbol
        self.timeframe = timeframe
        self.step = duration_ms(timeframe)
        #: Open time of the candle that is handed out next; ``None`` until :meth:`start`.
        self.next: int | None = None
        #: Candles that were already handed out and came again, and those of them with other values.
        self.repeated = 0
        self.contradicted = 0
        self._held: dict[int, Candle] = {}
        self._recent: deque[Candle] = deque(maxlen=_REMEMBERED)

    @property
    def has_hole(self) -> bool:
        """Whether a later candle waits for an earlier one."""
        return self.next is not None and bool(self._held)

    def is_due(self, now_ms: int, grace_ms: int) -> bool:
        """Whether the next candle closed longer than ``grace_ms`` ago."""
        return self.next is None or now_ms >= self.next + self.step + grace_ms

    def start(self, open_time: int) -> list[Candle]:
        """Begin with the candle that opens then; earlier ones are of no interest."""
        self.next = open_time
        self._held = {t: c for t, c in self._held.items() if t >= open_time}
        return self._drain()

    def offer(self, candle: Candle) -> list[Candle]:
        """Take a candle of the stream; returns what can be handed out now, oldest first."""
        if self.next is not None and candle.open_time < self.next:
            self._repeat(candle)
            return []
        # The first to tell counts: the venue closes a candle once.
        self._held.setdefault(candle.open_time, candle)
        ready = self._drain()
        if len(self._held) > _MOST_HELD:
            del self._held[max(self._held)]
        return ready

    def fill(self, candles: Sequence[Candle]) -> list[Candle]:
        """Take REST's answer from :attr:`next` on: consecutive closed candles, ascending.

        Returns
        -------
        list of Candle
            What can be handed out now, oldest first.
        """
        ready: list[Candle] = []
        for candle in candles:
            if self.next is None or candle.open_time < self.next:
                continue
            # What the stream told in between is as true as REST.
            before = [t for t in self._held if self.next <= t < candle.open_time]
            ready += [self._held.pop(t) for t in sorted(before)]
            ready.append(self._held.pop(candle.open_time, candle))
            self.next = candle.open_time + self.step
        self._recent.extend(ready)
        return ready + self._drain()

    def _drain(self) -> list[Candle]:
        ready: list[Candle] = []
        while self.next is not None and self.next in self._held:
            ready.append(self._held.pop(self.next))
            self.next += self.step
        self._recent.extend(ready)
        return ready

    def _repeat(self, candle: Candle) -> None:
        self.repeated += 1
        known = next((c for c in self._recent if c.open_time == candle.open_time), candle)
        if known != candle:
            self.contradicted += 1
