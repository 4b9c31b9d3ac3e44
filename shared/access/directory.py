"""The directory (Entra ID) over HTTP: its description, its keys, a code for a token.

OpenID Connect with an authorization code and PKCE. Nothing is believed that does not come from the
authority that is configured, and nothing but the ID token is kept of an answer.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from shared.clock import Clock
from shared.errors import IdentityUnavailable, SignInRefused

#: Seconds for connecting and for the answer.
TIMEOUT = (3.0, 8.0)
#: Seconds for a whole answer, however slowly its bytes come.
ANSWER_S = 15.0
#: Bytes of an answer that are read.
MAX_ANSWER = 262_144
#: How long the description and the keys are good, and how soon keys may be asked for again because
#: a token names one that is not among them.
KEEP_MS = 24 * 3_600_000
KEYS_MS = 3_600_000
AGAIN_MS = 60_000
#: Shorter keys are no keys (NIST SP 800-131A).
MIN_KEY_BITS = 2048


class Description(msgspec.Struct, frozen=True):
    """What the directory says of itself (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str = ""


class Directory:
    """One tenant of Entra ID.

    Parameters
    ----------
    authority : str
        Such as ``https://login.microsoftonline.com``; everything is asked there and nowhere else.
    tenant, client_id : str
        The directory, and the registration of this application in it.
    redirect_uri : str
        Where it sends people back to; registered there.
    prove : callable
        The fields that prove to the directory that this is the registered application.
    clock : Clock
    """

    def __init__(
        self,
        authority: str,
        tenant: str,
        client_id: str,
        redirect_uri: str,
        prove: Callable[[], Mapping[str, str]],
        clock: Clock,
    ) -> None:
        self.issuer = f"{authority}/{tenant}/v2.0"
        self.tenant = tenant
        self.client_id = client_id
        self._origin = authority
        self._redirect_uri = redirect_uri
        self._prove = prove
        self._clock = clock
        self._lock = threading.Lock()
        self._described: tuple[int, Description] | None = None
        self._keys: dict[str, Any] = {}
        self._keys_at: int | None = None

    def sign_in_address(self, state: str, nonce: str, verifier: str) -> str:
        """Where a person signs in.

        The code comes back behind a ``#``: so it is in no log and no ``Referer``, and is not taken
        for a function key, which Azure reads from a query parameter of the very name ``code``.

        Raises
        ------
        IdentityUnavailable
        """
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        query = {
            "client_id": self.client_id,
            "response_type": "code",
            "response_mode": "fragment",
            "redirect_uri": self._redirect_uri,
            "scope": "openid profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return f"{self._description().authorization_endpoint}?{urlencode(query)}"

    def sign_out_address(self) -> str:
        """Where a person leaves the directory as well; empty where that is not known now."""
        try:
            end = self._description().end_session_endpoint
        except IdentityUnavailable:
            return ""
        query = urlencode({"post_logout_redirect_uri": self._redirect_uri})
        return f"{end}?{query}" if end else ""

    def redeem(self, code: str, verifier: str) -> str:
        """The ID token for a code.

        Raises
        ------
        SignInRefused
            When the directory does not take the code.
        IdentityUnavailable
        """
        fields = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": self._redirect_uri,
            "scope": "openid profile",
            **self._prove(),
        }
        status, answer = self._ask("POST", self._description().token_endpoint, fields)
        if status == 400 and answer.get("error") == "invalid_grant":
            raise SignInRefused("the directory did not take the code: used, too old, or not ours")
        if status != 200:
            # Its own text may quote what was sent; the word for the error does not.
            known = str(answer.get("error", ""))[:60]
            raise IdentityUnavailable(
                f"the directory answered {status} {known} to the code; see docs/security.md"
            )
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise IdentityUnavailable("the directory's answer has no ID token")
        return token

    def key(self, kid: str) -> Any:
        """The directory's public key of that id, asked for anew where it is not known.

        Raises
        ------
        SignInRefused
            When the directory has no such key.
        IdentityUnavailable
        """
        with self._lock:
            now = self._clock.now_ms()
            age = None if self._keys_at is None else now - self._keys_at
            old = age is None or not 0 <= age < KEYS_MS
            if old or (kid not in self._keys and (age or 0) >= AGAIN_MS):
                self._keys = self._published()
                self._keys_at = now
            found = self._keys.get(kid)
        if found is None:
            raise SignInRefused("the token is signed with a key that the directory does not have")
        return found

    def _published(self) -> dict[str, Any]:
        import jwt

        status, answer = self._ask("GET", self._description().jwks_uri)
        listed = answer.get("keys")
        if status != 200 or not isinstance(listed, list):
            raise IdentityUnavailable(f"the directory answered {status} when asked for its keys")
        found: dict[str, Any] = {}
        for one in listed:
            if not isinstance(one, dict) or one.get("kty") != "RSA":
                continue
            if one.get("use", "sig") != "sig" or one.get("alg", "RS256") != "RS256":
                continue
            try:
                key = jwt.PyJWK(one, algorithm="RS256").key
            except jwt.PyJWTError:
                continue
            # A private key here would mean that anybody can sign.
            if "d" not in one and key.key_size >= MIN_KEY_BITS and isinstance(one.get("kid"), str):
                found[one["kid"]] = key
        if not found:
            raise IdentityUnavailable("the directory has no key that can be used")
        return found

    def _description(self) -> Description:
        now = self._clock.now_ms()
        kept = self._described
        if kept is not None and 0 <= now - kept[0] < KEEP_MS:
            return kept[1]
        address = f"{self.issuer}/.well-known/openid-configuration"
        status, answer = self._ask("GET", address)
        if status != 200:
            raise IdentityUnavailable(f"the directory answered {status}; is ENTRA_TENANT_ID right?")
        try:
            found = msgspec.convert(answer, Description)
        except msgspec.ValidationError as error:
            raise IdentityUnavailable(f"the directory's description is wrong: {error}") from None
        if found.issuer != self.issuer:
            raise IdentityUnavailable("the directory's description is of another issuer")
        for one in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
            self._must_be_there(one)
        if found.end_session_endpoint:
            self._must_be_there(found.end_session_endpoint)
        self._described = now, found
        return found

    def _must_be_there(self, address: str) -> None:
        parts = urlsplit(address)
        if f"{parts.scheme}://{parts.netloc}" != self._origin:
            raise IdentityUnavailable("the directory's description leads away from ENTRA_AUTHORITY")

    def _ask(
        self, method: str, address: str, fields: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        import requests

        from shared.remote.deadline import BoundedAdapter, Deadline

        body = b""
        deadline = Deadline(ANSWER_S)
        try:
            with deadline, requests.Session() as session:
                session.trust_env = False
                for scheme in ("http://", "https://"):
                    session.mount(scheme, BoundedAdapter())
                with session.request(
                    method,
                    address,
                    data=fields,
                    headers={"Accept": "application/json"},
                    timeout=TIMEOUT,
                    allow_redirects=False,
                    stream=True,
                ) as answer:
                    for part in answer.iter_content(65_536):
                        body += part
                        if len(body) > MAX_ANSWER:
                            raise IdentityUnavailable("the directory's answer is too long")
                    status = answer.status_code
        except requests.RequestException as error:
            raise IdentityUnavailable(
                f"the directory cannot be reached: {type(error).__name__}"
            ) from None
        if deadline.over:
            raise IdentityUnavailable(
                f"the directory did not finish its answer in {ANSWER_S:.0f} s"
            )
        try:
            found = msgspec.json.decode(body)
        except msgspec.DecodeError:
            found = None
        return status, found if isinstance(found, dict) else {}
