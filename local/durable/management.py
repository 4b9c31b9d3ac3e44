"""The management HTTP API, as webhook and at the local RPC address of the Python client."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from local.contracts import Request, Response
from local.durable.bindings import RPC_PATH, WEBHOOK_PATH, Links
from local.durable.core import Core
from local.durable.entities import entity_instance_id
from local.durable.history import Kind, compact, for_http
from local.durable.operations import TERMINAL, Finished, Operations
from local.durable.store import RUNNING_STATES, Instance
from shared.clock import iso, utc
from shared.errors import AlreadyExists, BorsaError, Conflict, InvalidInput, NotFound

_STATUSES = {s.lower(): s for s in (*RUNNING_STATES, *TERMINAL)}
_PAGE = 100
_CONTINUATION = "x-ms-continuation-token"


class _Query:
    """Query parameters by case-insensitive name."""

    def __init__(self, text: str) -> None:
        self._values = {k.lower(): v for k, v in parse_qsl(text, keep_blank_values=True)}

    def get(self, name: str, default: str = "") -> str:
        return self._values.get(name.lower(), default)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.get(name).lower()
        return value == "true" if value else default

    def time(self, name: str) -> int | None:
        value = self.get(name)
        if not value:
            return None
        try:
            parsed = datetime.fromisoformat(value.replace("Z", "+00:00").replace(" ", "+"))
        except ValueError as error:
            raise InvalidInput(f"'{name}' is not a date: {value}") from error
        return int(parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp() * 1000)

    def number(self, name: str) -> float | None:
        value = self.get(name)
        try:
            return float(value) if value else None
        except ValueError as error:
            raise InvalidInput(f"'{name}' is not a number: {value}") from error

    def statuses(self) -> list[str]:
        """Known statuses named; unknown ones are ignored, as by the extension."""
        names = (name.strip().lower() for name in self.get("runtimeStatus").split(","))
        return [_STATUSES[name] for name in names if name in _STATUSES]


class Management:
    """Routes requests to `Operations` and renders the extension's answers."""

    def __init__(self, core: Core, operations: Operations, links: Links) -> None:
        self._core = core
        self._operations = operations
        self._links = links

    async def serve(self, request: Request, *, rpc: bool) -> Response:
        """Answer one request below the webhook path or, with ``rpc``, the RPC path."""
        url = urlsplit(request.target)
        base = RPC_PATH if rpc else WEBHOOK_PATH
        if not url.path.lower().startswith(base + "/"):
            return _empty(404)
        parts = [unquote(p) for p in url.path[len(base) + 1 :].rstrip("/").split("/")]
        query = _Query(url.query)
        hub = query.get("taskHub")
        if hub and hub.lower() != self._links.hub_name.lower():
            return _empty(404)
        try:
            return await self._route(request, request.method.upper(), parts, query, rpc)
        except AlreadyExists as error:
            return _json(409, {"Message": str(error)})
        except Finished:
            return _empty(410)
        except NotFound:
            return _empty(404)
        except InvalidInput as error:
            return _json(400, {"Message": str(error)})

    async def _route(
        self, request: Request, method: str, parts: list[str], query: _Query, rpc: bool
    ) -> Response:
        match (method, *parts):
            case ("POST", "orchestrators", name):
                return await self._start(request, name, None, query)
            case ("POST", "orchestrators", name, instance_id):
                return await self._start(request, name, instance_id, query)
            case ("GET", "instances"):
                return self._list(request, query)
            case ("DELETE", "instances"):
                return self._purge_where(query)
            case ("GET", "instances", instance_id):
                return self._status(request, instance_id, query, rpc)
            case ("DELETE", "instances", instance_id):
                return self._purge(instance_id)
            case ("POST", "instances", instance_id, "raiseEvent", name):
                return self._raise_event(request, instance_id, name)
            case ("POST", "instances", instance_id, verb):
                return self._instance_action(request, instance_id, verb, query)
            case ("GET", "entities"):
                return self._entities(None, query)
            case ("GET", "entities", name):
                return self._entities(name, query)
            case ("GET", "entities", name, key):
                return self._entity_state(name, key)
            case ("POST", "entities", name, key):
                body = request.body.decode("utf-8", "replace") or None
                self._operations.signal(name, key, query.get("op"), body)
                return _empty(202)
        return _empty(404)

    # ------------------------------------------------------------------ starting

    async def _start(
        self, request: Request, name: str, instance_id: str | None, query: _Query
    ) -> Response:
        body = request.body.decode("utf-8", "replace")
        if body:
            problem = _json_problem(body)
            if problem is not None:
                return problem
        timeout, poll = query.number("timeout"), query.number("pollingInterval")
        if timeout is not None and poll is not None and not 0 < poll <= timeout:
            raise InvalidInput("pollingInterval must be positive and not exceed timeout.")
        started = self._operations.start(
            name, instance_id, body or None, query.get("version") or None
        )
        if timeout is not None and poll is not None:
            return await self._wait(request, started, timeout, poll, query)
        return self._accepted(request, started)

    def _accepted(self, request: Request, instance_id: str) -> Response:
        urls = self._links.management(_origin(request), instance_id)
        headers = [("Location", urls["statusQueryGetUri"]), ("Retry-After", "10")]
        return _json(202, urls, headers)

    async def _wait(
        self, request: Request, instance_id: str, timeout: float, poll: float, query: _Query
    ) -> Response:
        waited = 0.0
        while True:
            item = self._core.store.instance(instance_id)
            if item is None or not item.running:
                break
            if waited + poll > timeout:
                return self._accepted(request, instance_id)
            await asyncio.sleep(poll)
            waited += poll
        if item is None:
            return _empty(404)
        if item.status == "Completed":
            return _json_text(200, item.output or "null")
        failed = item.status == "Failed" and query.flag("returnInternalServerErrorOnFailure")
        return _json(500 if failed else 200, self._payload(item, query))

    # ------------------------------------------------------------------ reading

    def _status(self, request: Request, instance_id: str, query: _Query, rpc: bool) -> Response:
        item = self._core.store.instance(instance_id)
        if item is None:
            return _empty(404)
        payload = self._payload(item, query)
        if item.running:
            target = request.target.split("?")[0] if rpc else request.target
            headers = [("Location", _origin(request) + target), ("Retry-After", "5")]
            return _json(202, payload, headers)
        failed = item.status == "Failed" and query.flag("returnInternalServerErrorOnFailure")
        return _json(500 if failed else 200, payload)

    def _payload(self, item: Instance, query: _Query) -> dict[str, Any]:
        payload = status_payload(item, show_input=query.flag("showInput", True))
        if query.flag("showHistory"):
            events, _ = self._core.store.history(item.instance_id)
            if not events:
                messages = self._core.store.messages(item.instance_id, self._core.clock.now_ms())
                events = [
                    m.event for m in messages if m.event["EventType"] == Kind.EXECUTION_STARTED
                ]
            payload["historyEvents"] = for_http(events, with_output=query.flag("showHistoryOutput"))
        return payload

    def _list(self, request: Request, query: _Query) -> Response:
        page = int(query.number("top") or _PAGE)
        if page <= 0:
            page = _PAGE
        found = self._core.store.instances(
            after=_from_token(request.header(_CONTINUATION)),
            limit=page + 1,
            prefix=query.get("instanceIdPrefix"),
            statuses=query.statuses(),
            created_from=query.time("createdTimeFrom"),
            created_to=query.time("createdTimeTo"),
        )
        headers = []
        if len(found) > page:
            token = base64.b64encode(found[page].instance_id.encode()).decode()
            headers.append((_CONTINUATION, token))
        show_input = query.flag("showInput", True)
        body = [status_payload(item, show_input=show_input) for item in found[:page]]
        return _json(200, body, headers)

    def _entities(self, name: str | None, query: _Query) -> Response:
        prefix = "@" if name is None else f"@{name.lower()}@"
        found = self._core.store.instances(prefix=prefix, entities=True)
        fetch = query.flag("fetchState")
        shown = []
        for item in found:
            _, entity, key = item.instance_id.split("@", 2)
            state = json.loads(item.entity_state) if fetch and item.entity_state else None
            shown.append(
                {
                    "entityId": {"name": entity, "key": key},
                    "lastOperationTime": iso(item.updated),
                    "state": state,
                }
            )
        return _json(200, shown)

    def _entity_state(self, name: str, key: str) -> Response:
        item = self._core.store.instance(entity_instance_id(name, key))
        if item is None or item.entity_state is None:
            return _empty(404)
        return _json_text(200, item.entity_state)

    # ------------------------------------------------------------------ changing

    def _raise_event(self, request: Request, instance_id: str, name: str) -> Response:
        content_type = (request.header("content-type") or "").split(";")[0].strip().lower()
        if content_type != "application/json":
            message = "Only application/json request content is supported"
            return _json(400, {"Message": message})
        body = request.body.decode("utf-8", "replace")
        problem = _json_problem(body)
        if problem is not None:
            return problem
        self._operations.raise_event(instance_id, name, compact(json.loads(body)))
        return _empty(202)

    def _instance_action(
        self, request: Request, instance_id: str, verb: str, query: _Query
    ) -> Response:
        reason = query.get("reason")
        match verb.lower():
            case "terminate":
                self._operations.terminate(instance_id, reason)
            case "suspend" | "resume":
                return self._suspension(instance_id, verb.lower(), reason)
            case "rewind":
                return self._rewind(instance_id, reason)
            case "restart":
                return self._restart(request, instance_id, query)
            case _:
                return _empty(404)
        return _empty(202)

    def _suspension(self, instance_id: str, verb: str, reason: str) -> Response:
        try:
            if verb == "suspend":
                self._operations.suspend(instance_id, reason)
            else:
                self._operations.resume(instance_id, reason)
        except InvalidInput as error:
            return _error(
                500,
                "Something went wrong while processing your request",
                error,
                "System.InvalidOperationException",
            )
        return _empty(202)

    def _rewind(self, instance_id: str, reason: str) -> Response:
        try:
            self._operations.rewind(instance_id, reason)
        except NotFound as error:
            return _json(404, str(error))
        except Finished as error:
            return _json(
                412,
                f"This orchestration has status {error.status}, but only orchestrations in the "
                '"Failed" state can be rewound.',
            )
        return _empty(202)

    def _restart(self, request: Request, instance_id: str, query: _Query) -> Response:
        try:
            started = self._operations.restart(
                instance_id, query.flag("restartWithNewInstanceId", True)
            )
        except NotFound as error:
            return _error(
                400,
                "InstanceId does not match a valid orchestration instance.",
                f"{error} (Parameter 'instanceId')",
                "System.ArgumentException",
            )
        return self._accepted(request, started)

    def _purge(self, instance_id: str) -> Response:
        try:
            self._operations.purge(instance_id)
        except Conflict as error:
            return _json(412, str(error))
        return _json(200, {"instancesDeleted": 1})

    def _purge_where(self, query: _Query) -> Response:
        created_from = query.time("createdTimeFrom")
        if created_from is None:
            return _json(400, "Please provide value for 'createdTimeFrom' parameter.")
        removed = self._operations.purge_where(
            created_from, query.time("createdTimeTo"), query.statuses()
        )
        return _json(200, {"instancesDeleted": removed}) if removed else _empty(404)


