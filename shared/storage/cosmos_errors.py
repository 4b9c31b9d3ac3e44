"""What Cosmos DB's SDK raises, as our errors."""

from __future__ import annotations

from typing import Any

from shared.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    NotFound,
    StoreError,
    StoreUnavailable,
)

#: Answers after which a read is worth repeating: timeout, moved, write conflict, unavailable.
TRANSIENT = frozenset({408, 410, 449, 500, 502, 503, 504})
#: Sub-status of a 404 that is about the container, not about the document.
_OWNER_MISSING = 1003


class Translated:
    """Turns the SDK's errors into ours, and costs nothing while there are none."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        from azure.core.exceptions import AzureError
        from azure.cosmos.exceptions import CosmosHttpResponseError

        if isinstance(error, CosmosHttpResponseError):
            raise _ours(self._what, error) from error
        if isinstance(error, AzureError):
            text = f"{self._what}: {type(error).__name__}: {error}"
            raise StoreUnavailable(text) from error


def _ours(what: str, error: Any) -> Exception:
    """Our error for the server's status; 403 and 5xx are about the store, not the document."""
    status, detail = error.status_code, str(error.http_error_message or "").splitlines()[:1]
    text = f"{what}: Cosmos DB answered {status} {''.join(detail)}".rstrip()
    match status:
        case 404 if error.sub_status == _OWNER_MISSING:
            return StoreUnavailable(text)
        case 404:
            return NotFound(what)
        case 409:
            return AlreadyExists(f"{what}: the id or a unique key is taken")
        case 412:
            return Conflict(f"{what} changed since it was read")
        case 400 | 413:
            return InvalidInput(text)
        case 401 | 403 | 429:
            return StoreUnavailable(text)
        case _ if status in TRANSIENT or status >= 500:
            return StoreUnavailable(text)
        case _:
            return StoreError(text)


def retry_after(error: BaseException | None) -> float:
    """Seconds after which a throttled request may be sent again; 0 for any other answer."""
    if getattr(error, "status_code", None) != 429:
        return 0.0
    headers = getattr(error, "headers", None) or {}
    return max(0.001, float(headers.get("x-ms-retry-after-ms") or 0) / 1000)
