"""Whether an ID token is what our directory says of somebody who has just signed in here.

The signature is checked with the directory's own keys and one algorithm, whatever the token asks
for. Every claim is compared exactly; times with the application's clock.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from shared.access.roles import Role, highest
from shared.errors import NotAllowed, SignInRefused

#: The one algorithm that Entra ID signs with. A token that names another is not looked at.
ALGORITHM = "RS256"
#: Seconds by which the clocks of the directory and of this application may differ.
SKEW = 120
#: Seconds since it was made: a sign-in that is finished now has a token of now.
MAX_AGE = 600
MAX_TOKEN = 32_768


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the token has to say."""

    issuer: str
    audience: str
    tenant: str
    nonce: str


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed in.

    Parameters
    ----------
    oid : str
        Id of the person in the directory; never given to somebody else.
    name : str
        What the audit calls them (user principal name); may change, decides nothing.
    """

    oid: str
    name: str
    role: Role


def person(token: str, key_of: Callable[[str], Any], expected: Expected, now_ms: int) -> Person:
    """The person that a token speaks of.

    Parameters
    ----------
    key_of : callable
        The directory's public key of that id.

    Raises
    ------
    SignInRefused
        When anything about the token is not as expected.
    NotAllowed
        When all is well with it, but the person has no role here.
    IdentityUnavailable
        From ``key_of``.
    """
    claims = _claims(token, key_of)
    _check(claims, expected, now_ms)
    oid, name = claims.get("oid"), claims.get("preferred_username") or claims.get("name")
    if not isinstance(oid, str) or not 1 <= len(oid) <= 64:
        raise SignInRefused("the token does not say who it is of (oid)")
    name = name.strip()[:100] if isinstance(name, str) else ""
    roles = claims.get("roles", [])
    role = highest(roles) if isinstance(roles, list) else None
    if role is None:
        raise NotAllowed(
            f"{name or oid} has no role here; an administrator of the directory assigns one of "
            "viewer, operator, admin in the enterprise application"
        )
    return Person(oid=oid, name=name or oid, role=role)


def _claims(token: str, key_of: Callable[[str], Any]) -> dict[str, Any]:
    import jwt

    if len(token) > MAX_TOKEN:
        raise SignInRefused("the token is too long")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise SignInRefused("the token is not a signed token") from None
    if header.get("alg") != ALGORITHM:
        raise SignInRefused(f"the token is not signed with {ALGORITHM}")
    if "crit" in header or header.get("b64", True) is not True:
        raise SignInRefused("the token asks for an extension that is not known here")
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise SignInRefused("the token does not name its key")
    key = key_of(kid)
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            # Times and parties are compared below: with our clock, and without coercion.
            options={
                "verify_signature": True,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
                "verify_iss": False,
            },
        )
    except jwt.PyJWTError:
        raise SignInRefused("the token's signature is not the directory's") from None
    return claims


def _check(claims: Mapping[str, Any], expected: Expected, now_ms: int) -> None:
    for name, value in (
        ("iss", expected.issuer),
        ("aud", expected.audience),
        ("tid", expected.tenant),
        ("ver", "2.0"),
    ):
        if claims.get(name) != value:
            raise SignInRefused(f"the token is of another {name}")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(
        nonce.encode(), expected.nonce.encode()
    ):
        raise SignInRefused("the token is of another sign-in (nonce)")
    now = now_ms / 1000
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    begins = _time(claims, "nbf") if "nbf" in claims else issued
    if now >= expires + SKEW:
        raise SignInRefused("the token has expired")
    if max(begins, issued) > now + SKEW:
        raise SignInRefused("the token is not valid yet; compare the clocks")
    if issued < now - MAX_AGE - SKEW:
        raise SignInRefused("the token is too old for a sign-in of now")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SignInRefused(f"the token has no time {name}")
    return float(value)
