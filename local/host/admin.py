"""The host's admin API (``/admin/...``), as far as tools and tests use it."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from local.contracts import Request, Response
from local.host.app import FunctionSpec
from local.host.http import empty, json_response, url_of
from local.host.keys import new_key, presented

if TYPE_CHECKING:
    from local.host.host import FunctionHost

HOST_VERSION = "4.1037.0.0"
"""The release of the real host whose recorded behaviour this one follows."""

_Handler = Callable[["FunctionHost", Request, dict[str, str]], Awaitable[Response]]
_ROUTES: list[tuple[str, re.Pattern[str], _Handler, bool]] = []


def _route(method: str, pattern: str, *, open: bool = False) -> Callable[[_Handler], _Handler]:
    def register(handler: _Handler) -> _Handler:
        expression = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
        _ROUTES.append((method, re.compile(expression + "/?", re.IGNORECASE), handler, open))
        return handler

    return register


async def handle(host: FunctionHost, request: Request) -> Response:
    """Answer a request below ``/admin``; unknown addresses are 404 whatever the key."""
    path = urlsplit(request.target).path
    if path.lower().startswith("/admin/vfs"):
        # Files are never served: recorded answers with and without the master key.
        level = host.keys.level(presented(request))
        return empty(403 if level else 401)
    method = "GET" if request.method.upper() == "HEAD" else request.method.upper()
    for wanted, pattern, handler, is_open in _ROUTES:
        match = pattern.fullmatch(path)
        if wanted != method or match is None:
            continue
        if not is_open:
            level = host.keys.level(presented(request))
            if level is None:
                return empty(401, ("WWW-Authenticate", "Bearer"))
            if level != "admin":
                return empty(403)
        return await handler(host, request, {k: unquote(v) for k, v in match.groupdict().items()})
    return empty(404)


@_route("GET", "/admin/host/ping", open=True)
@_route("POST", "/admin/host/ping", open=True)
async def _ping(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    return empty(200, ("Cache-Control", "no-store,no-cache"), ("Pragma", "no-cache"))


@_route("GET", "/admin/warmup")
async def _warmup(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    return empty(200)


@_route("GET", "/admin/host/status")
async def _status(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    status: dict[str, Any] = {
        "id": platform.node(),
        "state": host.state,
        "version": HOST_VERSION,
        "versionDetails": f"{HOST_VERSION}+embedded",
        "platformVersion": "",
        "instanceId": "",
        "computerName": "",
        "processUptime": host.uptime_ms,
        "functionAppContentEditingState": "Unknown",
    }
    if host.host_errors:
        status["errors"] = list(host.host_errors)
    return json_response(200, status)


@_route("GET", "/admin/functions")
async def _functions(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    if host.state != "Running":
        return empty(500)
    # The real list says https whatever the request came by.
    base = f"https://{request.header('host') or '127.0.0.1'}"
    return json_response(200, [_describe(host, s, base) for s in host.functions.values()])


@_route("GET", "/admin/functions/{name}")
async def _function(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    spec = host.index.find(values["name"])
    if spec is None:
        return empty(404)
    return json_response(200, _describe(host, spec, _origin(request)))


@_route("GET", "/admin/functions/{name}/status")
async def _function_status(
    host: FunctionHost, request: Request, values: dict[str, str]
) -> Response:
    spec = host.index.find(values["name"])
    if spec is None:
        return empty(404)
    errors = host.errors.get(spec.name)
    return json_response(200, {"errors": errors} if errors else {})


@_route("POST", "/admin/functions/{name}")
async def _invoke(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    spec = host.index.find(values["name"])
    if spec is None:
        return empty(404)
    if "json" not in (request.header("content-type") or ""):
        return empty(415)
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        return empty(400)
    text = body.get("input") if isinstance(body, dict) else None
    host.invoke_in_background(spec, "" if text is None else str(text))
    return empty(202)


@_route("POST", "/admin/host/synctriggers")
async def _sync(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    return json_response(500, {"status": "Invalid environment for SyncTriggers operation."})


@_route("GET", "/admin/host/drain/status")
async def _drain(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    return json_response(
        200,
        {"state": "Disabled", "outstandingInvocations": host.running, "outstandingRetries": 0},
    )


@_route("GET", "/admin/host/processes")
async def _processes(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    process = {
        "processId": os.getpid(),
        "processName": os.path.basename(sys.executable),
        "debugEngine": "python",
        "isEligibleForOpenInBrowser": False,
    }
    return json_response(200, {"processes": [process]})


@_route("GET", "/admin/host/extensions")
async def _extensions(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    return json_response(200, {"extensions": [], "links": _self(request)})


@_route("GET", "/admin/host/systemkeys/_master")
async def _master(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    return _key(200, request, "_master", host.keys.master)


def _key_store(host: FunctionHost, values: dict[str, str]) -> dict[str, str] | None:
    scope = values["scope"].lower()
    if scope == "host/keys":
        return host.keys.host
    if scope == "host/systemkeys":
        return host.keys.system
    spec = host.index.find(scope.split("/")[1])
    return None if spec is None else host.keys.of_function(spec.name)


_SCOPE = r"/admin/(?P<scope>host/keys|host/systemkeys|functions/[^/]+/keys)"


@_route("GET", _SCOPE)
async def _keys(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    store = _key_store(host, values)
    if store is None:
        return empty(404)
    host.save_keys()
    keys = [{"name": name, "value": value} for name, value in store.items()]
    return json_response(200, {"keys": keys, "links": _self(request)})


@_route("GET", _SCOPE + "/{key}")
async def _key_get(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    store = _key_store(host, values)
    if store is None or values["key"] not in store:
        return empty(404)
    return _key(200, request, values["key"], store[values["key"]])


@_route("POST", _SCOPE + "/{key}")
@_route("PUT", _SCOPE + "/{key}")
async def _key_set(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    store, name = _key_store(host, values), values["key"]
    if store is None:
        return empty(404)
    value = new_key()
    if request.method.upper() == "PUT":
        try:
            value = str(json.loads(request.body)["value"])
        except (ValueError, KeyError, TypeError):
            return empty(400)
    status = 200 if request.method.upper() == "PUT" or name in store else 201
    store[name] = value
    host.save_keys()
    return _key(status, request, name, value)


@_route("DELETE", _SCOPE + "/{key}")
async def _key_delete(host: FunctionHost, request: Request, values: dict[str, str]) -> Response:
    store = _key_store(host, values)
    if store is None or store.pop(values["key"], None) is None:
        return empty(404)
    host.save_keys()
    return Response(204)


def _key(status: int, request: Request, name: str, value: str) -> Response:
    location = [("Location", _address(request))] if status == 201 else []
    return json_response(status, {"name": name, "value": value, "links": _self(request)}, *location)


def _address(request: Request) -> str:
    return url_of(request).partition("?")[0]


def _self(request: Request) -> list[dict[str, str]]:
    return [{"rel": "self", "href": _address(request)}]


def _origin(request: Request) -> str:
    parts = urlsplit(url_of(request))
    return f"{parts.scheme}://{parts.netloc}"


def _describe(host: FunctionHost, spec: FunctionSpec, base: str) -> dict[str, Any]:
    invoke_url = None
    if spec.kind == "httpTrigger":
        route = str(spec.trigger.raw.get("route") or spec.name).strip("/")
        prefix = host.config.route_prefix
        invoke_url = "/".join(part for part in (base, prefix, route.lower()) if part)
    return {
        "name": spec.name,
        "script_root_path_href": None,
        "script_href": f"{base}/admin/vfs{spec.directory}/{spec.script_file}",
        "config_href": None,
        "test_data_href": f"{base}/admin/vfs/data/{spec.name}.dat",
        "href": f"{base}/admin/functions/{spec.name}",
        "invoke_url_template": invoke_url,
        "language": "python",
        "config": {
            "name": spec.name,
            "entryPoint": spec.name,
            "scriptFile": spec.script_file,
            "language": "python",
            "functionDirectory": spec.directory,
            "bindings": [binding.raw for binding in spec.bindings],
        },
        "files": None,
        "test_data": "",
        "isDisabled": host.index.is_disabled(spec.name),
        "isDirect": False,
        "isProxy": False,
    }