def status_payload(item: Instance, *, show_input: bool = True) -> dict[str, Any]:
    """An instance as the management API shows it; times in whole seconds."""
    if item.is_entity:
        input_: Any = {"state": item.entity_state, "sorter": {}}
    else:
        input_ = None if item.input is None else json.loads(item.input)
    return {
        "name": item.name,
        "instanceId": item.instance_id,
        "runtimeStatus": item.status,
        "input": input_ if show_input else None,
        "customStatus": None if item.custom_status is None else json.loads(item.custom_status),
        "output": None if item.output is None else json.loads(item.output),
        "createdTime": _seconds(item.created),
        "lastUpdatedTime": _seconds(item.updated),
    }


def _seconds(ms: int) -> str:
    return utc(ms).strftime("%Y-%m-%dT%H:%M:%SZ")


def _origin(request: Request) -> str:
    scheme = request.header("x-forwarded-proto") or "http"
    return f"{scheme}://{request.header('host') or 'localhost'}"


def _from_token(token: str | None) -> str:
    if not token:
        return ""
    try:
        return base64.b64decode(token.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidInput("The continuation token is not valid.") from error


def _json_problem(body: str) -> Response | None:
    try:
        json.loads(body)
    except ValueError:
        if body.strip():
            head = body.strip()[0]
            text = (
                f"Unexpected character encountered while parsing value: {head}. "
                "Path '', line 0, position 0."
            )
        else:
            text = "Error reading JToken from JsonReader. Path '', line 0, position 0."
        return _error(400, "Invalid JSON content", text, "Newtonsoft.Json.JsonReaderException")
    return None


def _error(status: int, message: str, error: BorsaError | str, kind: str) -> Response:
    return _json(
        status,
        {
            "Message": message,
            "ExceptionMessage": str(error),
            "ExceptionType": kind,
            "StackTrace": "",
        },
    )


def _json(status: int, value: Any, headers: list[tuple[str, str]] | None = None) -> Response:
    return _json_text(status, compact(value), headers)


def _json_text(status: int, text: str, headers: list[tuple[str, str]] | None = None) -> Response:
    content = ("Content-Type", "application/json; charset=utf-8")
    return Response(status, [content, *(headers or [])], text.encode())


def _empty(status: int) -> Response:
    return Response(status)
