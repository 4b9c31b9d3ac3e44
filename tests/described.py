"""Answers of the interface, held against its own description.

The application's tests hand in every answer they get. The published schemas leave room for fields
to come; here an object may have none that is not described.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from functools import cache
from typing import Any
from urllib.parse import urlsplit

try:
    from jsonschema import Draft202012Validator
except ImportError:  # an environment of before it was needed
    if os.environ.get("CI"):
        raise
    Draft202012Validator = None

#: What was answered so far: operation and status.
SEEN: set[tuple[str, int]] = set()


@cache
def description() -> dict[str, Any]:
    """The document as it is served."""
    from functions.openapi.document import encoded

    found: dict[str, Any] = json.loads(encoded())
    return found


@cache
def _closed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(description()["components"]["schemas"]))
    for schema in found.values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return found


def validator(schema: dict[str, Any]) -> Any:
    """A validator of one schema that may refer to the document's components."""
    return Draft202012Validator({**schema, "components": {"schemas": _closed()}})


def problems(schema: dict[str, Any], value: Any) -> list[str]:
    """Where a value is not what its schema says."""
    return [f"{e.json_path}: {e.message[:300]}" for e in validator(schema).iter_errors(value)]


def operation(method: str, target: str) -> tuple[str, dict[str, Any]] | None:
    """Path and description of the operation that a request goes to."""
    # The same operations once more, for people who signed in.
    asked = urlsplit(target).path.removeprefix("/api").removeprefix("/me").rstrip("/").lower()
    found = [
        (path.count("{"), path, item[method.lower()])
        for path, item in description()["paths"].items()
        if method.lower() in item
        and re.fullmatch(re.sub(r"{\w+}", "[^/]+", path.lower().replace(".", r"\.")), asked)
    ]
    if not found:
        return None
    _, path, described = min(found, key=lambda f: f[0])
    return path, described


def check(method: str, target: str, status: int, body: bytes, headers: Iterable[str]) -> None:
    """An answer must be one that is described, with the headers that are."""
    if Draft202012Validator is None or not urlsplit(target).path.startswith("/api/"):
        return
    found = operation(method, target)
    if found is None:
        assert status in (400, 401, 403, 404), f"{method} {target}: {status} of no operation"
        return
    path, described = found
    where = f"{method} {path} {status}"
    if status == 401 and not body:
        return  # the host itself, about a key
    if status == 413 and not body.startswith(b"{"):
        return  # the server itself, long before the application
    told = described["responses"].get(str(status))
    assert told is not None, f"{where}: not described; it said {body[:300]!r}"
    missing = {name.lower() for name in told.get("headers", {})} - {h.lower() for h in headers}
    assert not missing, f"{where}: without {missing}"
    schema = told.get("content", {}).get("application/json", {}).get("schema")
    if schema is not None:
        wrong = problems(schema, json.loads(body))
        assert not wrong, f"{where}: {wrong[:5]}"
    elif "content" not in told:
        assert not body, f"{where}: a body where none is described"
    SEEN.add((described["operationId"], status))
