"""Where a test may make the task hub misbehave as a cloud does."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum


class ActivityFault(Enum):
    """What happens around one execution of an activity."""

    NONE = "none"
    CRASH_BEFORE = "crash before"
    """The worker dies before the function ran; it is run later."""
    CRASH_AFTER = "crash after"
    """The function ran, its result was lost; it is run again."""
    TWICE = "twice"
    """Delivered twice; the second result is the one reported."""


@dataclass(frozen=True)
class Delivery:
    """How a completion message reaches its orchestration."""

    copies: int = 1
    delay_ms: int = 0


class FaultPolicy:
    """No faults. Subclasses decide per execution and per message."""

    def activity(self, name: str, attempt: int) -> ActivityFault:
        """For the ``attempt``-th (from 1) execution of one scheduled activity."""
        return ActivityFault.NONE

    def delivery(self, name: str) -> Delivery:
        """For the completion of the activity ``name``."""
        return Delivery()


@dataclass
class RandomFaults(FaultPolicy):
    """Seeded faults at given rates; after ``max_attempts`` an activity is left alone.

    Rates are probabilities; ``max_delay_ms`` bounds the delay of a delayed message.
    """

    seed: int = 0
    crash_before: float = 0.0
    crash_after: float = 0.0
    twice: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    max_delay_ms: int = 5_000
    max_attempts: int = 4
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def activity(self, name: str, attempt: int) -> ActivityFault:
        draw = self._random.random()
        if attempt >= self.max_attempts:
            return ActivityFault.NONE
        for rate, fault in (
            (self.crash_before, ActivityFault.CRASH_BEFORE),
            (self.crash_after, ActivityFault.CRASH_AFTER),
            (self.twice, ActivityFault.TWICE),
        ):
            if draw < rate:
                return fault
            draw -= rate
        return ActivityFault.NONE

    def delivery(self, name: str) -> Delivery:
        copies = 2 if self._random.random() < self.duplicate else 1
        delayed = self._random.random() < self.delay
        return Delivery(copies, self._random.randint(1, self.max_delay_ms) if delayed else 0)
