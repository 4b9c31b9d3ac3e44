"""Queries of one partition as Cosmos DB's SQL, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.storage import document as doc
from shared.storage.containers import Container
from shared.storage.store import Where


def statement(
    container: Container, partition: str, where: Sequence[Where], order_by: str, descending: bool
) -> tuple[str, list[Any]]:
    """The query; types are tested explicitly, so every server agrees on mixed ones."""
    conditions = [f"{_field(container.partition)} = @partition"]
    parameters: list[Any] = [{"name": "@partition", "value": partition}]
    tests = {"null": "IS_NULL", "boolean": "IS_BOOL", "number": "IS_NUMBER", "string": "IS_STRING"}
    for number, condition in enumerate(where):
        doc.check(condition)
        field, name = _field(condition.field), f"@value{number}"
        test = tests[doc.kind_of(condition.value)]
        if condition.operator == "!=":
            conditions.append(
                f"(IS_DEFINED({field}) AND (NOT {test}({field}) OR {field} != {name}))"
            )
        else:
            conditions.append(f"({test}({field}) AND {field} {condition.operator} {name})")
        parameters.append({"name": name, "value": condition.value})
    if order_by != "id":
        conditions.append(f"IS_PRIMITIVE({_field(order_by)})")
    text = (
        f"SELECT * FROM c WHERE {' AND '.join(conditions)}"
        f" ORDER BY {_field(order_by)} {'DESC' if descending else 'ASC'}"
    )
    return text, parameters


def read_page(
    items: Any, text: str, parameters: list[Any], partition: str, limit: int, at: str | None
) -> tuple[list[Any], str | None]:
    """The documents of the page at a continuation, and the next continuation."""
    pages = items.query_items(
        text, parameters=parameters, partition_key=partition, max_item_count=limit
    ).by_page(at)
    found = list(next(pages, ()))
    return found, pages.continuation_token


def rank(body: Any, order_by: str) -> tuple[int, Any, str]:
    """Where a document stands in a page ordered by a field: by type, value, id."""
    value = doc.lookup(body, order_by)
    kind = ("null", "boolean", "number", "string").index(doc.kind_of(value))
    return kind, value or 0 if kind == 0 else value, body["id"]


def _field(path: str) -> str:
    return "c" + "".join(f'["{segment}"]' for segment in doc.segments(path))
