"""People at the whole application: every endpoint with every role, and what nobody may do."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
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


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Signing]:
    one = Signing(tmp_path)
    yield one
    one.close()


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


def test_a_stop_carries_who_stopped_whatever_the_body_says(fresh: Signing) -> None:
    anna = fresh.person("anna", "operator")
    body = {"operator": "eve", "reason": "enough"}
    assert anna.ask("POST", "/api/me/emergency-stop", body).status_code == 202
    switch = fresh.app.services.kill_switch.ensure()
    assert switch.state == "latched"
    assert switch.evidence is not None
    assert (switch.evidence["operator"], switch.evidence["reason"]) == (
        "anna@example.com",
        "enough",
    )
    (note,) = [n for n in fresh.audit() if n["action"] == "emergency_stop"]
    assert (note["operator"], note["role"], note["status"]) == ("anna@example.com", "operator", 202)
    # To arm again takes an admin, and the code as ever; the name is the session's.
    clear = {"code": "000000", "reason": "looked at it", "operator": "eve"}
    assert anna.ask("POST", "/api/me/kill-switch/clear", clear).status_code == 403
    root = fresh.person("root", "admin")
    answer = root.ask("POST", "/api/me/kill-switch/clear", clear)
    assert answer.status_code in (400, 409), answer.text
    assert "eve" not in json.dumps(fresh.audit())


@pytest.mark.parametrize(
    "body", [b"not json", b"[]", b'{"unknown": 1}', b'{"x": "' + b"x" * 20_000 + b'"}']
)
def test_a_stop_is_never_refused_over_its_body(fresh: Signing, body: bytes) -> None:
    anna = fresh.person("anna", "operator")
    headers = {
        "Content-Type": "application/json",
        "x-borsa-csrf": anna.csrf,
        "Cookie": "; ".join(f"{k}={v}" for k, v in anna.cookies.items()),
    }
    answer = fresh.app.request("POST", "/api/me/emergency-stop", body, key=None, headers=headers)
    assert answer.status_code == 202
    evidence = fresh.app.services.kill_switch.ensure().evidence
    assert evidence is not None
    assert evidence["operator"] == "anna@example.com"


def test_exits_are_open_while_the_directory_is_away(fresh: Signing) -> None:
    anna = fresh.person("anna", "operator")
    fresh.issuer.broken = 503
    stranger = Person(fresh, "late", "operator")
    fresh.app.services.door._directory._described = None
    assert stranger.ask("POST", "/api/session/begin", {}).status_code == 502
    # Whoever is in stays in; a key needs nobody.
    assert anna.ask("GET", "/api/me/status").status_code == 200
    for _ in range(40):
        assert anna.ask("POST", "/api/me/emergency-stop", {}).status_code == 202
    assert fresh.app.request("POST", "/api/emergency-stop", json={}).status_code == 202
    # A day later the session has run out: it may still stop, and nothing else.
    fresh.app.pass_time(31 * 60)
    assert anna.ask("GET", "/api/me/status").status_code == 401
    assert anna.ask("POST", "/api/me/emergency-stop", {}).status_code == 202
    assert anna.ask("POST", "/api/me/emergency-stop?drill=true", {}).status_code == 401


def test_sessions_are_listed_and_ended(fresh: Signing) -> None:
    root, anna = fresh.person("root", "admin"), fresh.person("anna", "operator")
    listed = root.ask("GET", "/api/me/sessions").json()["sessions"]
    assert {s["name"] for s in listed} == {"root@example.com", "anna@example.com"}
    assert not [s for s in listed if set(s) & {"token", "csrf"}]
    (id_,) = [s["id"] for s in listed if s["name"].startswith("anna")]
    assert root.ask("POST", f"/api/me/sessions/{id_}/end", {}).status_code == 200
    answer = anna.ask("GET", "/api/me/status")
    assert answer.status_code == 401
    assert "ended by root@example.com" in answer.json()["error"]["message"]
    assert anna.ask("POST", "/api/me/emergency-stop", {}).status_code == 401
    assert anna.ask("GET", "/api/session").json()["signedIn"] is False
    # With a key too, where nobody can sign in.
    (id_,) = [s["id"] for s in fresh.app.request("GET", "/api/sessions").json()["sessions"]]
    assert fresh.app.request("POST", f"/api/sessions/{id_}/end", json={}).status_code == 200
    assert root.ask("GET", "/api/me/sessions").status_code == 401


def test_signing_out_ends_the_session_here_or_everywhere(fresh: Signing) -> None:
    one, other, third = (fresh.person("anna", "viewer") for _ in range(3))
    answer = one.ask("POST", "/api/session/end", {})
    assert answer.json()["location"].startswith(f"{fresh.issuer.url}/")
    assert one.cookies == {}
    assert one.ask("GET", "/api/me/status").status_code == 401
    assert other.ask("POST", "/api/session/end", {"everywhere": True}).status_code == 200
    assert third.ask("GET", "/api/me/status").status_code == 401
    # A stolen cookie is worth nothing either.
    assert third.ask("POST", "/api/me/emergency-stop", {}).status_code == 401


def test_what_changes_something_is_counted_for_each_session(fresh: Signing) -> None:
    anna = fresh.person("anna", "viewer")
    answers = [anna.ask("POST", "/api/me/reconcile", {}).status_code for _ in range(31)]
    assert answers == [403] * 30 + [429]
    assert anna.ask("GET", "/api/me/status").status_code == 200


def test_a_refused_sign_in_says_why(fresh: Signing) -> None:
    nobody = Person(fresh, "nobody", None)
    answer = nobody.sign_in()
    assert answer.status_code == 403
    assert "nobody@example.com has no role here" in answer.json()["error"]["message"]
    assert nobody.cookies == {}
    for _ in range(5):
        fresh.issuer.claims = {"aud": "another"}
        answer = nobody.sign_in()
        assert (answer.status_code, answer.json()["error"]["kind"]) == (400, "SignInRefused")
    answer = nobody.ask("POST", "/api/session/begin", {})
    assert answer.status_code == 429
    assert fresh.app.request("GET", "/api/status").status_code == 200


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
