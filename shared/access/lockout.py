"""Sign-ins that fail lock the address they come from, each further lock for longer.

What is locked is only the beginning of new sessions from there: sessions that are open go on, and
so do function keys, the emergency stop first of all. Addresses are kept as hashes.
"""

from __future__ import annotations

import hashlib
import ipaddress

import msgspec

from shared.access.sessions import CONTAINER
from shared.clock import Clock, iso
from shared.errors import TooManyRequests
from shared.security import guesses
from shared.security.guesses import Guesses
from shared.storage.store import Body, Document, Store

#: How far apart two failures may be to be counted together.
WINDOW_MS = 15 * 60_000


class _State(Guesses, frozen=True, kw_only=True):
    failed_at: int = 0


def caller_of(address: str) -> str:
    """Whom an address counts for: all of an IPv6 network are one, its addresses are free."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def id_of(address: str) -> str:
    """The document of an address."""
    return "lock-" + hashlib.sha256(caller_of(address).encode()).hexdigest()[:32]


class Lockout:
    """The locks of one account.

    Parameters
    ----------
    store : Store
    clock : Clock
    account : str
    """

    def __init__(self, store: Store, clock: Clock, account: str) -> None:
        self._store = store
        self._clock = clock
        self._account = account

    def check(self, address: str) -> None:
        """Let a sign-in begin or end.

        Raises
        ------
        TooManyRequests
            While the address is locked.
        """
        state, _ = self._load(address)
        now = self._clock.now_ms()
        if state.locked(now):
            raise TooManyRequests(
                f"too many sign-ins failed: locked until {iso(state.locked_until)}. Function keys "
                "and open sessions are not",
                retry_after=(state.locked_until - now) / 1000,
            )

    def failed(self, address: str) -> int:
        """Count a failure; the end of the lock (UTC ms) if this one locks, else 0."""
        while True:
            state, document = self._load(address)
            now = self._clock.now_ms()
            if state.locked(now):
                return 0  # was let in before the lock
            if not 0 <= now - state.failed_at < WINDOW_MS:
                state = msgspec.structs.replace(state, failures=0)
            after = msgspec.structs.replace(guesses.failed(state, now), failed_at=now)
            if self._save(address, after, document):
                return after.locked_until

    def succeeded(self, address: str) -> None:
        """Whoever signed in is no guesser: what was counted before is forgotten."""
        while True:
            state, document = self._load(address)
            if document is None or state == _State():
                return
            if self._save(address, _State(), document):
                return

    def _load(self, address: str) -> tuple[_State, Document | None]:
        return guesses.load(self._store, CONTAINER, self._account, id_of(address), _State)

    def _save(self, address: str, state: _State, document: Document | None) -> bool:
        body: Body = {
            **msgspec.to_builtins(state),
            "id": id_of(address),
            "account": self._account,
            "kind": "lock",
        }
        return guesses.save(self._store, CONTAINER, body, document)
