"""The OpenAPI 3.1 document, made of the operations and the types they name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from functions.browsers import CSRF
from functions.openapi import (
    access,
    account,
    charts,
    compliance,
    drift,
    models,
    opinions,
    records,
    research,
    risk,
    safety,
    trading,
)
from functions.openapi.operation import Error, Operation
from functions.query import KNOWN
from functions.roles import RULES

#: Raised with the interface: the first number when callers must change.
VERSION = "1.0.0"
#: Tag -> its operations, in the order of the document.
AREAS: dict[str, tuple[Operation, ...]] = {
    "account": account.OPERATIONS,
    "trading": trading.OPERATIONS,
    "risk": risk.OPERATIONS,
    "safety": safety.OPERATIONS,
    "compliance": compliance.OPERATIONS,
    "records": records.OPERATIONS,
    "models": models.OPERATIONS + drift.OPERATIONS,
    "charts": charts.OPERATIONS,
    "opinions": opinions.OPERATIONS,
    "research": research.OPERATIONS,
    "access": access.OPERATIONS,
}

_REF = "#/components/schemas/{name}"
_MEANING = {
    200: "done",
    201: "made",
    202: "accepted",
    304: "what the caller has is current",
    400: "the request is wrong, or a code of the second factor is; nothing was changed",
    401: "no key, or a wrong one (without a body); for people: not signed in",
    403: "for people: the role does not allow it, or another page asked",
    404: "there is no such thing",
    409: "the state does not allow it, or not any more",
    413: "the body is larger than is read",
    429: "too often within a minute",
    500: "a defect",
    502: "the exchange, or an outside service, could not be asked or refused",
    503: "settings or state cannot be used",
}


def operations() -> Iterable[Operation]:
    """Every operation, with its tag."""
    for tag, found in AREAS.items():
        for operation in found:
            yield msgspec.structs.replace(operation, tag=tag)


def document() -> dict[str, Any]:
    """The whole document; the same code gives the same one."""
    every = list(operations())
    types = _types(every)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    known = dict(zip((repr(t) for t in types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in every:
        for path in paths_of(operation.route):
            described = _described(operation, path, known)
            paths.setdefault(path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Borsa Quantum Bot",
            "version": VERSION,
            "description": "The state of the application, and what people may do with it. Money "
            "and quantities are texts of decimals.",
        },
        "servers": [
            {"url": "/api", "description": "with a function key"},
            {
                "url": "/api/me",
                "description": "the operations that need a key, for people who signed in with "
                "Entra ID and have at least x-role; only while ACCESS is entra",
            },
        ],
        "tags": [{"name": tag} for tag in AREAS],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "header": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "query": {"type": "apiKey", "in": "query", "name": "code"},
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-borsa-session"},
                "csrf": {"type": "apiKey", "in": "header", "name": CSRF},
            },
        },
    }


def encoded() -> bytes:
    """The document as it is served."""
    return msgspec.json.encode(document())


def paths_of(route: str) -> list[str]:
    """The paths of a route: two where its last part may be left out."""
    head, optional, _ = route.partition("/{") if route.endswith("?}") else (route, "", "")
    whole = "/" + route.replace("?}", "}")
    return [f"/{head}", whole] if optional else [whole]


def statuses(operation: Operation) -> dict[int, Any]:
    """Status -> type of the body, or ``None``, of everything that may be answered."""
    errors = {500, 503, *operation.errors}
    if operation.key:
        errors |= {401, 403, 429}
    if operation.body is not None:
        errors |= {400, 413}
    if operation.function in KNOWN:
        errors.add(400)
    told: dict[int, Any] = dict.fromkeys(errors, Error) | dict(operation.answers)
    return dict(sorted(told.items()))


def _types(every: Iterable[Operation]) -> list[Any]:
    found: dict[str, Any] = {}
    for operation in every:
        for type_ in (
            operation.body,
            *statuses(operation).values(),
            *(p.type for p in operation.query),
            *operation.also,
        ):
            if type_ is not None and not isinstance(type_, str):
                found[repr(type_)] = type_
    return list(found.values())


def _described(operation: Operation, path: str, known: dict[str, Any]) -> dict[str, Any]:
    one: dict[str, Any] = {
        "operationId": operation.function,
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    if path != paths_of(operation.route)[-1]:
        one["operationId"] += "_index"
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]
    parameters += [
        {
            "name": p.name,
            "in": "query",
            "description": p.description,
            "schema": known[repr(p.type)],
        }
        for p in operation.query
    ]
    if parameters:
        one["parameters"] = parameters
    if operation.body is not None:
        one["requestBody"] = {
            "required": operation.body_required,
            "content": {"application/json": {"schema": known[repr(operation.body)]}},
        }
    one["responses"] = {
        str(status): _response(status, type_, known)
        for status, type_ in statuses(operation).items()
    }
    if not operation.key:
        return {**one, "security": []}
    person: dict[str, list[str]] = {"session": []}
    if operation.method != "GET":
        person["csrf"] = []
    one["security"] = [{"header": []}, {"query": []}, person]
    if operation.function in RULES:
        one["x-role"] = RULES[operation.function].role
    return one


def _response(status: int, type_: Any, known: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"description": _MEANING[status]}
    if status == 429:
        told["headers"] = {
            "Retry-After": {
                "description": "seconds after which the same request is worth asking again",
                "schema": {"type": "integer", "minimum": 1},
            }
        }
    if isinstance(type_, str):
        told["content"] = {type_: {}}
    elif type_ is not None:
        told["content"] = {"application/json": {"schema": known[repr(type_)]}}
    return told
