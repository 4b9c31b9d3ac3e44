"""Drives Microsoft's own Python worker library the way its gRPC proxy does.

The library takes protobuf messages it knows only by attribute, and builds its answers with a
module handed to it; plain records with the same attributes serve both.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from local.host.app import forget


class Message(SimpleNamespace):
    """Any protobuf message: its fields are attributes, one of them may be set."""

    def WhichOneof(self, group: str) -> str | None:
        return next(iter(vars(self)), None)


class _Enum:
    """Names of an enumeration that only need to be equal to themselves."""


class StatusResult(Message):
    Success = 1
    Failure = 0


class BindingInfo(Message):
    in_, out, inout = 0, 1, 2


class RpcHttpCookie(Message):
    class SameSite(_Enum):
        Lax, Strict, ExplicitNone = 1, 2, 3


setattr(RpcHttpCookie.SameSite, "None", 0)


class Protos:
    """Stands for the generated protobuf module."""

    StatusResult = StatusResult
    BindingInfo = BindingInfo
    RpcHttpCookie = RpcHttpCookie

    def __getattr__(self, name: str) -> type[Message]:
        return Message


@dataclass
class Indexed:
    """What the worker announced and what it answered."""

    metadata: list[dict[str, Any]]
    results: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def typed(value: Mapping[str, Any]) -> Message:
    """TypedData of one field: ``string``, ``bytes``, ``json``, ``http``, ``collection_bytes``."""
    ((kind, content),) = value.items()
    if kind == "http":
        content = Message(
            **{"headers": {}, "params": {}, "query": {}, **content}
            | {"body": typed(content.get("body", {"bytes": b""}))}
        )
    elif kind == "collection_bytes":
        content = Message(bytes=content)
    return Message(**{kind: content})


def index_and_invoke(
    app_folder: Path,
    calls: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> Indexed:
    """Index an app with the worker library and call some of its functions.

    Parameters
    ----------
    app_folder : Path
    calls : mapping
        Function name to (inputs by parameter, trigger metadata); values as :func:`typed` takes.

    Returns
    -------
    Indexed
        Results as plain values: ``(kind, value)`` pairs, or errors by function.
    """
    runtime = _fresh_runtime()
    saved_path = list(sys.path)
    sys.path.insert(0, str(app_folder))
    forget(app_folder)
    try:
        return asyncio.run(_session(runtime, app_folder, calls))
    finally:
        sys.path[:] = saved_path
        forget(app_folder)


def _fresh_runtime() -> Any:
    # The library keeps its registry in module globals; every app needs its own copy.
    for name in [n for n in sys.modules if n.partition(".")[0] == "azure_functions_runtime"]:
        del sys.modules[name]
    return importlib.import_module("azure_functions_runtime")


async def _session(runtime: Any, folder: Path, calls: Mapping[str, Any]) -> Indexed:
    properties = {"host": "127.0.0.1", "protos": Protos()}

    def wrap(**fields: Any) -> Message:
        return Message(request=Message(**fields), properties=properties)

    init = Message(capabilities={}, function_app_directory=str(folder))
    answer = await runtime.worker_init_request(wrap(worker_init_request=init))
    if answer.result.status != StatusResult.Success:
        raise RuntimeError(answer.result.exception.message)
    runtime.start_threadpool_executor()
    try:
        listing = await runtime.functions_metadata_request(wrap())
        found = listing.function_metadata_results or []
        indexed = Indexed([_metadata(item) for item in found])
        ids = {item.name: item.function_id for item in found}
        for name, (inputs, metadata) in calls.items():
            load = Message(function_id=ids[name])
            await runtime.function_load_request(wrap(function_load_request=load))
            await _invoke(runtime, wrap, indexed, name, ids[name], inputs, metadata)
        return indexed
    finally:
        runtime.stop_threadpool_executor()


async def _invoke(
    runtime: Any,
    wrap: Any,
    indexed: Indexed,
    name: str,
    function_id: str,
    inputs: Mapping[str, Any],
    metadata: Mapping[str, Any],
) -> None:
    bound = [_Parameter(parameter, typed(value)) for parameter, value in inputs.items()]
    request = Message(
        invocation_id=f"call-{name}",
        function_id=function_id,
        input_data=bound,
        trigger_metadata={key: typed(value) for key, value in metadata.items()},
        trace_context=Message(trace_parent="", trace_state="", attributes={}),
        retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
    )
    response = await runtime.invocation_request(wrap(invocation_request=request))
    if response.result.status != StatusResult.Success:
        indexed.errors[name] = response.result.exception.message
        return
    indexed.results[name] = {
        "return": _plain(response.return_value),
        "outputs": {item.name: _plain(item.data) for item in response.output_data},
    }


class _Parameter(Message):
    def __init__(self, name: str, data: Message) -> None:
        super().__init__(name=name, data=data)

    def WhichOneof(self, group: str) -> str | None:
        return "data"


def _plain(value: Any) -> Any:
    if value is None:
        return None
    ((kind, content),) = vars(value).items()
    if kind == "http":
        return kind, {
            "status_code": content.status_code,
            "headers": content.headers,
            "body": content.body.bytes,
        }
    return kind, content


def _metadata(item: Any) -> dict[str, Any]:
    return {
        "name": item.name,
        "script_file": item.script_file,
        "entry_point": item.entry_point,
        "language": item.language,
        "raw_bindings": [json.loads(text) for text in item.raw_bindings],
    }
