"""No secret may enter the audit log, where it could never be removed again."""

from __future__ import annotations

from typing import Any

from shared.errors import InvalidInput

_WORDS = (
    "secret",
    "signature",
    "password",
    "passphrase",
    "apikey",
    "privatekey",
    "accountkey",
    "sharedaccesskey",
    "functionkey",
    "listenkey",
    "connectionstring",
    "authorization",
    "credential",
    "accesstoken",
    "refreshtoken",
    "bearertoken",
    "totp",
    "otpcode",
    "cookie",
)
#: What gives away a secret inside a text.
_MARKS = (b"signature=", b"-----BEGIN", b"AccountKey=", b"SharedAccessKey=", b"Bearer ey", b"sig=")


#: Keys found harmless before: records repeat theirs, and every append passes here.
_harmless: set[str] = set()


def _names_a_secret(key: str) -> bool:
    plain = "".join(c for c in key.lower() if c.isalnum())
    if any(word in plain for word in _WORDS):
        return True
    if len(_harmless) < 4096:
        _harmless.add(key)
    return False


def refuse_secrets(body: Any, text: bytes) -> None:
    """Refuse a record's content that names or holds a secret.

    Parameters
    ----------
    body : JSON value
        Searched for keys named like a secret, at any depth.
    text : bytes
        The same as JSON text, searched for what secrets look like.

    Raises
    ------
    InvalidInput
        Naming the key, never the value.
    """
    _search(body, "body")
    for mark in _MARKS:
        if mark in text:
            raise InvalidInput(f"an audit record may not hold text with {mark.decode()!r}")


def _search(value: Any, path: str) -> None:
    if type(value) is dict:
        for key, item in value.items():
            if key not in _harmless and _names_a_secret(key):
                raise InvalidInput(f"an audit record may not hold {path}.{key}: it names a secret")
            if type(item) is dict or type(item) is list:
                _search(item, f"{path}.{key}")
    elif type(value) is list:
        for item in value:
            if type(item) is dict or type(item) is list:
                _search(item, path)
