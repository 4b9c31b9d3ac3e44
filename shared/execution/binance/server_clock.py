"""The exchange's time, as far as it can be known from here."""

from __future__ import annotations

from shared.clock import Clock

#: A measurement older than this is repeated before the next query; machines drift.
REMEASURE_MS = 3_600_000


class ServerClock:
    """Our clock plus the measured distance to the exchange's.

    The true distance lies between ``server - received`` and ``server - sent`` of a measurement;
    the estimate is the middle, the uncertainty half of the round trip.

    A clock of ours that is set back does not set the exchange's back: a pause that it asked for
    would last longer by that, for exits as well. Since a measurement at least as much has passed
    as on the steady clock, which in turn may have missed what a machine slept through.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # One tuple, replaced as a whole: readers in other threads never see half a measurement.
        self._measured: tuple[int, int, int] | None = None
        #: The exchange's time less the steady clock's, of the last measurement.
        self._ahead_of_steady = 0

    def learn(self, *, sent: int, received: int, server_time: int) -> None:
        """Take in one answer of ``GET /fapi/v1/time`` (all in UTC milliseconds)."""
        offset = server_time - (sent + received) // 2
        # What has passed since it was received is little, and counted.
        self._ahead_of_steady = self._clock.now_ms() + offset - self._clock.steady_ms()
        self._measured = (offset, max(0, received - sent + 1) // 2, received)

    @property
    def measured(self) -> bool:
        return self._measured is not None

    @property
    def stale(self) -> bool:
        """Never measured, or too long ago."""
        m = self._measured
        return m is None or self._clock.now_ms() - m[2] > REMEASURE_MS

    @property
    def offset_ms(self) -> int:
        return 0 if self._measured is None else self._measured[0]

    @property
    def uncertainty_ms(self) -> int:
        return 0 if self._measured is None else self._measured[1]

    def now_ms(self) -> int:
        """Best estimate of the exchange's time, UTC milliseconds."""
        measured = self._measured
        now = self._clock.now_ms()
        if measured is None:
            return now
        return max(now + measured[0], self._clock.steady_ms() + self._ahead_of_steady)

    def signing_ms(self) -> int:
        """The earliest the exchange's time can be: a request from its future is refused."""
        return self.now_ms() - self.uncertainty_ms


class SignedTimestamp:
    """Stands in for python-binance's ``timestamp_offset``.

    The library signs with ``int(time.time() * 1000 + timestamp_offset)``. Adding this object
    yields the exchange's time by our clock, whatever the machine's says, so virtual and
    accelerated clocks, skew and a pause between the two readings are all right.
    """

    __slots__ = ("_clock",)

    def __init__(self, clock: ServerClock) -> None:
        self._clock = clock

    def __add__(self, machine_ms: float) -> int:
        return self._clock.signing_ms()

    __radd__ = __add__
