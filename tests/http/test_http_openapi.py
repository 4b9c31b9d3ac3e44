"""The description as it is served: whole, behind a key, sent again only when it changed."""

from __future__ import annotations

from tests.described import description
from tests.http.serving import Serving

PATH = "/api/openapi.json"


def test_it_is_served_with_a_tag(app: Serving) -> None:
    first = app.request("GET", PATH)
    assert (first.status_code, first.headers["Content-Type"]) == (200, "application/json")
    assert first.json() == description()
    tag = first.headers["ETag"]
    again = app.request("GET", PATH, headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert app.request("GET", PATH, headers={"If-None-Match": '"other"'}).status_code == 200


def test_it_needs_a_key(app: Serving) -> None:
    assert app.request("GET", PATH, key=None).status_code == 401
    assert app.request("GET", f"{PATH}?code={app.key}", key=None).status_code == 200


def test_everything_it_says_needs_a_key_does(app: Serving) -> None:
    before = app.state()
    told = app.request("GET", PATH).json()
    for path, item in told["paths"].items():
        for method, one in item.items():
            target = f"/api{path}".replace("{", "").replace("}", "")
            status = app.request(method.upper(), target, key=None).status_code
            assert (status == 401) == (one.get("security") != []), (method, path, status)
    assert app.state() == before
