"""A query parameter that an endpoint does not know is refused, on every GET alike."""

from __future__ import annotations

import azure.functions as func
import pytest

from functions import query
from functions.openapi.document import AREAS
from shared.errors import InvalidInput
from tests.http.serving import Serving, problem

REFUSED = {
    "/api/trades?symbol=XXX": "unknown parameter 'symbol'; use limit, continuation",
    "/api/orders?bogus=1": "unknown parameter 'bogus'; use decision, limit, continuation",
    "/api/orders?Limit=1": "unknown parameter 'Limit'",
    "/api/status?a=1&b=2": "unknown parameter 'a', 'b'; there is none here",
}


@pytest.mark.parametrize("target", REFUSED)
def test_an_unknown_parameter_is_refused(app: Serving, target: str) -> None:
    answer = app.request("GET", target)
    assert answer.status_code == 400
    assert REFUSED[target] in problem(answer)


@pytest.mark.parametrize("target", ["/api/orders?limit=1", "/api/health?probe=7"])
def test_others_are_answered(app: Serving, target: str) -> None:
    assert app.request("GET", target).status_code == 200


def test_a_key_in_the_address_is_the_host_s() -> None:
    request = func.HttpRequest(
        "GET", "/api/trades", params={"code": "KEY", "clientId": "default", "limit": "1"}, body=b""
    )
    query.check("trades", request)
    with pytest.raises(InvalidInput):
        query.check("status", request)


def test_the_names_are_those_of_the_description() -> None:
    described = {
        operation.function: {p.name for p in operation.query}
        for operations in AREAS.values()
        for operation in operations
        if operation.method == "GET"
    }
    # A probe may add a parameter of its own; files and descriptions have none that would filter.
    for name in ("health", "openapi", "ui", "session"):
        assert described.pop(name) == set()
    assert {name: set(known) for name, known in query.KNOWN.items()} == described
