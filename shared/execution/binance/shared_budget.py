"""One rate budget for every instance behind one egress address, in the state store.

The venue counts weight per address and orders per account, and tells its counts with every answer;
that alone lets instances learn of each other, but only afterwards. Here each instance leases
weight and orders in blocks from one document before it sends, so that instances that burst
together stay within the limits together, and a ban that one of them met is known to all.

Exits never wait for this: where nothing is leased, or the store fails, an exit is sent on this
instance's own count, and what it used is booked with the next lease. Entries are refused while the
store fails.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from shared.errors import AlreadyExists, Conflict, ExchangeThrottled, NotFound, StoreError
from shared.execution.binance.budget import DEFAULT_LIMITS, SHARE, SPANS_MS, LocalRateBudget
from shared.execution.binance.endpoints import Priority
from shared.storage.patience import at_most
from shared.storage.store import Body, Document, Store

CONTAINER = "control"

#: Part of a limit that is leased at a time: what an instance may leave unused in a window, and
#: how often it has to write (at most 50 times a minute).
BLOCK_SHARE = 0.02

#: Seconds that a lease may take; an exit goes on without it.
LEASE_SECONDS = 0.5
EXIT_SECONDS = 0.1

#: Attempts against other instances.
ATTEMPTS = 5

log = logging.getLogger("borsa.budget")


class SharedRateBudget:
    """The :class:`~.budget.RateBudget` of one of several instances; safe for threads.

    Parameters
    ----------
    local : LocalRateBudget
        This instance's own count; it goes on holding as well.
    store : Store
    now_ms : callable
        The exchange's time in UTC milliseconds.
    scope : str
        The account: partition of the document.
    egress : str
        Name of the address that all these instances send from.
    """

    def __init__(
        self,
        local: LocalRateBudget,
        store: Store,
        now_ms: Callable[[], int],
        *,
        scope: str,
        egress: str,
    ) -> None:
        self._local = local
        self._store = store
        self._now_ms = now_ms
        self._scope = scope
        self._id = f"rate-budget-{egress}"
        self._lock = threading.Lock()
        self._leasing = threading.Lock()
        self._limits = dict(DEFAULT_LIMITS)
        self._starts = dict.fromkeys(SPANS_MS, 0)
        #: What is leased and not used yet; below zero where exits went ahead.
        self._left = dict.fromkeys(SPANS_MS, 0)
        #: Start of the minute in which the others left no room for views: asked once, not at
        #: every look, because entries stand in line behind whoever asks.
        self._no_views = -1

    def reserve(self, *, weight: int, orders: int, priority: Priority) -> None:
        cost = {"weight_1m": weight, "orders_10s": orders, "orders_1m": orders}
        short = self._short(cost)
        if short and priority is Priority.VIEW and self._no_views == self._starts["weight_1m"]:
            end = self._no_views + SPANS_MS["weight_1m"]
            raise ExchangeThrottled(
                "rate budget for view is used up by all instances",
                retry_after=max(1, end - self._now_ms()) / 1000,
            )
        # One thread leases; an exit does not stand in line for that.
        if short and self._leasing.acquire(blocking=priority is not Priority.EXIT):
            try:
                if self._short(cost):
                    self._lease(cost, priority)
            finally:
                self._leasing.release()
        # Its own rules last: what they let through is sent.
        self._local.reserve(weight=weight, orders=orders, priority=priority)
        with self._lock:
            for name, used in cost.items():
                self._left[name] -= used

    def _short(self, cost: Mapping[str, int]) -> list[str]:
        """The windows in which not enough is leased."""
        with self._lock:
            now = self._now_ms()
            for name, span in SPANS_MS.items():
                start = now - now % span
                if start != self._starts[name]:
                    self._starts[name] = start
                    self._left[name] = 0
            return [name for name, used in cost.items() if used and self._left[name] < used]

    def learn(self, headers: Mapping[str, str], *, sent_ms: int) -> None:
        self._local.learn(headers, sent_ms=sent_ms)

    def limits(self, *, weight_1m: int, orders_10s: int, orders_1m: int) -> None:
        with self._lock:
            self._limits = {
                "weight_1m": weight_1m,
                "orders_10s": orders_10s,
                "orders_1m": orders_1m,
            }
        self._local.limits(weight_1m=weight_1m, orders_10s=orders_10s, orders_1m=orders_1m)

    def block(
        self,
        until_ms: int,
        *,
        banned: bool = False,
        orders_only: bool = False,
        walled: bool = False,
    ) -> None:
        """As the port says, and for every instance behind this address.

        A firewall's refusal is not passed on: it names no time, and may be meant for one.
        """
        self._local.block(until_ms, banned=banned, orders_only=orders_only, walled=walled)
        if walled:
            return
        try:
            with at_most(LEASE_SECONDS):
                self._change(lambda body: body)
        except StoreError as error:
            log.error("a block could not be shared: %s", error)

    def passed(self) -> None:
        self._local.passed()

    def used(self) -> dict[str, int]:
        """Counts of the current windows as this instance knows them."""
        return self._local.used()

    def _lease(self, cost: Mapping[str, int], priority: Priority) -> None:
        """Lease a block of what is short, the debts of earlier exits included.

        Raises
        ------
        ExchangeThrottled
            When the others leave no room for this priority, or the store fails; never for exits.
        """
        exit_ = priority is Priority.EXIT
        short = self._short(cost)
        granted: dict[str, int] = {}

        def take(body: Body) -> Body:
            granted.clear()
            for name in short:
                window = body["windows"].get(name, {"start": 0, "leased": 0})
                # An instance whose clock is a little behind must not open an old window again.
                start = max(self._starts[name], window["start"])
                leased = window["leased"] if window["start"] == start else 0
                wanted = cost[name] - self._left[name]
                block = max(wanted, int(self._limits[name] * BLOCK_SHARE))
                room = int(self._limits[name] * SHARE[priority]) - leased
                if room < wanted and not exit_:
                    if priority is Priority.VIEW:
                        self._no_views = self._starts["weight_1m"]
                    raise ExchangeThrottled(
                        f"rate budget for {priority.name.lower()} is used up by all instances: "
                        f"{name} {leased} of {self._limits[name]}",
                        retry_after=max(1, start + SPANS_MS[name] - self._now_ms()) / 1000,
                    )
                granted[name] = wanted if room < block else block
                body["windows"][name] = {"start": start, "leased": leased + granted[name]}
            return body

        try:
            with at_most(EXIT_SECONDS if exit_ else LEASE_SECONDS):
                self._change(take)
        except StoreError as error:
            if not exit_:
                raise ExchangeThrottled(
                    f"the shared rate budget cannot be reached: {error}", retry_after=1.0
                ) from error
            log.warning("an exit goes ahead of the shared budget: %s", error)
            return
        with self._lock:
            for name, amount in granted.items():
                self._left[name] += amount

    def _change(self, change: Callable[[Body], Body]) -> None:
        """Replace the document under its ETag; what others met comes back with it."""
        for _ in range(ATTEMPTS):
            found = self._store.get(CONTAINER, self._scope, self._id)
            body = self._fresh() if found is None else dict(found.body)
            self._take_in(body.get("blocked", {}))
            body = change({**body, "windows": dict(body["windows"])})
            body["blocked"] = self._local.blocked()
            try:
                self._write(found, body)
            except (Conflict, AlreadyExists, NotFound):
                continue
            return
        raise Conflict("the shared rate budget is changed by others all the time")

    def _write(self, found: Document | None, body: Body) -> None:
        if found is None:
            self._store.create(CONTAINER, body)
        else:
            self._store.replace(CONTAINER, body, etag=found.etag)

    def _fresh(self) -> Body:
        return {"id": self._id, "scope": self._scope, "windows": {}, "blocked": {}}

    def _take_in(self, blocked: Mapping[str, Any]) -> None:
        now = self._now_ms()
        for name, kind in (
            ("banned", {"banned": True}),
            ("quiet", {}),
            ("orders", {"orders_only": True}),
        ):
            until = blocked.get(name, 0)
            if isinstance(until, int) and until > max(now, self._local.blocked()[name]):
                self._local.block(until, **kind)
