"""How an answer of Binance is read; what each says is in the modules of answers.

Fields that Binance leaves out, sends empty or adds are expected: only what is needed is read,
absence stays absence, and an answer that cannot be understood is an error, never a zero.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar, cast

import msgspec

T = TypeVar("T")


class Unreadable(ValueError):
    """The body is not what the endpoint answers; the gateway's callers translate it."""


class Raw(msgspec.Struct, rename="camel"):
    """What has fields as Binance writes them, ``camelCase``."""


def decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    """Of an answer; lax, as numbers arrive as strings, and now and then as numbers."""
    return msgspec.json.Decoder(type_, strict=False)


def decode(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """The answer as its type; :class:`Unreadable` when it is not one."""
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise Unreadable(str(error)) from None


def listed(decoder: msgspec.json.Decoder[Any], body: bytes) -> list[Any]:
    """A list, also where Binance answers a single object."""
    if body[:1] == b"{":
        body = b"[" + body + b"]"
    return cast("list[Any]", decode(decoder, body))


def one(rows: list[T]) -> T:
    """The only row there may be."""
    if len(rows) != 1:
        raise Unreadable(f"{len(rows)} rows instead of one")
    return rows[0]


def decimal(text: str) -> Decimal:
    """A number that arrived as text."""
    try:
        return Decimal(text)
    except InvalidOperation:
        raise Unreadable(f"{text!r} is no number") from None
