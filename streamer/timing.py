"""Durations of the streamer in seconds, and waiting longer and longer."""

from __future__ import annotations

import random
from dataclasses import dataclass

from streamer.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Every duration, seconds.

    Parameters
    ----------
    stall : float
        Silence after which a market connection is made again.
    life : float
        Age at which a connection gets a successor; the venue ends one after 24 h.
    overlap : float
        How long the old one is kept at most while the new one has not said anything.
    heartbeat : float
        Interval of our own pings; an answer that fails to come ends the connection.
    first_wait, longest_wait : float
        Waiting before the first and before late attempts at whatever failed.
    stable : float
        Life after which a connection counts as good and waiting starts small again.
    audit : float
        How often it is asked whether a closed candle is overdue.
    grace : float
        How long after its close a candle may still come by itself.
    key_renewal : float
        How often the listen key is renewed; it lives for an hour.
    conflate : float
        How often quotes are sent at most.
    """

    stall: float = 60.0
    life: float = 23 * 3600.0
    overlap: float = 30.0
    heartbeat: float = 30.0
    first_wait: float = 1.0
    longest_wait: float = 60.0
    stable: float = 60.0
    audit: float = 1.0
    grace: float = 3.0
    key_renewal: float = 1800.0
    conflate: float = 1.0

    @classmethod
    def of(cls, settings: Settings) -> Timing:
        return cls(
            stall=settings.stall_seconds,
            life=settings.connection_hours * 3600.0,
            conflate=settings.conflate_ms / 1000.0,
        )


class Backoff:
    """Waiting that doubles up to a limit, each time by a random half less.

    Many clients that lost the same server must not come back at the same moment.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        most = min(self._longest, self._first * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return random.uniform(most / 2, most)

    def reset(self) -> None:
        """It worked."""
        self._failures = 0
