"""The HTTP side of the host: routing, keys, requests and responses as Azure shapes them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from local.contracts import Request, Response
from local.host.app import FunctionSpec
from local.host.config import HostConfig
from local.host.keys import HostKeys, Level, presented
from local.host.routes import Route
from local.host.worker import Invocation, Worker

MAX_BODY_BYTES = 104_857_600
RESERVED_ROUTES = ("admin", "runtime")
EMPTY = [("Content-Length", "0")]
_BODILESS = (204, 205, 304)


@dataclass(frozen=True)
class HttpFunction:
    """An HTTP function with its compiled route."""

    spec: FunctionSpec
    route: Route
    methods: frozenset[str] | None

    @property
    def level(self) -> str:
        return str(self.spec.trigger.raw.get("authLevel", "FUNCTION")).upper()


def compile_routes(
    specs: Sequence[FunctionSpec], errors: dict[str, list[str]]
) -> list[HttpFunction]:
    """HTTP functions in the order they are tried; what cannot be routed goes to ``errors``."""
    functions: list[HttpFunction] = []
    for spec in specs:
        raw = spec.trigger.raw
        text = str(raw.get("route") or spec.name)
        methods = frozenset(m.upper() for m in raw["methods"]) if raw.get("methods") else None
        try:
            if text.strip("/").lower().startswith(RESERVED_ROUTES):
                raise ValueError("The specified route conflicts with one or more built in routes.")
            function = HttpFunction(spec, Route(text), methods)
            _refuse_conflict(function, functions)
        except ValueError as error:
            errors.setdefault(spec.name, []).append(str(error))
            continue
        functions.append(function)
    return sorted(functions, key=lambda function: function.route.precedence)


def _refuse_conflict(new: HttpFunction, others: Sequence[HttpFunction]) -> None:
    for other in others:
        overlap = new.methods is None or other.methods is None or new.methods & other.methods
        if overlap and new.route.template.lower() == other.route.template.lower():
            raise ValueError(
                "The route specified conflicts with the route defined by function"
                f" '{other.spec.name}'."
            )


def completed(response: Response, method: str, custom_headers: Mapping[str, str]) -> Response:
    """A response with the headers that the host adds, and no body where there must be none."""
    headers = list(response.headers)
    names = {name.lower() for name, _ in headers}
    bodiless = method.upper() == "HEAD" or response.status in (204, 304)
    if not bodiless and not names & {"content-length", "transfer-encoding"}:
        headers.append(("Content-Length", str(len(response.body))))
    if response.status != 429:
        headers += [
            (name, value) for name, value in custom_headers.items() if name.lower() not in names
        ]
    return Response(response.status, headers, b"" if bodiless else response.body)


def empty(status: int, *headers: tuple[str, str]) -> Response:
    """A response without a body."""
    return Response(status, [*EMPTY, *headers])


def json_response(status: int, value: Any, *headers: tuple[str, str]) -> Response:
    body = json.dumps(value, separators=(",", ":")).encode()
    return Response(
        status,
        [
            ("Content-Length", str(len(body))),
            ("Content-Type", "application/json; charset=utf-8"),
            *headers,
        ],
        body,
    )


class HttpPipeline:
    """Finds the function of a request, checks its key, calls it, encodes what it returned."""

    def __init__(
        self,
        functions: Sequence[HttpFunction],
        *,
        config: HostConfig,
        keys: HostKeys,
        worker: Worker,
        extra_args: Any,
    ) -> None:
        self._functions = functions
        self._config, self._keys, self._worker = config, keys, worker
        self._extra_args = extra_args
        self._outstanding = 0

    def find(self, request: Request) -> tuple[HttpFunction, dict[str, str]] | None:
        """The function a request is for, with the route parameters."""
        path = urlsplit(request.target).path.lstrip("/")
        prefix = self._config.route_prefix
        if prefix:
            head, _, path = path.partition("/")
            if head.lower() != prefix.lower():
                return None
        for function in self._functions:
            if function.methods is not None and request.method.upper() not in function.methods:
                continue
            values = function.route.match(path)
            if values is not None:
                return function, values
        return None

    async def call(
        self, function: HttpFunction, values: Mapping[str, str], request: Request
    ) -> Response:
        """Answer a request for a function."""
        limit = self._config.max_outstanding_requests
        if 0 <= limit <= self._outstanding:
            return empty(429, ("X-FUNCTION-SCALEOUT", "1"))
        level = self._keys.level(presented(request), function.spec.name)
        if not allowed(function.level, level):
            return empty(401)
        self._outstanding += 1
        try:
            invocation = await self.invoke(function.spec, request, values)
        finally:
            self._outstanding -= 1
        if invocation.error is not None:
            return empty(500)
        return encode(invocation.return_value, request.method)

    async def invoke(
        self, spec: FunctionSpec, request: Request, values: Mapping[str, str]
    ) -> Invocation:
        """Call the function with the request, whatever its key or route."""
        datum = to_datum(request, values)
        args = {spec.trigger.name: self._worker.decode(spec.trigger, datum, {})}
        extra = self._extra_args(spec)
        args.update(extra)

        def inputs() -> Mapping[str, Any]:
            rendered: dict[str, Any] = {spec.trigger.name: {"http": _render(datum)}}
            return rendered | {name: {"string": text} for name, text in extra.items()}

        return await self._worker.run(
            spec,
            args,
            inputs=inputs,
            trigger_metadata=lambda: http_trigger_metadata(request, values),
        )


def allowed(required: str, level: Level | None) -> bool:
    """Whether a key of that level opens a function of that auth level."""
    if required == "ANONYMOUS":
        return True
    return level == "admin" or (required == "FUNCTION" and level == "function")


def to_datum(request: Request, values: Mapping[str, str]) -> Any:
    """The request as the host sends it to the worker (``RpcHttp``)."""
    from azure.functions.meta import Datum

    def text(value: str) -> Any:
        return Datum(value, "string")

    headers: dict[str, str] = {}
    for name, value in request.headers:
        key = name.lower()
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    query: dict[str, str] = {}
    for name, value in query_of(request):
        query[name] = f"{query[name]},{value}" if name in query else value
    return Datum(
        {
            "method": text(request.method),
            "url": text(url_of(request)),
            "headers": {name: text(value) for name, value in headers.items()},
            "body": Datum(request.body, "bytes"),
            "params": {name: text(value) for name, value in values.items()},
            "query": {name: text(value) for name, value in query.items()},
        },
        "http",
    )


def url_of(request: Request) -> str:
    return f"http://{request.header('host') or '127.0.0.1'}{request.target}"


def query_of(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(request.target).query, keep_blank_values=True)


def http_trigger_metadata(request: Request, values: Mapping[str, str]) -> dict[str, Any]:
    """Trigger metadata of an HTTP call: route, query and JSON body fields, headers as sent."""
    query = dict(query_of(request))
    fields: dict[str, Any] = {}
    if "json" in (request.header("content-type") or "") and request.body:
        try:
            body = json.loads(request.body)
        except ValueError:
            body = None
        if isinstance(body, dict):
            fields |= {
                key: value if isinstance(value, str) else json.dumps(value)
                for key, value in body.items()
            }
    fields |= {key: value for key, value in query.items() if key != "code"}
    fields |= values
    return {
        **{key: {"string": value} for key, value in fields.items()},
        "Query": {"json": json.dumps(query)},
        "Headers": {"json": json.dumps(dict(request.headers))},
    }


def encode(datum: Any, method: str) -> Response:
    """The response for what a function returned (already through the SDK's converter)."""
    if datum.type == "string":
        status = 200
        headers = [("Content-Type", "text/plain; charset=utf-8")]
        body = datum.value.encode()
    else:
        status = int(datum.value["status_code"].value)
        headers = [
            (re.sub(r"^content-type$", "Content-Type", name, flags=re.IGNORECASE), header.value)
            for name, header in datum.value["headers"].items()
        ]
        headers += [
            ("Set-Cookie", _cookie(name, morsel))
            for cookie in datum.value.get("cookies") or ()
            for name, morsel in cookie.items()
        ]
        body = datum.value["body"].value
    if method.upper() == "HEAD" or status in _BODILESS:
        return Response(status, headers)
    return Response(status, [*headers, ("Transfer-Encoding", "chunked")], body)


def _cookie(name: str, morsel: Any) -> str:
    """A cookie as ASP.NET Core writes it."""
    parts = [f"{name}={morsel.value}"]
    if morsel["expires"]:
        parts.append(f"expires={morsel['expires']}")
    if morsel["max-age"]:
        parts.append(f"max-age={morsel['max-age']}")
    parts += [f"domain={morsel['domain']}", f"path={morsel['path'].lower()}"]
    if morsel["secure"]:
        parts.append("secure")
    if morsel["samesite"]:
        parts.append(f"samesite={morsel['samesite'].lower()}")
    if morsel["httponly"]:
        parts.append("httponly")
    return "; ".join(parts)


def _render(datum: Any) -> dict[str, Any]:
    """An HTTP datum as plain JSON-like values, empty parts left out as protobuf does."""
    value = datum.value
    rendered: dict[str, Any] = {"method": value["method"].value, "url": value["url"].value}
    for part in ("headers", "params", "query"):
        if value[part]:
            rendered[part] = {name: item.value for name, item in value[part].items()}
    if value["body"].value:
        rendered["body"] = {"bytes": value["body"].value}
    return rendered


def home_page(functions: int) -> Response:
    """What ``/`` answers while no function claims it."""
    body = (
        "<!DOCTYPE html>\n<html><head><title>Function app</title></head><body>"
        f"<p>The function app is up and running with {html.escape(str(functions))} functions.</p>"
        "</body></html>\n"
    ).encode()
    return Response(200, [("Content-Length", str(len(body))), ("Content-Type", "text/html")], body)
