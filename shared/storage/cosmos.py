"""The store on Azure Cosmos DB for NoSQL, over Microsoft's SDK.

A conditional patch is a point read, the change, and a replace under the ETag, repeated when
somebody was faster. That is as linearizable as the server's own conditional PATCH (the replace
succeeds only on the very version the conditions were checked on), needs no conditions as SQL
text, has no limit of ten operations, and behaves the same on SQLite.

Writes are never sent twice: only what is known not to have been processed (a throttled request,
a connection that was not made) is repeated, so ``StoreUnavailable`` after a write means "may have
happened" and never "happened twice". Containers are provisioned by Bicep; nothing here creates
one, the application's identity could not.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from shared.clock import Clock, SystemClock
from shared.errors import ConfigurationError, Conflict, InvalidInput, NotFound, StoreUnavailable
from shared.storage import document as doc
from shared.storage.containers import Container
from shared.storage.cosmos_errors import TRANSIENT, Translated, retry_after
from shared.storage.cosmos_query import rank, read_page, statement
from shared.storage.patience import patience
from shared.storage.store import Body, Document, Page, Patch, Where

T = TypeVar("T")

_READ_ATTEMPTS = 4
_PATCH_ATTEMPTS = 64
_THROTTLED_ATTEMPTS = 9


class CosmosStore:
    """Documents in the containers of one Cosmos DB database.

    Nothing is sent before the first operation; connections are then kept and shared by threads.

    Parameters
    ----------
    endpoint : str
        ``https://<account>.documents.azure.com:443/``.
    database : str
    credential : azure.core.credentials.TokenCredential, optional
        Identity with the Cosmos DB data contributor role. Exactly one of ``credential`` and
        ``key`` is given.
    key : str, optional
        Account key, for emulators; accounts we deploy have keys disabled.
    clock : Clock, optional
        Waits between attempts.
    connect_timeout, read_timeout : float
        Seconds to wait for a connection and for an answer.
    throttle_wait : int
        Seconds that throttled requests are repeated, as the server's retry-after asks.

    Raises
    ------
    ConfigurationError
        When not exactly one way to authenticate is given.
    """

    def __init__(
        self,
        endpoint: str,
        database: str,
        *,
        credential: Any = None,
        key: str | None = None,
        clock: Clock | None = None,
        connect_timeout: float = 5,
        read_timeout: float = 10,
        throttle_wait: int = 10,
    ) -> None:
        if (credential is None) == (key is None):
            raise ConfigurationError(["Cosmos DB needs either an identity or a key, not both"])
        self._endpoint = endpoint
        self._database_name = database
        self._credential = key if credential is None else credential
        self._clock: Clock = clock or SystemClock()
        self._options = {
            # One region; its global address follows a fail-over. Discovery would also switch on
            # repeating writes that were answered 503.
            "enable_endpoint_discovery": False,
            "connection_timeout": connect_timeout,
            "read_timeout": read_timeout,
            # The SDK would sleep as long as a throttled answer asks, whatever limit it was given.
            # (0 would mean its own nine attempts.)
            "retry_throttle_total": -1,
        }
        self._throttle_wait = throttle_wait
        # Jitter only; its own generator, so that nobody's seeded sequence moves.
        self._random = random.Random()
        self._lock = threading.Lock()
        self._client: Any = None
        self._containers: dict[str, Any] = {}
        self._closed = False

    # ------------------------------------------------------------------ reads

    def get(self, container: str, partition: str, id: str) -> Document | None:
        """Point read, at least as new as this client's own writes."""
        found = self._read(doc.container_named(container), partition, id)
        return None if found is None else _document(found)

    def _read(self, container: Container, partition: str, id: str) -> dict[str, Any] | None:
        items = self._items(container)
        try:
            return self._repeat_read(
                f"{container.name} {partition}/{id}",
                lambda: dict(items.read_item(id, partition_key=partition, **_limit())),
            )
        except NotFound:
            return None

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
        """One page, ordered by the field and, within the page, by id.

        Documents in which the field is missing, an array or an object are left out. A page may be
        shorter than ``limit`` before the end; only ``continuation`` tells.
        """
        if limit < 1:
            raise InvalidInput(f"limit {limit} must be at least 1")
        kind = doc.container_named(container)
        query = doc.describe(container, partition, where, order_by, descending)
        text, parameters = statement(kind, partition, where, order_by, descending)
        items = self._items(kind)
        at = None if continuation is None else doc.position(query, continuation)
        while True:
            read = partial(read_page, items, text, parameters, partition, limit, at)
            found, at = self._repeat_read(f"query of {container} {partition}", read)
            if found or at is None:
                break
        if order_by != "id":
            found.sort(key=lambda body: rank(body, order_by), reverse=descending)
        return Page(
            documents=[_document(body) for body in found],
            continuation=None if at is None else doc.token(query, at),
        )

    # ------------------------------------------------------------------ writes

    def create(self, container: str, body: Body, *, ttl: int | None = None) -> Document:
        """Create only if absent; ``AlreadyExists`` when the id or a unique key is taken."""
        kind = doc.container_named(container)
        clean, partition, key, _ = doc.prepare(kind, body, ttl)
        items = self._items(kind)
        return self._send(
            f"{container} {partition}/{key}",
            lambda: _document(items.create_item(_with_ttl(clean, ttl), **_limit())),
        )

    def replace(self, container: str, body: Body, *, etag: str, ttl: int | None = None) -> Document:
        """Replace exactly that version; ``Conflict`` if it changed, ``NotFound`` if gone."""
        from azure.core import MatchConditions

        kind = doc.container_named(container)
        clean, partition, key, _ = doc.prepare(kind, body, ttl)
        items = self._items(kind)
        return self._send(
            f"{container} {partition}/{key}",
            lambda: _document(
                items.replace_item(
                    key,
                    _with_ttl(clean, ttl),
                    etag=etag,
                    match_condition=MatchConditions.IfNotModified,
                    **_limit(),
                )
            ),
        )

    def patch(
        self,
        container: str,
        partition: str,
        id: str,
        operations: Sequence[Patch],
        *,
        condition: Sequence[Where] = (),
    ) -> Document:
        """Apply all operations atomically if every condition holds; the time to live restarts."""
        kind = doc.container_named(container)
        what = f"{container} {partition}/{id}"
        for attempt in range(_PATCH_ATTEMPTS):
            found = self._read(kind, partition, id)
            if found is None:
                raise NotFound(what)
            current = _document(found)
            body = doc.patched(kind, current.body, operations, condition)
            try:
                return self.replace(container, body, etag=current.etag, ttl=found.get("ttl"))
            except Conflict:
                self._pause(attempt)
            except NotFound:
                continue
        raise StoreUnavailable(f"{what}: {_PATCH_ATTEMPTS} times somebody else was faster")

    def delete(self, container: str, partition: str, id: str, *, etag: str | None = None) -> None:
        """Remove; ``NotFound`` if absent, ``Conflict`` if ``etag`` is given and differs."""
        from azure.core import MatchConditions

        items = self._items(doc.container_named(container))
        match = {}
        if etag is not None:
            match = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        self._send(
            f"{container} {partition}/{id}",
            lambda: items.delete_item(id, partition_key=partition, **match, **_limit()),
        )

    def close(self) -> None:
        """Close the connections; the store cannot be used afterwards."""
        with self._lock:
            self._closed = True
            if self._client is not None:
                self._client.__exit__(None, None, None)
                self._client = None
            self._containers.clear()

    # ------------------------------------------------------------------ helpers

    def _items(self, container: Container) -> Any:
        """The SDK's container, checked once: a missing one must not look like no documents."""
        found = self._containers.get(container.name)
        if found is not None:
            return found
        with self._lock:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            if self._client is None:
                from azure.cosmos import CosmosClient

                with Translated(self._endpoint):
                    self._client = CosmosClient(self._endpoint, self._credential, **self._options)
            items = self._client.get_database_client(self._database_name).get_container_client(
                container.name
            )
            what = f"container {container.name} in database {self._database_name}"
            try:
                properties = self._repeat_read(what, items.read)
            except NotFound as error:
                raise StoreUnavailable(f"{what} does not exist; deploy infra/ first") from error
            _check_provisioning(container, properties)
            self._containers[container.name] = items
            return items

    def _repeat_read(self, what: str, read: Callable[[], T]) -> T:
        for attempt in range(_READ_ATTEMPTS):
            try:
                return self._send(what, read)
            except StoreUnavailable as error:
                status = getattr(error.__cause__, "status_code", None)
                impatient = patience() is not None
                if status not in TRANSIENT or impatient or attempt == _READ_ATTEMPTS - 1:
                    raise
                self._pause(attempt + 4)
        raise AssertionError("unreachable")

    def _send(self, what: str, request: Callable[[], T]) -> T:
        """Once, or again after as long as a throttled answer asks and the caller can wait."""
        waited = 0.0
        for _ in range(_THROTTLED_ATTEMPTS):
            try:
                with Translated(what):
                    return request()
            except StoreUnavailable as error:
                wait = retry_after(error.__cause__)
                limit = patience()
                enough = self._throttle_wait if limit is None else limit - wait
                if not wait or waited >= enough:
                    raise
                self._clock.sleep(wait)
                waited += wait
        with Translated(what):
            return request()

    def _pause(self, attempt: int) -> None:
        """Wait 0 to 5 ms, doubling up to 0.3 s."""
        self._clock.sleep(self._random.random() * min(0.3, 0.005 * 2**attempt))


def _limit() -> dict[str, float]:
    """The SDK's own limits for one operation, where the caller cannot wait long."""
    seconds = patience()
    return {} if seconds is None else {"timeout": seconds, "read_timeout": seconds}


def _check_provisioning(container: Container, properties: Any) -> None:
    paths = properties["partitionKey"]["paths"]
    unique = {
        path
        for key in (properties.get("uniqueKeyPolicy") or {}).get("uniqueKeys", ())
        for path in key["paths"]
    }
    wanted = {f"/{field}" for field in container.unique}
    if paths != [f"/{container.partition}"] or unique != wanted:
        raise ConfigurationError(
            [
                f"Cosmos DB container {container.name} is partitioned by {paths} with unique keys"
                f" {sorted(unique)}; it must be /{container.partition} with {sorted(wanted)}"
            ]
        )


def _with_ttl(body: Body, ttl: int | None) -> Body:
    return body if ttl is None else {**body, "ttl": ttl}


def _document(stored: Any) -> Document:
    return Document(
        body={k: doc.restored(v) for k, v in stored.items() if k not in doc.SYSTEM_FIELDS},
        etag=stored["_etag"],
    )
