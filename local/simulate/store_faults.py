"""A process's way to the state store, on which operations fail, hang, and lose races."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from local.simulate.boundaries import Hooks, Killed
from local.simulate.weather import Weather
from shared.errors import NotFound, StoreUnavailable
from shared.storage.patience import patience
from shared.storage.store import Body, Document, Page, Patch, Store, Where


class FaultyStore:
    """A process's way to the state store."""

    def __init__(self, inner: Store, hooks: Hooks, weather: Weather | None = None) -> None:
        self._inner = inner
        self._hooks = hooks
        self._weather = weather

    def _away(self, container: str, *, writes: bool) -> None:
        """Fail as long as the store is away."""
        if self._weather is None:
            return
        struck = self._hooks.draw("outage", "outage")
        if struck is not None:
            self._weather.strike(*struck)
        if self._weather.fails(container, writes=writes):
            raise StoreUnavailable(f"store: {container} is away")

    def _read(self, what: str) -> None:
        if self._hooks.dead:
            raise Killed(what)
        self._away(what, writes=False)
        struck = self._hooks.draw(f"get-{what}", "store-read")
        if struck is not None:
            self._fail(*struck)

    def _fail(self, fault: str, draw: Random) -> None:
        limit = patience()
        if fault == "slow":
            wait = draw.randint(100, 3_000)
            if limit is None or wait <= limit * 1000:
                self._wait(wait)
                return
        if fault == "slow" or fault.startswith("timeout"):
            self._wait(1_000 if limit is None else min(1_000, round(limit * 1000)))
        self._hooks.failed()
        raise StoreUnavailable(f"store: {fault}")

    def _wait(self, ms: int) -> None:
        self._hooks.blocked(ms)
        self._hooks.clock.sleep(ms / 1000)

    def _write(self, what: str, write: Callable[[], Any], menu: str = "store-write") -> Any:
        hooks = self._hooks
        dies = hooks.enter(what)
        self._away(what.partition("-")[2], writes=True)
        struck = hooks.draw(what, menu)
        fault = "" if struck is None else struck[0]
        if fault == "conflict":
            raise _Raced
        if struck is not None and fault != "timeout-done":
            self._fail(*struck)
        result = write()
        if dies:
            hooks.die(what)
        if struck is not None:
            self._fail(*struck)
        return result

    def get(self, container: str, partition: str, id: str) -> Document | None:
        self._read(container)
        return self._inner.get(container, partition, id)

    def query(
        self,
        container: str,
        partition: str,
        *,
        where: Sequence[Where] = (),
        order_by: str = "id",
        descending: bool = False,
        limit: int = 100,
        continuation: str | None = None,
    ) -> Page:
        self._read(container)
        return self._inner.query(
            container,
            partition,
            where=where,
            order_by=order_by,
            descending=descending,
            limit=limit,
            continuation=continuation,
        )

    def create(self, container: str, body: Body, *, ttl: int | None = None) -> Document:
        found: Document = self._write(
            f"create-{container}", lambda: self._inner.create(container, body, ttl=ttl)
        )
        return found

    def replace(self, container: str, body: Body, *, etag: str, ttl: int | None = None) -> Document:
        def write() -> Document:
            return self._inner.replace(container, body, etag=etag, ttl=ttl)

        try:
            found: Document = self._write(f"replace-{container}", write, "replace")
        except _Raced:
            self._touch(container, body)
            found = write()
        return found

    def _touch(self, container: str, body: Body) -> None:
        """Somebody else writes the document first: same content, new ETag."""
        from shared.storage.containers import CONTAINERS

        partition = body[CONTAINERS[container].partition]
        current = self._inner.get(container, partition, body["id"])
        if current is not None:
            self._inner.replace(container, current.body, etag=current.etag)

    def patch(
        self,
        container: str,
        partition: str,
        id: str,
        operations: Sequence[Patch],
        *,
        condition: Sequence[Where] = (),
    ) -> Document:
        found: Document = self._write(
            f"patch-{container}",
            lambda: self._inner.patch(container, partition, id, operations, condition=condition),
        )
        return found

    def delete(self, container: str, partition: str, id: str, *, etag: str | None = None) -> None:
        self._write(
            f"delete-{container}",
            lambda: self._inner.delete(container, partition, id, etag=etag),
        )

    def close(self) -> None:
        """The store outlives the process."""


class _Raced(NotFound):
    """Inner signal: lose the race for this document first."""
