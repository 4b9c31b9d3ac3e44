"""Prices that the exchange still serves when they are old, and which were shown when."""

from __future__ import annotations

from collections import defaultdict

from local.exchange.faults import ApiResponse

#: Answers that carry prices an entry is judged by.
PATHS = frozenset({"/fapi/v1/premiumIndex", "/fapi/v1/ticker/bookTicker"})

#: Only prices older than this are served late, milliseconds: the limits allow fifteen seconds.
OLD_MS = 16_000

#: What was shown is remembered for the decisions of so many reads.
KEPT = 16

_Key = tuple[str, str]


class Prices:
    """All times are UTC milliseconds of the application's clock."""

    def __init__(self) -> None:
        self._true: dict[_Key, tuple[int, ApiResponse]] = {}
        self._shown: dict[_Key, list[tuple[int, int]]] = defaultdict(list)
        self._old_until = 0

    def hold(self, until: int) -> None:
        """Old prices are served until then."""
        self._old_until = max(self._old_until, until)

    def serve(self, path: str, symbol: str, now: int, response: ApiResponse) -> ApiResponse:
        """What the application is shown instead of ``response``, or that."""
        key = (path, symbol)
        taken = now
        held = now < self._old_until
        if held and key in self._true and now - self._true[key][0] >= OLD_MS:
            taken, response = self._true[key]
        elif not held:
            self._true[key] = (now, response)
        shown = self._shown[key]
        shown.append((now, taken))
        del shown[:-KEPT]
        return response

    def age(self, symbol: str, at: int) -> int:
        """How old the prices of a symbol were that had been shown last at that time."""
        return max((at - self._taken((path, symbol), at) for path in PATHS), default=0)

    def _taken(self, key: _Key, at: int) -> int:
        return next((taken for shown, taken in reversed(self._shown[key]) if shown <= at), at)
