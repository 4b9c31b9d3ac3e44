"""People at the whole application: every endpoint with every role, and what nobody may do."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.access.roles import ROLES, allows
from tests.access.people import Person, Signing

#: Whoever may call these without key and session, they tell and do nothing of the account.
OPEN = {"health", "ui", "session", "begin_sign_in", "complete_sign_in", "sign_out"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signing]:
    one = Signing(tmp_path_factory.mktemp("signing"))
    yield one
    bodies, keys = one.app.bodies, one.app.platform.host.keys
    one.close()
    for secret in (keys.master, *keys.host.values(), "a-client-secret"):
        assert not [b for b in bodies if secret.encode() in b], "a secret in an answer"


def endpoints(world: Signing) -> dict[str, dict[str, Any]]:
    """Every HTTP function that is registered: what its trigger says."""
    return {
        name: spec.trigger.raw
        for name, spec in world.app.platform.host.functions.items()
        if spec.kind == "httpTrigger"
    }


def test_what_needs_a_key_is_there_for_people_and_nothing_else_is_open(world: Signing) -> None:
    from functions.roles import RULES

    found = endpoints(world)
    specs = world.app.platform.host.functions
    keyed = {n for n, raw in found.items() if str(raw["authLevel"]).endswith("FUNCTION")}
    assert keyed == set(RULES)
    for name in keyed:
        twin = found[f"me_{name}"]
        assert twin["route"] == f"me/{found[name]['route']}"
        assert twin["methods"] == found[name]["methods"]
        # The same bindings, so that it does the same.
        rest = [
            {b.name: b.raw for b in specs[n].bindings if not b.is_trigger}
            for n in (name, f"me_{name}")
        ]
        assert rest[0] == rest[1]
    assert set(found) - keyed - {f"me_{name}" for name in keyed} == OPEN


def test_the_rules_name_the_operator_where_a_body_does() -> None:
    import msgspec

    from functions.openapi.document import operations
    from functions.roles import RULES

    for operation in operations():
        if not operation.key:
            continue
        rule = RULES[operation.function]
        fields = msgspec.structs.fields(operation.body) if operation.body else ()
        assert rule.operator == ("operator" in {f.name for f in fields}), operation.function
        # Only these posts change nothing.
        reads = {"stress", "predict", "predict_batch", "negotiate"}
        posts = operation.method == "POST" and operation.function not in reads
        assert rule.changes == (posts or operation.function == "incident_bundle")
        if "code" in {f.name for f in fields}:
            assert rule.role == "admin"


def test_every_endpoint_with_every_role(world: Signing) -> None:
    from functions.roles import RULES

    people = {role: world.person(f"table-{role}", role) for role in ROLES}
    stranger = Person(world, "nobody", None)
    for name, raw in endpoints(world).items():
        if not name.startswith("me_"):
            continue
        rule = RULES[name.removeprefix("me_")]
        path = "/api/" + raw["route"].replace("{id}", "none")
        (method,) = (str(m).rpartition(".")[2] for m in raw["methods"])
        body = {} if method == "POST" else None
        assert stranger.ask(method, path, body).status_code == 401, name
        for role, person in people.items():
            if method == "POST":
                answer = person.ask(method, path, body, x_borsa_csrf="")
                assert answer.status_code == 403, name
                assert "x-borsa-csrf" in answer.json()["error"]["message"]
            answer = person.ask(method, path, body)
            if allows(role, rule.role):  # type: ignore[arg-type]
                assert answer.status_code not in (401, 403), (name, role, answer.text)
            else:
                assert answer.status_code == 403, (name, role)
                assert f"is {role}; this takes {rule.role}" in answer.json()["error"]["message"]
    # Nothing of this was done by who may not.
    done = [n for n in world.audit() if n.get("role") == "viewer" and "status" in n]
    assert {n["status"] for n in done} == {403}
    assert any(n["action"] == "emergency_stop" for n in done)


SPOOFED = {
    "X-MS-CLIENT-PRINCIPAL": base64.b64encode(
        json.dumps(
            {
                "auth_typ": "aad",
                "claims": [{"typ": "roles", "val": "admin"}],
                "role_typ": "roles",
            }
        ).encode()
    ).decode(),
    "X-MS-CLIENT-PRINCIPAL-ID": "oid-of-anna",
    "X-MS-CLIENT-PRINCIPAL-NAME": "anna@example.com",
    "X-MS-TOKEN-AAD-ID-TOKEN": "x.y.z",
    "Authorization": "Bearer x.y.z",
}


@pytest.mark.parametrize("path", ["/api/me/status", "/api/status", "/api/me/sessions"])
def test_headers_of_app_service_open_nothing(world: Signing, path: str) -> None:
    answer = world.app.request("GET", path, key=None, headers=SPOOFED)
    assert answer.status_code == 401
    # Nor do they make more of somebody.
    anna = world.person("spoofing", "viewer")
    assert anna.ask("GET", "/api/me/sessions", **SPOOFED).status_code == 403


def test_a_function_key_opens_what_it_opened_and_not_what_is_for_people(world: Signing) -> None:
    assert world.app.request("GET", "/api/status").status_code == 200
    assert world.app.request("GET", "/api/sessions").status_code == 200
    assert world.app.request("GET", "/api/me/status").status_code == 401
    assert world.app.request("GET", "/api/me/status?code=" + world.app.key).status_code == 401


def test_cookies_are_for_this_page_alone(world: Signing) -> None:
    anna = Person(world, "cookies", "viewer")
    anna.sign_in()
    session, attempt = anna.set
    for line in (session, attempt):
        parts = {p.strip().lower() for p in line.split(";")}
        assert {"httponly", "samesite=strict", "path=/"} <= parts
    assert session.startswith("borsa-session=")
    assert "max-age=115200" in session  # eight hours, and a day in which it may still stop
    assert attempt.startswith("borsa-sign-in=;")
    assert "max-age=0" in attempt


def test_over_tls_no_other_host_can_set_them() -> None:
    import azure.functions as func

    from functions.browsers import SESSION, keep_session, kept

    response = func.HttpResponse()
    keep_session(response, "t" * 43, "https://bot.example", 8)
    (line,) = response.headers.get_all("Set-Cookie")  # type: ignore[attr-defined]
    assert line.startswith("__Host-borsa-session=")
    assert line.endswith("; HttpOnly; SameSite=Strict; Secure")
    assert "domain" not in line.lower()
    request = func.HttpRequest(
        "GET", "/", headers={"Cookie": "borsa-session=planted; x=1"}, body=b""
    )
    assert kept(request, SESSION, "https://bot.example") == ""
    assert kept(request, SESSION, "http://127.0.0.1:1") == "planted"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
        {"x_borsa_csrf": "0" * 64},
        {"x_borsa_csrf": "ä"},
    ],
)
def test_another_page_can_ask_for_nothing(world: Signing, headers: dict[str, str]) -> None:
    anna = getattr(world, "csrf_person", None) or world.person("anna", "operator")
    world.csrf_person = anna  # type: ignore[attr-defined]
    for path in ("me/emergency-stop", "me/reconcile", "session/end"):
        assert anna.ask("POST", f"/api/{path}", {}, **headers).status_code == 403, path
    if "x_borsa_csrf" not in headers:
        for path in ("session/begin", "session/complete"):
            body = {"code": "c", "state": "s"}
            assert anna.ask("POST", f"/api/{path}", body, **headers).status_code == 403
    assert world.app.services.kill_switch.ensure().state in ("armed", "latched")


def test_the_address_is_the_one_that_the_front_end_saw() -> None:
    import azure.functions as func

    from functions.browsers import address_of

    for said, meant in {
        "": "unknown",
        "203.0.113.7:4711": "203.0.113.7",
        "203.0.113.7": "203.0.113.7",
        "6.6.6.6, 203.0.113.7:4711": "203.0.113.7",
        "[2001:db8::1]:4711": "2001:db8::1",
        "2001:db8::1": "2001:db8::1",
    }.items():
        request = func.HttpRequest("GET", "/", headers={"X-Forwarded-For": said}, body=b"")
        assert address_of(request) == meant
