"""Route templates against ASP.NET Core's rules."""

from __future__ import annotations

import pytest

from local.host.routes import Route


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("approvals/{id}", "Approvals/a%20b", {"id": "a b"}),
        ("approvals/{id}", "approvals", None),
        ("approvals/{id}", "approvals/a/b", None),
        ("a/{id:guid}", "a/0f8fad5b-d9cb-469f-a165-70867728950e", {"id": None}),
        ("a/{id:guid}", "a/nope", None),
        ("a/{n:range(1,10)}", "a/10", {"n": "10"}),
        ("a/{n:range(1,10)}", "a/11", None),
        ("a/{s:length(2,3)}", "a/abcd", None),
        ("a/{s:regex(^\\d{{2}}$)}", "a/12", None),
        ("a/{s:maxlength(3)}", "a/abc", {"s": "abc"}),
        ("a/{n:long}", "a/9223372036854775807", {"n": "9223372036854775807"}),
        ("a/{n:int}", "a/2147483648", None),
        ("a/{b:bool}", "a/TRUE", {"b": "TRUE"}),
        ("a/{x=5}", "a", {"x": "5"}),
        ("a/{x?}", "a/", {}),
        ("files/{*rest}", "files/x/y%2Fz", {"rest": "x/y%2Fz"}),
        ("", "", {}),
        ("", "x", None),
    ],
)
def test_match(template: str, path: str, expected: dict[str, str | None] | None) -> None:
    actual = Route(template).match(path)
    if expected is None or actual is None:
        assert actual == expected
    else:
        assert actual.keys() == expected.keys()
        assert all(v is None or actual[k] == v for k, v in expected.items())


@pytest.mark.parametrize("template", ["a/{id", "a/{x:nosuch}", "{*rest}/a", "a//b", "a{id}b"])
def test_templates_that_cannot_be_used(template: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Route(template)


def test_more_specific_routes_come_first() -> None:
    templates = ["p/{*rest}", "p/{id}", "p/{id:int}", "p/literal"]
    ordered = sorted((Route(t) for t in templates), key=lambda route: route.precedence)
    assert [route.template for route in ordered] == list(reversed(templates))
