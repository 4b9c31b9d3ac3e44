"""The second factor: time-based one-time codes (RFC 6238) that work once.

A code is valid for its 30-second step and one step either side (RFC 6238, 5.2). The last step
used is stored, so a code seen over a shoulder cannot be used again, for anything. Wrong codes are
counted and lock the factor for a while, because six digits can be guessed.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

import msgspec

from shared.clock import Clock, iso
from shared.errors import CodeRefused, ConfigurationError
from shared.security import guesses
from shared.security.guesses import Guesses
from shared.storage.store import Body, Document, Store

CONTAINER = "control"
FACTOR_ID = "second-factor"
STEP_MS = 30_000
DIGITS = 6
#: Steps of clock difference accepted either side.
WINDOW = 1
#: Times of wrong codes that are remembered.
REMEMBERED = 50


def matching_step(secret: str, code: str, now_ms: int) -> int | None:
    """The time step whose code this is, or ``None``.

    Raises
    ------
    ConfigurationError
        When the secret is not base32 text of at least 112 bits.
    """
    import pyotp

    try:
        codes = pyotp.TOTP(secret, digits=DIGITS, interval=STEP_MS // 1000)
    except (ValueError, TypeError):
        # The error's own text may quote the secret.
        raise ConfigurationError(
            ["the TOTP secret is not base32 of at least 112 bits; set totp-secret"]
        ) from None
    if not (len(code) == DIGITS and code.isascii() and code.isdigit()):
        return None
    current = now_ms // STEP_MS
    found = None
    for step in range(max(0, current - WINDOW), current + WINDOW + 1):
        # No early exit: the time taken says nothing about the code.
        if hmac.compare_digest(codes.generate_otp(step), code):
            found = step
    return found


class _State(Guesses, frozen=True, kw_only=True):
    last_step: int = -1
    wrong_at: tuple[int, ...] = ()


class SecondFactor:
    """One account's second factor.

    Parameters
    ----------
    secret : callable
        Reads the base32 secret when a code is to be verified (Key Vault, not state).
    """

    def __init__(self, store: Store, clock: Clock, account: str, secret: Callable[[], str]) -> None:
        self._store = store
        self._clock = clock
        self._account = account
        self._secret = secret

    def verify(self, code: str) -> None:
        """Accept a code and use it up.

        Raises
        ------
        CodeRefused
            When the code is wrong, already used, or the factor is locked.
        """
        secret = self._secret()
        while True:
            state, document = self._load()
            now = self._clock.now_ms()
            if state.locked(now):
                raise CodeRefused(
                    f"second factor is locked until {iso(state.locked_until)}: too many wrong codes"
                )
            step = matching_step(secret, code, now)
            accepted = step is not None and step > state.last_step
            if step is not None and not accepted:
                # No guess: whoever was cut off after it counted tries the same code once more.
                raise CodeRefused("the code was used already; wait for the next one")
            if accepted and step is not None:
                after = _State(last_step=step, wrong_at=state.wrong_at)
            else:
                wrong_at = (*state.wrong_at, now)[-REMEMBERED:]
                after = msgspec.structs.replace(guesses.failed(state, now), wrong_at=wrong_at)
            if not self._save(after, document):
                continue
            if accepted:
                return
            raise CodeRefused("the code is wrong")

    def failures_since(self, since: int) -> int:
        """How many wrong codes were given since then (UTC ms); the newest are remembered."""
        return sum(at >= since for at in self._load()[0].wrong_at)

    def _load(self) -> tuple[_State, Document | None]:
        return guesses.load(self._store, CONTAINER, self._account, FACTOR_ID, _State)

    def _save(self, state: _State, document: Document | None) -> bool:
        body: Body = {
            **msgspec.to_builtins(state),
            "id": FACTOR_ID,
            "scope": self._account,
        }
        return guesses.save(self._store, CONTAINER, body, document)
