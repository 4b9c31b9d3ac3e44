"""HTTP in and out: JSON bodies, clear errors, nothing secret in them."""

import logging
import math
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

import azure.functions as func
import msgspec

from functions import query
from shared.errors import (
    AlreadyExists,
    BorsaError,
    ConfigurationError,
    Conflict,
    ExchangeError,
    ExchangeThrottled,
    IdentityUnavailable,
    InvalidInput,
    MarketDataError,
    NotAllowed,
    NotFound,
    NotSignedIn,
    ServiceError,
    ServiceThrottled,
    StoreUnavailable,
    TooManyRequests,
)

#: Bodies above this are refused unread.
MAX_BODY_BYTES = 16_384
#: Seconds after which to ask again, where an error of "too often" does not say: counts are of a
#: minute.
MINUTE_S = 60
#: No limit of ours lasts longer, whatever an outside service says of its own.
DAY_S = 86_400

T = TypeVar("T")

_STATUS: tuple[tuple[type[BorsaError], int], ...] = (
    (NotSignedIn, 401),
    (NotAllowed, 403),
    (InvalidInput, 400),
    (NotFound, 404),
    (AlreadyExists, 409),
    (Conflict, 409),
    (ConfigurationError, 503),
    (StoreUnavailable, 503),
    (ExchangeError, 502),
    (ServiceThrottled, 429),
    (ServiceError, 502),
    (MarketDataError, 502),
    (IdentityUnavailable, 502),
)


class TooLarge(InvalidInput):
    """The request body is larger than is read."""


def reply(body: Any, status: int = 200) -> func.HttpResponse:
    """A JSON response; decimals are strings. Never to be kept: an old figure is a wrong one."""
    return func.HttpResponse(
        msgspec.json.encode(body),
        status_code=status,
        mimetype="application/json",
        headers={"Cache-Control": "no-store"},
    )


def read(request: func.HttpRequest, type_: type[T]) -> T:
    """The request body as ``type_``.

    Raises
    ------
    InvalidInput
        For a body that is too large, not JSON, or not of that shape; says where.
    """
    body = request.get_body() or b"{}"
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"the body has {len(body)} bytes; at most {MAX_BODY_BYTES} are read")
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the body cannot be used: {error}") from error


def error_of(error: BorsaError) -> dict[str, Any]:
    """What an answer says about an error of ours."""
    return {"error": {"kind": type(error).__name__, "message": str(error)}}


def failed(error: BorsaError) -> func.HttpResponse:
    """The response for an error of ours."""
    status = next((s for kind, s in _STATUS if isinstance(error, kind)), 500)
    if isinstance(error, TooLarge):
        status = 413
    elif isinstance(error, TooManyRequests):
        status = 429
    elif isinstance(error, ExchangeThrottled) and error.status in (0, 429):
        # Too often, by our own count or the exchange's; not where it is overloaded by others.
        status = 429
    if status >= 500:
        logging.getLogger("borsa").error("%s: %s", type(error).__name__, error)
    response = reply(error_of(error), status)
    if status == 429:
        # Whole seconds (RFC 9110, 10.2.3), and never one too early.
        wait = getattr(error, "retry_after", 0.0) or MINUTE_S
        response.headers["Retry-After"] = str(max(1, math.ceil(min(wait, DAY_S))))
    return response


def answers(
    function: Callable[[func.HttpRequest], Any],
) -> Callable[[func.HttpRequest], func.HttpResponse]:
    """Turn a use case that returns a body (or raises one of our errors) into an endpoint."""

    @wraps(function)
    def endpoint(req: func.HttpRequest) -> func.HttpResponse:
        try:
            query.check(function.__name__, req)
            result = function(req)
        except BorsaError as error:
            return failed(error)
        return result if isinstance(result, func.HttpResponse) else reply(result)

    endpoint.__annotations__ = {"req": func.HttpRequest, "return": func.HttpResponse}
    return endpoint


async def answer(work: Coroutine[Any, Any, func.HttpResponse]) -> func.HttpResponse:
    """The same for asynchronous endpoints."""
    try:
        return await work
    except BorsaError as error:
        return failed(error)
