"""A directory of our own that speaks OpenID Connect over real HTTP, with real signatures.

It is strict where Entra ID is (registered address, PKCE, codes that work once and belong to one
client, the client's proof), and can be told to go wrong in every way a test wants.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "99999999-8888-7777-6666-555555555555"
SECRET = "a-client-secret-that-nobody-may-see"


def new_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def first_key() -> rsa.RSAPrivateKey:
    """Made once for all tests of a process; making one takes a while."""
    return new_key()


def published(kid: str, key: rsa.RSAPrivateKey) -> dict[str, Any]:
    """A public key as Entra ID lists it: without ``alg``."""
    jwk: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return {**jwk, "kid": kid, "use": "sig"}


class Issuer:
    """The directory.

    Parameters
    ----------
    now : callable
        Its clock, in seconds.
    redirect_uri : str
        The registered address.
    host : str
        What it is called; ``localhost`` is another site than ``127.0.0.1``, for browsers.
    """

    def __init__(
        self, now: Callable[[], float], redirect_uri: str, *, host: str = "127.0.0.1"
    ) -> None:
        self.now = now
        self.redirect_uri = redirect_uri
        self.keys: dict[str, rsa.RSAPrivateKey] = {"first": first_key()}
        self.kid = "first"
        #: Who signs in next, and with which app roles.
        self.user: dict[str, Any] = {
            "oid": "oid-of-anna",
            "preferred_username": "anna@example.com",
            "roles": ["operator"],
        }
        #: Changes to the claims, and instead of the token altogether.
        self.claims: dict[str, Any] = {}
        self.token: Callable[[dict[str, Any]], str] | None = None
        self.description: dict[str, Any] = {}
        #: Status that everything is answered with, while it is not 0.
        self.broken = 0
        #: Whether a person is asked first, on a page.
        self.asks = False
        self.requests: list[tuple[str, str]] = []
        self.proofs: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.answer(self, {})

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                issuer.answer(self, _fields(self.rfile.read(length).decode()))

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    @property
    def issuer(self) -> str:
        return f"{self.url}/{TENANT}/v2.0"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def rotate(self, kid: str) -> None:
        """Sign with a new key from now on; the old one is gone."""
        self.keys, self.kid = {kid: new_key()}, kid

    # ---------------------------------------------------------------- answers

    def answer(self, request: BaseHTTPRequestHandler, fields: dict[str, str]) -> None:
        parts = urlsplit(request.path)
        path = parts.path.removeprefix(f"/{TENANT}")
        self.requests.append((request.command, path))
        if self.broken:
            self._json(request, self.broken, {"error": "temporarily_unavailable"})
        elif path == "/v2.0/.well-known/openid-configuration":
            self._json(request, 200, self._described())
        elif path == "/discovery/v2.0/keys":
            keys = [published(kid, key) for kid, key in self.keys.items()]
            self._json(request, 200, {"keys": keys})
        elif path == "/oauth2/v2.0/authorize":
            self._authorize(request, _fields(parts.query))
        elif path == "/oauth2/v2.0/token":
            status, body = self._redeem(fields)
            self._json(request, status, body)
        elif path == "/oauth2/v2.0/logout":
            back = _fields(parts.query).get("post_logout_redirect_uri", "")
            self._redirect(request, back if back == self.redirect_uri else "about:blank")
        else:
            self._json(request, 404, {})

    def _described(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/{TENANT}/oauth2/v2.0/authorize",
            "token_endpoint": f"{self.url}/{TENANT}/oauth2/v2.0/token",
            "jwks_uri": f"{self.url}/{TENANT}/discovery/v2.0/keys",
            "end_session_endpoint": f"{self.url}/{TENANT}/oauth2/v2.0/logout",
            "response_modes_supported": ["query", "fragment", "form_post"],
            **self.description,
        }

    def grant(self, query: Mapping[str, str]) -> str:
        """A code for a sign-in that was asked for; what a person's click does."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["redirect_uri"] == self.redirect_uri
        assert query["response_mode"] == "fragment"
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(24)
        self._codes[code] = {"nonce": query["nonce"], "challenge": query["code_challenge"]}
        return code

    def _authorize(self, request: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        code, state = self.grant(query), query["state"]
        back = f"{self.redirect_uri}#{urlencode({'code': code, 'state': state})}"
        if not self.asks:
            self._redirect(request, back)
            return
        no = f"{self.redirect_uri}#" + urlencode({"error": "access_denied", "state": state})
        page = f'<a id="yes" href="{back}">Sign in</a> <a id="no" href="{no}">Cancel</a>'
        self._send(request, 200, page.encode(), "text/html")

    def _redeem(self, fields: dict[str, str]) -> tuple[int, dict[str, Any]]:
        proof = {k: v for k, v in fields.items() if k.startswith("client_") and k != "client_id"}
        self.proofs.append(proof)
        proved = proof.get("client_secret") == SECRET or "client_assertion" in proof
        if fields.get("client_id") != CLIENT or not proved:
            return 401, {"error": "invalid_client"}
        granted = self._codes.pop(fields.get("code", ""), None)
        digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            granted is None
            or granted["challenge"] != challenge
            or fields.get("redirect_uri") != self.redirect_uri
            or fields.get("grant_type") != "authorization_code"
        ):
            return 400, {"error": "invalid_grant", "error_description": "AADSTS54005"}
        claims = self.claims_for(granted["nonce"])
        made = self.token(claims) if self.token is not None else self.sign(claims)
        return 200, {"token_type": "Bearer", "expires_in": 3600, "id_token": made}

    def claims_for(self, nonce: str) -> dict[str, Any]:
        now = int(self.now())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "tid": TENANT,
            "ver": "2.0",
            "sub": "pairwise",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "nonce": nonce,
            **self.user,
            **self.claims,
        }
        return {k: v for k, v in claims.items() if v is not None}

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        headers = {"kid": self.kid, **header}
        return jwt.encode(dict(claims), self.keys[self.kid], algorithm="RS256", headers=headers)

    def _json(self, request: BaseHTTPRequestHandler, status: int, body: Any) -> None:
        self._send(request, status, json.dumps(body).encode(), "application/json")

    def _send(
        self, request: BaseHTTPRequestHandler, status: int, body: bytes, media_type: str
    ) -> None:
        request.send_response(status)
        request.send_header("Content-Type", media_type)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _redirect(self, request: BaseHTTPRequestHandler, to: str) -> None:
        request.send_response(302)
        request.send_header("Location", to)
        request.send_header("Content-Length", "0")
        request.end_headers()


def _fields(text: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(text).items()}
