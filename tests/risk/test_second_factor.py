"""One-time codes: the standard's vectors, single use, locking."""

from __future__ import annotations

import base64

import pyotp
import pytest

from local.clock import VirtualClock
from shared.errors import ConfigurationError, InvalidInput
from shared.security.guesses import LOCK_MS, MAX_FAILURES
from shared.security.totp import SecondFactor, matching_step
from shared.storage.sqlite import SqliteStore

#: RFC 6238, appendix B: the SHA-1 secret, and the last six digits of its 8-digit codes.
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
VECTORS = [
    (59, "287082"),
    (1_111_111_109, "081804"),
    (1_111_111_111, "050471"),
    (1_234_567_890, "005924"),
    (2_000_000_000, "279037"),
    (20_000_000_000, "353130"),
]


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_rfc_6238(seconds: int, code: str) -> None:
    assert matching_step(RFC_SECRET, code, seconds * 1000) == seconds // 30


@pytest.mark.parametrize(
    ("offset_s", "valid"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)]
)
def test_one_step_either_side(offset_s: int, valid: bool) -> None:
    at = 1_234_567_890
    found = matching_step(RFC_SECRET, "005924", (at + offset_s) * 1000)
    assert (found == at // 30) is valid


@pytest.mark.parametrize("code", ["", "5924", "0059240", "00592a", " 05924", "００５９２４"])
def test_what_is_no_code(code: str) -> None:
    assert matching_step(RFC_SECRET, code, 1_234_567_890_000) is None


@pytest.mark.parametrize("secret", ["", "not base32!", "JBSWY3DP"])
def test_a_bad_secret_is_named_but_not_shown(secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        matching_step(secret, "123456", 0)
    assert "totp-secret" in str(caught.value)
    assert not secret or secret not in str(caught.value)


def code(clock: VirtualClock) -> str:
    return pyotp.TOTP(RFC_SECRET).generate_otp(clock.now_ms() // 30_000)


def wrong(clock: VirtualClock) -> str:
    step = clock.now_ms() // 30_000
    valid = {pyotp.TOTP(RFC_SECRET).generate_otp(step + n) for n in (-1, 0, 1)}
    return next(c for c in ("000000", "111111", "222222", "333333") if c not in valid)


def test_a_code_is_used_up_for_every_purpose(store: SqliteStore, clock: VirtualClock) -> None:
    SecondFactor(store, clock, "main", lambda: RFC_SECRET).verify(code(clock))
    again = SecondFactor(store, clock, "main", lambda: RFC_SECRET)
    with pytest.raises(InvalidInput, match="used already"):
        again.verify(code(clock))
    # An older code than the last used one is used up as well.
    old = pyotp.TOTP(RFC_SECRET).generate_otp(clock.now_ms() // 30_000 - 1)
    with pytest.raises(InvalidInput, match="used already"):
        again.verify(old)
    clock.sleep(30)
    again.verify(code(clock))


def test_guessing_locks_it_even_for_the_right_code(store: SqliteStore, clock: VirtualClock) -> None:
    factor = SecondFactor(store, clock, "main", lambda: RFC_SECRET)
    for _ in range(MAX_FAILURES):
        with pytest.raises(InvalidInput, match="wrong"):
            factor.verify(wrong(clock))
    with pytest.raises(InvalidInput, match="locked until"):
        factor.verify(code(clock))
    clock.sleep(LOCK_MS / 1000)
    factor.verify(code(clock))


def test_every_further_lock_lasts_longer_until_a_right_code(
    store: SqliteStore, clock: VirtualClock
) -> None:
    factor = SecondFactor(store, clock, "main", lambda: RFC_SECRET)
    for minutes in (15, 30, 60, 120):
        for _ in range(MAX_FAILURES):
            with pytest.raises(InvalidInput, match="wrong"):
                factor.verify(wrong(clock))
        clock.sleep(minutes * 60 - 1)
        with pytest.raises(InvalidInput, match="locked until"):
            factor.verify(code(clock))
        clock.sleep(1)
    assert factor.failures_since(0) == 4 * MAX_FAILURES
    factor.verify(code(clock))
    for _ in range(MAX_FAILURES):
        with pytest.raises(InvalidInput, match="wrong"):
            factor.verify(wrong(clock))
    clock.sleep(15 * 60)
    factor.verify(code(clock))


def test_a_right_code_forgives_earlier_mistakes(store: SqliteStore, clock: VirtualClock) -> None:
    factor = SecondFactor(store, clock, "main", lambda: RFC_SECRET)
    for _ in range(3):
        for _ in range(MAX_FAILURES - 1):
            with pytest.raises(InvalidInput, match="wrong"):
                factor.verify(wrong(clock))
        factor.verify(code(clock))
        clock.sleep(30)
