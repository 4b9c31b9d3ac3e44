"""Listen keys of user data streams: one per account, valid for an hour after each renewal."""

from __future__ import annotations

import secrets

from shared.simulation.refusal import VenueRefusal

LIFETIME_MS = 3_600_000


class ListenKeys:
    """The active listen keys, by account."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[str, int]] = {}

    def open(self, account: str, now: int) -> str:
        """The account's active key, renewed, or a new one."""
        key, until = self._keys.get(account, ("", 0))
        if until <= now:
            key = secrets.token_hex(32)
        self._keys[account] = (key, now + LIFETIME_MS)
        return key

    def extend(self, account: str, now: int) -> str:
        """Renew the active key; -1125 where there is none."""
        key, until = self._keys.get(account, ("", 0))
        if until <= now:
            raise VenueRefusal(-1125, "This listenKey does not exist.")
        self._keys[account] = (key, now + LIFETIME_MS)
        return key

    def close(self, account: str) -> None:
        self._keys.pop(account, None)

    def account_of(self, key: str, now: int) -> str | None:
        """The account a key belongs to, ``None`` when it is unknown or has expired."""
        for account, (active, until) in self._keys.items():
            if active == key and until > now:
                return account
        return None
