"""The exchange refuses for a while in ways that only a person can put right (class HALT)."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from local.exchange.faults import ApiRequest, ApiResponse, error_answer

#: For how long, milliseconds.
SPAN_MS = (5_000, 90_000)

_KEYS = error_answer(401, -2015, "Invalid API-key, IP, or permissions for action.")
_REGION = error_answer(451, 0, "Service unavailable from a restricted location")
_REDUCE = error_answer(400, -4087, "User can only place reduce only order")

#: Paths that need no key.
_PUBLIC = ("/time", "/exchangeInfo", "/premiumIndex", "/bookTicker", "/klines", "/ping")


class Refusals:
    """What is refused at present.

    Parameters
    ----------
    blocked : callable
        Told milliseconds for which nobody is let in, so that nobody can act.
    refused : callable
        Told when an order that would have added exposure was refused so.
    """

    def __init__(self, blocked: Callable[[int], None], refused: Callable[[], None]) -> None:
        self._blocked, self._refused = blocked, refused
        self._kind = ""
        self.until = 0

    def strike(self, kind: str, draw: Random, now: int) -> None:
        """It begins, unless it has: ``keys``, ``region`` or ``reduce-only``."""
        if now < self.until:
            return
        span = draw.randint(*SPAN_MS)
        self._kind, self.until = kind, now + span
        if kind != "reduce-only":
            self._blocked(span)

    def answer(self, request: ApiRequest, now: int, *, adds: bool | None) -> ApiResponse | None:
        """The refusal of a request, if it is refused."""
        if now >= self.until:
            return None
        found: ApiResponse | None = None
        if self._kind == "region":
            found = _REGION
        elif self._kind == "keys":
            found = None if request.path.endswith(_PUBLIC) else _KEYS
        else:
            found = _REDUCE if adds else None
        if found is not None and adds:
            self._refused()
        return found
