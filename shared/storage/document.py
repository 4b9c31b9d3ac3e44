"""What a document is, for both adapters: accepted values, paths, conditions and patches.

Numbers are kept the way JSON in Cosmos DB keeps them, as IEEE doubles, so that a body read from
either adapter is the same: whole floats come back as integers, and integers a double cannot hold
(exchange order ids, for one) are refused rather than silently rounded. Store those as strings.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any

import msgspec

from shared.errors import Conflict, InvalidInput
from shared.storage.containers import CONTAINERS, Container
from shared.storage.store import Body, Patch, Where

#: Largest integer magnitude a double holds exactly together with all smaller ones.
EXACT = 2**53 - 1
#: Cosmos DB's item size limit in bytes.
MAX_BYTES = 2 * 1024 * 1024
#: Fields the servers keep for themselves; ``ttl`` is an argument, not a field.
SYSTEM_FIELDS = frozenset({"_rid", "_self", "_etag", "_ts", "_attachments", "ttl"})

_SEGMENT = re.compile(r"[A-Za-z0-9_:@+\-]+")
_FORBIDDEN_IN_ID = re.compile(r"[/\\?#\x00-\x1f]")
_MISSING: Any = object()
_PLAIN = frozenset({str, bool, type(None)})


def container_named(name: str) -> Container:
    """The container's provisioning; ``InvalidInput`` when there is none of that name."""
    try:
        return CONTAINERS[name]
    except KeyError:
        raise InvalidInput(f"there is no container {name!r}") from None


def clean(value: Any, where: str = "body") -> Any:
    """A JSON-ready copy in which every number is one a double holds.

    Decimals become strings, whole floats integers, enums their values, tuples lists and structs
    objects.

    Raises
    ------
    InvalidInput
        On NaN, infinity, integers beyond 2**53 - 1, keys that are not text, and other types.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if -EXACT <= value <= EXACT:
            return value
        raise InvalidInput(f"{where} is {value}, beyond 2**53 - 1; store it as a string")
    if kind is float:
        if not math.isfinite(value):
            raise InvalidInput(f"{where} is {value}; only finite numbers can be stored")
        return int(value) if value.is_integer() and abs(value) <= EXACT else value
    if kind is dict:
        copy = {}
        for key, item in value.items():
            if type(key) is not str:
                if not isinstance(key, str):
                    raise InvalidInput(f"{where} has the key {key!r}, which is not text")
                key = str(key.value) if isinstance(key, Enum) else str(key)
            # Most values are text or usual numbers; not calling for them makes a write a quarter
            # cheaper.
            plain = type(item)
            if (
                plain in _PLAIN
                or (plain is int and -EXACT <= item <= EXACT)
                or (plain is float and not item.is_integer() and math.isfinite(item))
            ):
                copy[key] = item
            else:
                copy[key] = clean(item, key)
        return copy
    if kind is list or kind is tuple:
        return [item if type(item) in _PLAIN else clean(item, where) for item in value]
    if kind is Decimal:
        if not value.is_finite():
            raise InvalidInput(f"{where} is {value}; only finite numbers can be stored")
        return str(value)
    if isinstance(value, Enum):
        return clean(value.value, where)
    try:
        return clean(msgspec.to_builtins(value, builtin_types=(Decimal,)), where)
    except (TypeError, RecursionError) as error:
        raise InvalidInput(f"{where} has the type {kind.__name__}, which is not JSON") from error


def restored(value: Any) -> Any:
    """What :func:`clean` had made of it before a server wrote a large float without its point."""
    if type(value) is int:
        return value if -EXACT <= value <= EXACT else float(value)
    if type(value) is float:
        return int(value) if value.is_integer() and abs(value) <= EXACT else value
    if type(value) is dict:
        return {key: restored(item) for key, item in value.items()}
    if type(value) is list:
        return [restored(item) for item in value]
    return value


def prepare(container: Container, body: Body, ttl: int | None) -> tuple[Body, str, str, bytes]:
    """Check a body before it is written: ``(clean body, partition, id, JSON text)``."""
    document = clean(body)
    partition, key = document.get(container.partition), document.get("id")
    if not isinstance(key, str) or not 0 < len(key) <= 255 or _FORBIDDEN_IN_ID.search(key):
        raise InvalidInput(f"id {key!r} must be 1-255 characters, none of them / \\ ? #")
    if not isinstance(partition, str) or not 0 < len(partition) <= 255:
        raise InvalidInput(
            f"{container.name}: {container.partition} {partition!r} must be 1-255 characters"
        )
    if reserved := SYSTEM_FIELDS.intersection(document):
        raise InvalidInput(f"{container.name}: {sorted(reserved)} are the store's own fields")
    if ttl is not None and ttl != -1 and not 0 < ttl <= 2**31 - 1:
        raise InvalidInput(f"{container.name}: ttl {ttl} must be positive seconds, or -1 for ever")
    try:
        text = msgspec.json.encode(document)
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{container.name}: text that is not Unicode: {error.reason}") from error
    if len(text) > MAX_BYTES:
        raise InvalidInput(f"{container.name}: {len(text)} bytes, more than {MAX_BYTES}")
    return document, partition, key, text


@lru_cache(maxsize=4096)
def segments(path: str) -> tuple[str, ...]:
    """A dotted path's parts; ``InvalidInput`` for anything that is not a plain dotted path."""
    parts = tuple(path.split("."))
    if not all(map(_SEGMENT.fullmatch, parts)):
        raise InvalidInput(f"{path!r} is not a dotted path of plain names")
    return parts


