"""The store port: the few document operations the application needs, with their guarantees.

A document body is a JSON object with at least ``id`` and the container's partition field.
Money in it is a decimal string. Both adapters pass one contract suite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

Body = dict[str, Any]
Operator = Literal["=", "!=", "<", "<=", ">", ">="]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A stored body (system fields removed) and the ETag of that version."""

    body: Body
    etag: str


class Where(msgspec.Struct, frozen=True):
    """``field operator value``; ``field`` may be a dotted path. Missing fields never match."""

    field: str
    operator: Operator
    value: str | int | float | bool | None


class Patch(msgspec.Struct, frozen=True):
    """One partial change. ``path`` is dotted (``outstanding.abc``); ``remove`` takes no value."""

    op: Literal["set", "increment", "remove"]
    path: str
    value: Any = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a query; ``continuation`` is ``None`` on the last."""

    documents: list[Document]
    continuation: str | None


class Store(Protocol):
    """Documents in the containers of :data:`shared.storage.containers.CONTAINERS`."""

    def get(self, container: str, partition: str, id: str) -> Document | None:
        """Point read, strongly consistent with this client's own writes."""
        ...

    def create(self, container: str, body: Body, *, ttl: int | None = None) -> Document:
        """Create only if absent.

        Raises
        ------
        AlreadyExists
            When the id, or a unique key of the container, is taken in that partition.
        """
        ...

    def replace(self, container: str, body: Body, *, etag: str, ttl: int | None = None) -> Document:
        """Replace exactly that version; ``Conflict`` if it changed, ``NotFound`` if gone."""
        ...

    def patch(
        self,
        container: str,
        partition: str,
        id: str,
        operations: Sequence[Patch],
        *,
        condition: Sequence[Where] = (),
    ) -> Document:
        """Apply all operations atomically if every condition holds.

        Raises
        ------
        Conflict
            When a condition does not hold.
        NotFound
            When there is no such document.
        """
        ...

    def delete(self, container: str, partition: str, id: str, *, etag: str | None = None) -> None:
        """Remove; ``NotFound`` if absent, ``Conflict`` if ``etag`` is given and differs."""
        ...

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
        """One page of a partition, ordered by one field."""
        ...

    def close(self) -> None: ...


def every(
    store: Store,
    container: str,
    partition: str,
    *,
    where: Sequence[Where] = (),
    order_by: str = "id",
    descending: bool = False,
    limit: int = 1000,
) -> Iterator[Document]:
    """Every document that matches, page by page; a page may be shorter than its ``limit``."""
    continuation: str | None = None
    while True:
        page = store.query(
            container,
            partition,
            where=where,
            order_by=order_by,
            descending=descending,
            limit=limit,
            continuation=continuation,
        )
        yield from page.documents
        continuation = page.continuation
        if continuation is None:
            return


def put(store: Store, container: str, partition: str, body: Mapping[str, Any]) -> Document:
    """Create or overwrite, last writer wins: only for documents nobody decides upon."""
    from shared.errors import AlreadyExists, Conflict, NotFound

    document = dict(body)
    while True:
        try:
            return store.create(container, document)
        except AlreadyExists:
            found = store.get(container, partition, document["id"])
            if found is None:
                continue
            try:
                return store.replace(container, document, etag=found.etag)
            except (Conflict, NotFound):
                continue
