"""What an operation of the interface is described by."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

#: Money, prices and quantities: text of a decimal, never a float.
Money = Annotated[str, Meta(description="a decimal", pattern=r"^-?\d+(\.\d+)?([eE][+-]?\d+)?$")]
When = Annotated[str, Meta(description="UTC", pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
Millis = Annotated[int, Meta(description="UTC milliseconds", ge=0)]
Day = Annotated[str, Meta(description="a UTC day", pattern=r"^\d{4}-\d\d-\d\d$")]
Side = Literal["BUY", "SELL"]


class Shape(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """An object that is answered and has no record of its own."""


class Parameter(msgspec.Struct, frozen=True):
    """One parameter of the query."""

    name: str
    type: Any
    description: str


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one route.

    Parameters
    ----------
    function : str
        Name of the function that answers it.
    route : str
        As it is registered, below ``/api``.
    answers : dict
        Status -> type of the body; ``None`` for none, a text for the media type of a file.
    body : type, optional
        Of the request.
    body_required : bool
        Whether a request without a body is refused.
    errors : tuple of int
        Statuses of an :class:`Error` besides those that any operation may answer: 400 and 413
        with a body, 500 and 503 always.
    key : bool
        Whether a function key is needed.
    also : tuple of types
        Of which an answer names the schema, where msgspec has no type for a choice between them.
    """

    function: str
    method: Literal["GET", "POST"]
    route: str
    summary: str
    answers: dict[int, Any]
    body: Any = None
    body_required: bool = True
    query: tuple[Parameter, ...] = ()
    errors: tuple[int, ...] = ()
    key: bool = True
    also: tuple[Any, ...] = ()
    tag: str = ""


class ErrorBody(Shape):
    """What went wrong: the kind is the name of the error's class."""

    kind: str
    message: str


class Error(Shape):
    """The one form of an error answer."""

    error: ErrorBody


LIMIT = Parameter(
    "limit", Annotated[int, Meta(ge=1, le=1000)], "rows of the page, 100 where it is left out"
)
CONTINUATION = Parameter("continuation", str, "of the page before; serves only the same query")
PAGE = (LIMIT, CONTINUATION)
Continuation = Annotated[
    str | None, Meta(description="for the next page; null at the end, or where there is none")
]
