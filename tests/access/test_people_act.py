"""What people do at an application of their own: stop, sign out, end sessions, get refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.access.people import Person, Signing


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Signing]:
    one = Signing(tmp_path)
    yield one
    one.close()


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
