"""Stored documents as records. One that cannot be decoded is an error of the store, like any other
that concerns a single document: whoever looks after many goes on with the rest."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from shared.errors import ConfigurationError, StoreError
from shared.storage.store import Body, Document

T = TypeVar("T")


def record_of(body: Body, type_: type[T]) -> T:
    """The record in a document's body.

    Raises
    ------
    StoreError
        When it is not what this version, or any, would have written: limits that were allowed
        once and are no longer, for example.
    """
    try:
        return msgspec.convert(body, type_)
    except (msgspec.ValidationError, ConfigurationError) as error:
        raise StoreError(
            f"document {body.get('id')} is no {type_.__name__} that can be read: {error}"
        ) from error


def readable(documents: Iterable[Document], type_: type[T]) -> Iterator[T]:
    """The records among documents that can be read; the log names the others."""
    for document in documents:
        try:
            yield record_of(document.body, type_)
        except StoreError as error:
            logging.getLogger("borsa").error("left out: %s", error)