def kind_of(value: Any) -> str:
    """The JSON type: null, boolean, number, string, array or object."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def check(where: Where) -> None:
    """Refuse a condition the servers would answer differently."""
    segments(where.field)
    kind = kind_of(where.value)
    if kind not in ("null", "boolean", "number", "string"):
        raise InvalidInput(f"{where.field}: cannot compare with a {type(where.value).__name__}")
    if where.operator not in ("=", "!=", "<", "<=", ">", ">="):
        raise InvalidInput(f"{where.field}: no operator {where.operator!r}")
    if where.operator not in ("=", "!=") and kind in ("null", "boolean"):
        raise InvalidInput(f"{where.field}: {where.operator} needs a number or text")
    clean(where.value, where.field)


def lookup(body: Body, path: str) -> Any:
    """The value at a dotted path, or a marker that equals nothing when it is missing."""
    value: Any = body
    for segment in segments(path):
        if type(value) is not dict or segment not in value:
            return _MISSING
        value = value[segment]
    return value


def holds(body: Body, where: Where) -> bool:
    """Whether a body satisfies a condition: missing never does, types never mix."""
    check(where)
    found, wanted = lookup(body, where.field), where.value
    if found is _MISSING:
        return False
    same = kind_of(found) == kind_of(wanted)
    match where.operator:
        case "=":
            return bool(same and found == wanted)
        case "!=":
            return not (same and found == wanted)
        case "<":
            return bool(same and found < wanted)
        case "<=":
            return bool(same and found <= wanted)
        case ">":
            return bool(same and found > wanted)
        case _:
            return bool(same and found >= wanted)


def patched(
    container: Container, body: Body, operations: Sequence[Patch], condition: Sequence[Where]
) -> Body:
    """Apply a conditional patch to a freshly read body, which is changed in place.

    ``set`` and ``increment`` make missing parents; ``increment`` counts from 0; removing what is
    absent changes nothing, so a repeated release stays harmless.

    Raises
    ------
    Conflict
        When a condition does not hold.
    InvalidInput
        When an operation does not fit the document.
    """
    for where in condition:
        if not holds(body, where):
            raise Conflict(
                f"{container.name} {body['id']}: {where.field} {where.operator} "
                f"{where.value!r} does not hold"
            )
    for operation in operations:
        *parents, last = segments(operation.path)
        if operation.path in ("id", container.partition):
            raise InvalidInput(f"{container.name}: {operation.path} cannot be patched")
        node: Any = body
        for segment in parents:
            if segment not in node:
                if operation.op == "remove":
                    break
                node[segment] = {}
            node = node[segment]
            if type(node) is not dict:
                raise InvalidInput(f"{operation.path}: {segment} is not an object")
        else:
            _change(node, last, operation)
    return body


def _change(node: dict[str, Any], last: str, operation: Patch) -> None:
    match operation.op:
        case "set":
            node[last] = clean(operation.value, operation.path)
        case "remove":
            node.pop(last, None)
        case "increment":
            current, step = node.get(last, 0), operation.value
            if kind_of(current) != "number" or kind_of(step) != "number":
                raise InvalidInput(f"{operation.path}: only a number can be incremented")
            node[last] = clean(current + step, operation.path)
        case _:
            raise InvalidInput(f"{operation.path}: no operation {operation.op!r}")


def token(query: str, position: Any) -> str:
    """An opaque continuation that only the query which produced it accepts."""
    text = msgspec.json.encode([_fingerprint(query), position])
    return base64.urlsafe_b64encode(text).decode()


def position(query: str, continuation: str) -> Any:
    """Where a continuation points; ``InvalidInput`` when it belongs to another query."""
    try:
        fingerprint, found = msgspec.json.decode(
            base64.urlsafe_b64decode(continuation), type=tuple[str, Any]
        )
    except (ValueError, msgspec.DecodeError) as error:
        raise InvalidInput("the continuation is not one of this store's") from error
    if fingerprint != _fingerprint(query):
        raise InvalidInput("the continuation belongs to another query")
    return found


def _fingerprint(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:16]


def describe(
    container: str, partition: str, where: Sequence[Where], order_by: str, descending: bool
) -> str:
    """One text per query, the same on every page of it."""
    return repr(
        [
            container,
            partition,
            [(w.field, w.operator, w.value) for w in where],
            order_by,
            descending,
        ]
    )
