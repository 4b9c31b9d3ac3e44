"""The one rule of locks: whatever is guessed at, five failures lock, each lock for longer."""

from __future__ import annotations

import pytest

from shared.access import lockout
from shared.security import totp
from shared.security.guesses import Guesses, failed, lock_ms

MINUTE, NOW = 60_000, 1_746_352_881_000


@pytest.mark.parametrize(
    ("locks", "minutes"),
    [(0, 15), (1, 30), (2, 60), (5, 480), (6, 960), (7, 1440), (8, 1440), (1000, 1440)],
)
def test_each_further_lock_lasts_twice_as_long_up_to_a_day(locks: int, minutes: int) -> None:
    assert lock_ms(locks) == minutes * MINUTE


@pytest.mark.parametrize("kind", [Guesses, totp._State, lockout._State])
def test_the_fifth_failure_locks_and_the_next_five_for_longer(kind: type[Guesses]) -> None:
    """The second factor and the sign-in alike."""
    known = kind()
    for minutes in (15, 30):
        for _ in range(4):
            known = failed(known, NOW)
            assert not known.locked(NOW)
        known = failed(known, NOW)
        assert (known.failures, known.locked_until - NOW) == (0, minutes * MINUTE)
        assert known.locked(known.locked_until - 1)
        assert not known.locked(known.locked_until)
    assert known.locks == 2
    assert type(known) is kind
