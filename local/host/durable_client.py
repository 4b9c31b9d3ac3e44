"""Lets the real durable client of the SDK reach a task hub without sockets.

The SDK's client calls three module functions to get, post and delete under ``rpcBaseUrl``.
For base URLs of the scheme below they are answered by the task hub in this process; all other
URLs go the SDK's own way, over HTTP.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

from local.contracts import Handler, Request

SCHEME = "inproc"
_ids = itertools.count(1)
_handlers: dict[str, Handler] = {}
_originals: dict[str, Callable[..., Awaitable[list[Any]]]] = {}


def register(rpc: Handler) -> str:
    """Route a new base URL to ``rpc``; returns the URL (``.../durabletask/``)."""
    _install()
    authority = f"hub{next(_ids)}"
    _handlers[authority] = rpc
    return f"{SCHEME}://{authority}/durabletask/"


def unregister(base_url: str) -> None:
    """End a route that :func:`register` made."""
    _handlers.pop(base_url.split("/")[2], None)


async def close_http_session() -> None:
    """Close the connections the SDK's client keeps open; the SDK itself never does."""
    from azure.durable_functions.models.utils import http_utils

    await http_utils._close_session()


def _install() -> None:
    if _originals:
        return
    from azure.durable_functions.models import DurableOrchestrationClient as imported

    module = _module_of(imported)
    for method in ("get", "post", "delete"):
        name = f"{method}_async_request"
        _originals[method] = getattr(module, name)
        setattr(module, name, _router(method.upper(), _originals[method]))
    # The client measures its waiting with time() while it sleeps by the event loop's clock.
    module.time = _loop_time  # type: ignore[attr-defined]


def _module_of(imported: Any) -> ModuleType:
    import sys

    # The package re-exports the class under the name of its module.
    return imported if isinstance(imported, ModuleType) else sys.modules[imported.__module__]


def _router(
    method: str, original: Callable[..., Awaitable[list[Any]]]
) -> Callable[..., Awaitable[list[Any]]]:
    async def request(url: str, *args: Any, **kwargs: Any) -> list[Any]:
        if not url.startswith(SCHEME + "://"):
            return await original(url, *args, **kwargs)
        return await _in_process(method, url, *args, **kwargs)

    return request


async def _in_process(
    method: str,
    url: str,
    data: Any = None,
    trace_parent: str | None = None,
    trace_state: str | None = None,
    function_invocation_id: str | None = None,
) -> list[Any]:
    _, _, authority, path = url.split("/", 3)
    handler = _handlers.get(authority)
    if handler is None:
        raise ConnectionError(f"No task hub answers at {SCHEME}://{authority}")
    headers = [("Host", authority)]
    body = b""
    if method == "POST":
        body = json.dumps(data).encode()
        headers.append(("Content-Type", "application/json"))
    elif data is not None:
        # get and delete take the invocation id in this place
        function_invocation_id = data
    for name, value in (
        ("traceparent", trace_parent),
        ("tracestate", trace_state),
        ("X-Azure-Functions-InvocationId", function_invocation_id),
    ):
        if value:
            headers.append((name, value))
    response = await handler(Request(method, f"/{path}", headers, body))
    value = json.loads(response.body) if response.body else None
    return [response.status, "" if value is None and method == "GET" else value]


def _loop_time() -> float:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return time.time()
    return loop.time() if hasattr(loop, "clock") else time.time()
