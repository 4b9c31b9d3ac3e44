"""Who gets in: tokens of a real directory over HTTP, as they should be and in every wrong way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.access.tokens import SKEW
from shared.errors import (
    BorsaError,
    IdentityUnavailable,
    NotAllowed,
    SignInRefused,
    TooManyRequests,
)
from tests.access.entrance import ANNA, World
from tests.access.issuer import SECRET, new_key, published

Claims = dict[str, Any]
Maker = Callable[[World, Claims], str]


def test_who_signs_in_has_a_session_with_the_role_of_the_token(world: World) -> None:
    token, session = world.sign_in()
    assert (session.name, session.oid, session.role) == (
        "anna@example.com",
        "oid-of-anna",
        "operator",
    )
    assert world.door.enter(token, ANNA).id == session.id
    # The application proved itself, and the code was bound to this sign-in (PKCE).
    assert world.issuer.proofs == [{"client_secret": SECRET}]
    (note,) = world.audit()
    assert {k: note[k] for k in ("action", "operator", "oid", "role", "session")} == {
        "action": "sign in",
        "operator": "anna@example.com",
        "oid": "oid-of-anna",
        "role": "operator",
        "session": session.id,
    }
    # Whoever reads the state cannot act as somebody.
    assert token not in json.dumps([d.body for d in everything(world)])


def everything(world: World) -> list[Any]:
    found = []
    for container, partition in (("sessions", "main"), ("audit", "2025-05-04")):
        found += world.store.query(container, partition, limit=1000).documents
    return found


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        (["viewer"], "viewer"),
        (["viewer", "admin", "operator"], "admin"),
        (["operator", "Owner", 7], "operator"),
    ],
)
def test_the_highest_role_counts(world: World, roles: list[Any], role: str) -> None:
    world.issuer.user["roles"] = roles
    assert world.sign_in()[1].role == role


@pytest.mark.parametrize("roles", [None, [], ["Admin"], "admin", {"admin": True}, ["root"]])
def test_without_a_role_nobody_gets_in_and_nobody_is_locked_out(world: World, roles: Any) -> None:
    world.issuer.user["roles"] = roles
    for _ in range(6):
        with pytest.raises(NotAllowed, match=r"anna@example\.com has no role here"):
            world.sign_in()
        world.clock.sleep(1)
    world.issuer.user["roles"] = ["viewer"]
    world.sign_in()
    assert [n.get("refused", "")[:16] for n in world.audit()] == ["anna@example.com"] * 6 + [""]


def by_claims(**changed: Any) -> Maker:
    def make(world: World, claims: Claims) -> str:
        now = world.clock.now_ms() / 1000
        values = {k: v(now) if callable(v) else v for k, v in changed.items()}
        both = {**claims, **values}
        return world.issuer.sign({k: v for k, v in both.items() if v is not None})

    return make


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def none(world: World, claims: Claims) -> str:
    return f"{segment({'alg': 'none', 'typ': 'JWT', 'kid': 'first'})}.{segment(claims)}."


def hmac_with_the_public_key(world: World, claims: Claims) -> str:
    pem = world.issuer.keys["first"].public_key()
    secret = pem.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{segment({'alg': 'HS256', 'typ': 'JWT', 'kid': 'first'})}.{segment(claims)}"
    mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def by_another_key(world: World, claims: Claims) -> str:
    return jwt.encode(claims, new_key(), algorithm="RS256", headers={"kid": "first"})


def with_its_own_key(world: World, claims: Claims) -> str:
    key = new_key()
    brought = {"kid": "first", "jwk": published("first", key), "jku": "https://evil.example/keys"}
    return jwt.encode(claims, key, algorithm="RS256", headers=brought)


def by_an_unknown_key(world: World, claims: Claims) -> str:
    return jwt.encode(claims, new_key(), algorithm="RS256", headers={"kid": "unknown"})


def by_another_algorithm(world: World, claims: Claims) -> str:
    key = world.issuer.keys["first"]
    return jwt.encode(claims, key, algorithm="PS256", headers={"kid": "first"})


def changed_after_signing(world: World, claims: Claims) -> str:
    head, _, signature = world.issuer.sign(claims).split(".")
    return f"{head}.{segment({**claims, 'roles': ['admin']})}.{signature}"


def without_its_signature(world: World, claims: Claims) -> str:
    return world.issuer.sign(claims).rpartition(".")[0] + "."


def with_an_extension(world: World, claims: Claims) -> str:
    return world.issuer.sign(claims, crit=["exp"], exp=1)


def of_no_key(world: World, claims: Claims) -> str:
    return jwt.encode(claims, world.issuer.keys["first"], algorithm="RS256")


WRONG: dict[str, tuple[Maker, str]] = {
    "alg none": (none, "not signed with RS256"),
    "alg confusion": (hmac_with_the_public_key, "not signed with RS256"),
    "another alg": (by_another_algorithm, "not signed with RS256"),
    "another key": (by_another_key, "signature is not the directory's"),
    "own key in the header": (with_its_own_key, "signature is not the directory's"),
    "unknown kid": (by_an_unknown_key, "a key that the directory does not have"),
    "no kid": (of_no_key, "does not name its key"),
    "changed": (changed_after_signing, "signature is not the directory's"),
    "no signature": (without_its_signature, "signature is not the directory's"),
    "crit": (with_an_extension, "an extension|not a signed token"),
    "no token": (lambda w, c: "x.y.z", "not a signed token"),
    "empty": (lambda w, c: "", "not a signed token"),
    "endless": (lambda w, c: w.issuer.sign({**c, "fill": "x" * 40_000}), "too long"),
    "issuer": (by_claims(iss="https://evil.example"), "another iss"),
    "issuer of version 1": (by_claims(iss="https://sts.windows.net/x/"), "another iss"),
    "audience": (by_claims(aud="00000000-0000-0000-0000-000000000000"), "another aud"),
    "audiences": (lambda w, c: w.issuer.sign({**c, "aud": [c["aud"], "x"]}), "another aud"),
    "no audience": (by_claims(aud=None), "another aud"),
    "tenant": (by_claims(tid="00000000-0000-0000-0000-000000000000"), "another tid"),
    "version": (by_claims(ver="1.0"), "another ver"),
    "nonce": (by_claims(nonce="of another sign-in"), "nonce"),
    "no nonce": (by_claims(nonce=None), "nonce"),
    "expired": (by_claims(exp=lambda now: int(now) - SKEW - 1), "has expired"),
    "no end": (by_claims(exp=None), "no time exp"),
    "an end that is no time": (by_claims(exp=True), "no time exp"),
    "an end that never comes": (by_claims(exp=float("nan")), "no time exp"),
    "not yet": (by_claims(nbf=lambda now: int(now) + SKEW + 2), "not valid yet"),
    "of the future": (by_claims(iat=lambda now: int(now) + SKEW + 2), "not valid yet"),
    "of long ago": (by_claims(iat=lambda now: int(now) - 601 - SKEW), "too old"),
    "no beginning": (by_claims(iat=None), "no time iat"),
    "of nobody": (by_claims(oid=None), "who it is of"),
    "of a number": (by_claims(oid=7), "who it is of"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_token_that_is_not_as_it_should_be_opens_nothing(world: World, what: str) -> None:
    make, says = WRONG[what]
    world.issuer.token = lambda claims: make(world, claims)
    with pytest.raises(SignInRefused, match=says):
        world.sign_in()
    assert world.door.listed() == []
    # And the next one, as it should be, does.
    world.issuer.token = None
    world.sign_in()


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": lambda now: int(now) - SKEW + 1},
        {"iat": lambda now: int(now) + SKEW - 1, "nbf": None},
        {"nbf": lambda now: int(now) + SKEW - 1},
        {"iat": lambda now: int(now) - 600 - SKEW + 1},
        {"nbf": None},
    ],
)
def test_clocks_may_differ_by_two_minutes(world: World, changed: dict[str, Any]) -> None:
    world.issuer.token = lambda claims: by_claims(**changed)(world, claims)
    world.sign_in()


def test_keys_are_rotated(world: World) -> None:
    world.sign_in()
    world.issuer.rotate("second")
    # Asked for again at most once a minute, whatever tokens name.
    world.clock.sleep(30)
    with pytest.raises(SignInRefused, match="does not have"):
        world.sign_in()
    world.clock.sleep(31)
    world.sign_in()
    asked = [path for _, path in world.issuer.requests if path.endswith("/keys")]
    assert len(asked) == 2
    # A key that the directory has taken back is good for an hour at most.
    old = world.issuer.keys["second"]
    world.issuer.rotate("third")
    world.clock.sleep(3600)
    world.issuer.token = lambda claims: jwt.encode(
        claims, old, algorithm="RS256", headers={"kid": "second"}
    )
    with pytest.raises(SignInRefused, match="does not have"):
        world.sign_in()


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [{"kty": "oct", "kid": "first", "k": "c2VjcmV0"}],
        [{"kty": "RSA", "kid": "first", "use": "enc", "n": "AQAB", "e": "AQAB"}],
        [published("first", new_key(1024))],
    ],
)
def test_keys_that_cannot_be_used_are_none(world: World, keys: list[Any]) -> None:
    real = world.issuer._json
    world.issuer._json = lambda request, status, body: real(  # type: ignore[method-assign]
        request, status, {"keys": keys} if "keys" in body else body
    )
    with pytest.raises(IdentityUnavailable, match="no key that can be used"):
        world.sign_in()


@pytest.mark.parametrize(
    ("described", "says"),
    [
        ({"issuer": "https://login.evil.example/x/v2.0"}, "another issuer"),
        ({"token_endpoint": "https://evil.example/token"}, "leads away"),
        ({"jwks_uri": "http://169.254.169.254/keys"}, "leads away"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "leads away"),
        ({"end_session_endpoint": "https://evil.example/"}, "leads away"),
        ({"token_endpoint": None}, "description is wrong"),
    ],
)
def test_a_description_that_leads_elsewhere_is_not_followed(
    world: World, described: dict[str, Any], says: str
) -> None:
    world.issuer.description = described
    with pytest.raises(IdentityUnavailable, match=says):
        world.door.begin(ANNA)


def test_a_directory_that_is_away_locks_nobody_out_and_ends_no_session(world: World) -> None:
    token, _ = world.sign_in()
    query, attempt = world.begin()
    code = world.issuer.grant(query)
    world.issuer.broken = 503
    for _ in range(6):
        with pytest.raises(IdentityUnavailable, match="503"):
            world.door.complete(world.services.exit_desk(), attempt, query["state"], code, ANNA)
    world.door.enter(token, ANNA)
    world.issuer.close()
    world.services.door._directory._described = None
    with pytest.raises(IdentityUnavailable, match="cannot be reached"):
        world.door.begin(ANNA)
    world.door.enter(token, ANNA)


def refused_with(world: World, attempt: str, state: str, code: str) -> str:
    with pytest.raises(SignInRefused) as caught:
        world.door.complete(world.services.exit_desk(), attempt, state, code, ANNA)
    return str(caught.value)


def test_a_sign_in_ends_in_the_browser_that_began_it_and_once(world: World) -> None:
    query, attempt = world.begin()
    code = world.issuer.grant(query)
    other_query, other_attempt = world.begin("198.51.100.1")
    # Somebody else's code or state in this browser, or this code in another browser.
    assert "another sign-in" in refused_with(world, attempt, other_query["state"], code)
    assert "did not take the code" in refused_with(world, other_attempt, other_query["state"], code)
    world.door._lockout.succeeded(ANNA)
    for planted in ("", "x", "\u00b2.a.b.c", f"{10**20}.a.b.c", "1.2.3.4.5", attempt + "x" * 400):
        assert "begun in this browser" in refused_with(world, planted, query["state"], code)
        world.door._lockout.succeeded(ANNA)
    world.door._lockout.succeeded(ANNA)
    query, attempt = world.begin()
    code = world.issuer.grant(query)
    world.clock.sleep(600)
    assert "too long" in refused_with(world, attempt, query["state"], code)
    query, attempt = world.begin()
    code = world.issuer.grant(query)
    world.door.complete(world.services.exit_desk(), attempt, query["state"], code, ANNA)
    assert "did not take the code" in refused_with(world, attempt, query["state"], code)


def test_failures_lock_the_address_and_tell(world: World) -> None:
    token, _ = world.sign_in()
    world.issuer.claims = {"nonce": "wrong"}
    for _ in range(5):
        with pytest.raises(SignInRefused):
            world.sign_in()
    world.issuer.claims = {}
    with pytest.raises(TooManyRequests, match="locked until 2025-05-04T10:16:21"):
        world.sign_in()
    # Everything else goes on: other addresses, the session that is open.
    world.sign_in("198.51.100.1")
    world.door.enter(token, ANNA)
    notes = [n for n in world.audit() if "lockedUntil" in n]
    assert [(n["from"], n["lockedUntil"]) for n in notes] == [(ANNA, "2025-05-04T10:16:21.000Z")]
    alerts = world.store.query("alerts", "main").documents
    assert [a.body["kind"] for a in alerts] == ["sign-in-locked"]
    # The next lock lasts twice as long; a sign-in forgets all of it.
    for minutes in (15, 30):
        world.clock.sleep(minutes * 60)
        world.issuer.claims = {"nonce": "wrong"}
        for _ in range(5):
            with pytest.raises(SignInRefused):
                world.sign_in()
    with pytest.raises(TooManyRequests, match="11:46:21"):
        world.sign_in()


def test_sign_ins_are_counted_for_one_address_and_for_all(world: World) -> None:
    for _ in range(20):
        world.door.begin(ANNA)
    with pytest.raises(TooManyRequests, match="more than 20"):
        world.door.begin(ANNA)
    others = [f"198.51.100.{n}" for n in range(100)]
    for other in others:
        world.door.begin(other)
    with pytest.raises(TooManyRequests, match="more than 120"):
        world.door.begin("192.0.2.1")
    world.clock.sleep(61)
    world.door.begin(ANNA)
    # Addresses of one IPv6 network are free: they are one caller.
    for n in range(20):
        world.door.begin(f"2001:db8::{n:x}")
    with pytest.raises(TooManyRequests, match="more than 20"):
        world.door.begin("2001:db8::ffff")


def test_signing_in_anew_ends_the_session_before(world: World) -> None:
    token, _ = world.sign_in()
    query, attempt = world.begin()
    code = world.issuer.grant(query)
    desk = world.services.exit_desk()
    new, _ = world.door.complete(desk, attempt, query["state"], code, ANNA, before=token)
    world.door.enter(new, ANNA)
    with pytest.raises(BorsaError, match=r"ended by anna@example\.com"):
        world.door.enter(token, ANNA)


def test_the_application_proves_itself_by_its_identity_where_it_has_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    asked: list[str] = []

    class Identity(BaseHTTPRequestHandler):
        """The endpoint that App Service gives an app for tokens of its identity."""

        def do_GET(self) -> None:
            asked.append(self.path)
            good = self.headers.get("X-IDENTITY-HEADER") == "header"
            body = json.dumps(
                {"access_token": "the-assertion", "expires_on": 2_000_000_000, "resource": "x"}
            ).encode()
            self.send_response(200 if good else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Identity)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.server_port}/msi")
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    from shared.access.wired import door

    settings = world.services.settings
    import msgspec

    deployed = msgspec.structs.replace(settings, azure_client_id="id-of-the-identity")
    world.door = door(deployed, world.store, world.clock, world.services.secrets)
    world.sign_in()
    server.shutdown()
    server.server_close()
    thread.join(10)
    assert world.issuer.proofs == [
        {
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": "the-assertion",
        }
    ]
    assert "AzureADTokenExchange" in asked[0]
    assert "id-of-the-identity" in asked[0]
