"""The rate budget: what may be sent now without being refused, or banned, by the venue.

Binance counts request weight per minute and IP, and orders per 10 seconds and per minute and
account, in windows of its own clock, and tells its counts in response headers. We keep the larger
of what it last told (plus what was sent since) and what we sent ourselves, and refuse locally
before the venue would.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from shared.errors import ExchangeHalted, ExchangeThrottled
from shared.execution.binance.endpoints import Priority

#: Part of each limit a priority may use. The rest is kept for those before it.
SHARE: dict[Priority, float] = {
    Priority.EXIT: 1.0,
    Priority.DATA: 0.85,
    Priority.ENTRY: 0.7,
    Priority.VIEW: 0.5,
}

#: Limits of a new process, until exchangeInfo told the venue's own (demo has 6000).
DEFAULT_LIMITS = {"weight_1m": 2400, "orders_10s": 300, "orders_1m": 1200}

#: Milliseconds between exits that try a firewall's refusal (403). Its length is a guess, unlike
#: that of a ban (418), which every further request extends: during a ban not even exits are sent.
PROBE_MS = 15_000

_HEADERS = {
    "weight_1m": "X-MBX-USED-WEIGHT-1M",
    "orders_10s": "X-MBX-ORDER-COUNT-10S",
    "orders_1m": "X-MBX-ORDER-COUNT-1M",
}
SPANS_MS = {"weight_1m": 60_000, "orders_10s": 10_000, "orders_1m": 60_000}


class RateBudget(Protocol):
    """Where requests are permitted; a budget shared by processes has the same face."""

    def reserve(self, *, weight: int, orders: int, priority: Priority) -> None:
        """Take the cost of a request, all or nothing.

        Raises
        ------
        ExchangeThrottled
            The budget does not allow it now; ``retry_after`` seconds say when.
        ExchangeHalted
            The venue has banned us; nothing may be sent before ``retry_after`` seconds.
        """
        ...

    def learn(self, headers: Mapping[str, str], *, sent_ms: int) -> None:
        """Take in the venue's own counts of a response (headers of any case, as requests has).

        ``sent_ms``: when the request was sent, the earliest that may have been by the exchange's
        clock. A count that may be of the window before says nothing of this one.
        """
        ...

    def limits(self, *, weight_1m: int, orders_10s: int, orders_1m: int) -> None:
        """Take in the venue's limits."""
        ...

    def block(
        self,
        until_ms: int,
        *,
        banned: bool = False,
        orders_only: bool = False,
        walled: bool = False,
    ) -> None:
        """Send nothing (or no orders) before a time of the exchange's clock.

        ``walled``: a firewall in between has refused, for how long nobody says. Exits may try
        every :data:`PROBE_MS`.
        """
        ...

    def passed(self) -> None:
        """An answer has come through: a wall that was believed in is not there any more."""
        ...


class _Window:
    """One counter in windows aligned to the exchange's clock."""

    __slots__ = ("limit", "span", "start", "used")

    def __init__(self, span: int, limit: int) -> None:
        self.span = span
        self.limit = limit
        self.start = 0
        self.used = 0

    def roll(self, now: int) -> None:
        start = now - now % self.span
        # A clock corrected by a little must not forget what was used; one that was plainly wrong
        # must not keep the window in its future.
        if start > self.start or start < self.start - self.span:
            self.start = start
            self.used = 0

    def fits(self, cost: int, share: float) -> bool:
        return cost == 0 or self.used + cost <= self.limit * share

    def wait(self, now: int) -> float:
        return max(1, self.start + self.span - now) / 1000


class LocalRateBudget:
    """The budget of this process, safe for threads.

    Parameters
    ----------
    now_ms : callable
        The exchange's time in UTC milliseconds.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._windows = {
            name: _Window(span, DEFAULT_LIMITS[name]) for name, span in SPANS_MS.items()
        }
        self._banned_until = 0
        self._walled_until = 0
        self._next_probe = 0
        self._quiet_until = 0
        self._no_orders_until = 0

    def reserve(self, *, weight: int, orders: int, priority: Priority) -> None:
        share = SHARE[priority]
        with self._lock:
            now = self._now_ms()
            self._refuse_while_blocked(now, orders, priority)
            charged: list[tuple[_Window, int]] = []
            for name, window in self._windows.items():
                # Orders weigh nothing on the IP, but new exposure brings queries with it.
                cost = weight if name == "weight_1m" else orders
                if cost == 0 and priority is not Priority.ENTRY:
                    continue
                window.roll(now)
                fits = window.fits(cost, share)
                if priority is Priority.ENTRY and window.used >= window.limit * share:
                    fits = False
                if not fits:
                    raise ExchangeThrottled(
                        f"rate budget for {priority.name.lower()} is used up: "
                        f"{name} {window.used} of {window.limit}",
                        retry_after=window.wait(now),
                    )
                charged.append((window, cost))
            for window, cost in charged:
                window.used += cost

    def blocked(self) -> dict[str, int]:
        """Until when what is not sent, exchange time; in the past where nothing is in the way."""
        with self._lock:
            return {
                "banned": self._banned_until,
                "quiet": self._quiet_until,
                "orders": self._no_orders_until,
            }

    def _refuse_while_blocked(self, now: int, orders: int, priority: Priority) -> None:
        if now < self._banned_until:
            raise ExchangeHalted(
                "banned by the venue, nothing is sent",
                status=418,
                retry_after=(self._banned_until - now) / 1000,
            )
        if now < self._walled_until:
            if priority is not Priority.EXIT or now < self._next_probe:
                raise ExchangeHalted(
                    "refused by a firewall, nothing is sent but an exit now and then",
                    status=403,
                    retry_after=(self._walled_until - now) / 1000,
                )
            self._next_probe = now + PROBE_MS
        until = max(self._quiet_until, self._no_orders_until if orders else 0)
        if now < until:
            raise ExchangeThrottled(
                "waiting as the venue asked", status=429, retry_after=(until - now) / 1000
            )

    def learn(self, headers: Mapping[str, str], *, sent_ms: int) -> None:
        with self._lock:
            now = self._now_ms()
            for name, header in _HEADERS.items():
                value = headers.get(header)
                if value is None or not value.isdigit():
                    continue
                window = self._windows[name]
                window.roll(now)
                # Answers overtake one another: only a higher count is news.
                if sent_ms >= window.start:
                    window.used = max(window.used, int(value))

    def limits(self, *, weight_1m: int, orders_10s: int, orders_1m: int) -> None:
        with self._lock:
            self._windows["weight_1m"].limit = weight_1m
            self._windows["orders_10s"].limit = orders_10s
            self._windows["orders_1m"].limit = orders_1m

    def block(
        self,
        until_ms: int,
        *,
        banned: bool = False,
        orders_only: bool = False,
        walled: bool = False,
    ) -> None:
        with self._lock:
            if walled:
                self._walled_until = max(self._walled_until, until_ms)
                self._next_probe = max(self._next_probe, self._now_ms() + PROBE_MS)
            elif banned:
                self._banned_until = max(self._banned_until, until_ms)
            elif orders_only:
                self._no_orders_until = max(self._no_orders_until, until_ms)
            else:
                self._quiet_until = max(self._quiet_until, until_ms)

    def passed(self) -> None:
        # Read without the lock on every answer; a wall is rare.
        if self._walled_until:
            with self._lock:
                self._walled_until = 0

    def used(self) -> dict[str, int]:
        """Counts of the current windows, for health pages and logs."""
        with self._lock:
            now = self._now_ms()
            for window in self._windows.values():
                window.roll(now)
            return {name: window.used for name, window in self._windows.items()}
