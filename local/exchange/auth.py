"""Who is calling: API keys, signatures, timestamps."""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import unquote_plus

from shared.errors import ConfigurationError
from shared.simulation.refusal import VenueRefusal
from shared.simulation.venue import MAIN

MAX_RECV_WINDOW = 60_000
DEFAULT_RECV_WINDOW = 5_000
#: How far ahead of the exchange a request's clock may be, milliseconds.
AHEAD_MS = 1_000
_DIGITS = re.compile("[0-9]{1,20}")


class Credential(Protocol):
    """An API key's owner and how its signatures are verified."""

    account: str

    def verifies(self, payload: bytes, signature: str) -> bool: ...


class HmacCredential:
    """HMAC-SHA256 over the payload, in hexadecimal."""

    def __init__(self, secret: str, account: str = MAIN) -> None:
        self.account = account
        self._secret = secret.encode()

    def verifies(self, payload: bytes, signature: str) -> bool:
        expected = hmac.digest(self._secret, payload, "sha256").hex()
        return hmac.compare_digest(expected, signature.lower())


class PublicKeyCredential:
    """An Ed25519 or RSA key: base64 of the signature over the payload.

    Parameters
    ----------
    public_key : str
        PEM.
    account : str

    Raises
    ------
    ConfigurationError
        The key is neither.
    """

    def __init__(self, public_key: str, account: str = MAIN) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        self.account = account
        key = load_pem_public_key(public_key.encode())
        if not isinstance(key, Ed25519PublicKey | RSAPublicKey):
            raise ConfigurationError([f"API keys are Ed25519 or RSA, not {type(key).__name__}"])
        self._key = key

    def verifies(self, payload: bytes, signature: str) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            # A plus sign that was not encoded arrives as a blank.
            sent = b64decode(signature.replace(" ", "+"), validate=True)
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(sent, payload)
            else:
                self._key.verify(sent, payload, PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True


class Keys:
    """The API keys the exchange knows.

    Parameters
    ----------
    credentials : mapping of str to (str or Credential)
        By API key; a plain string is the HMAC secret of the main account.
    """

    def __init__(self, credentials: Mapping[str, str | Credential]) -> None:
        self._known: dict[str, Credential] = {
            key: HmacCredential(value) if isinstance(value, str) else value
            for key, value in credentials.items()
        }

    def identify(self, api_key: str | None) -> Credential:
        """The key's credential.

        Raises
        ------
        VenueRefusal
            -2014 malformed or absent, -2015 unknown.
        """
        if not api_key or not api_key.isascii() or len(api_key) > 128:
            raise VenueRefusal(-2014, "API-key format invalid.", status=401)
        credential = self._known.get(api_key)
        if credential is None:
            if api_key.startswith("demo-"):
                raise VenueRefusal(-2008, "Invalid Api-Key ID.", status=401)
            raise VenueRefusal(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
        return credential


def check_signature(credential: Credential, query: str, body: str, signature: str | None) -> None:
    """Signature over query and body without the signature itself, as sent or decoded.

    Raises
    ------
    VenueRefusal
        -1102 no signature, -1022 it does not match.
    """
    if not signature:
        raise VenueRefusal(
            -1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed."
        )
    payload = _unsigned(query) + _unsigned(body)
    if credential.verifies(payload.encode(), signature):
        return
    if ("%" in payload or "+" in payload) and credential.verifies(
        unquote_plus(payload).encode(), signature
    ):
        return
    raise VenueRefusal(-1022, "Signature for this request is not valid.")


def check_time(now: int, timestamp: str | None, recv_window: str | None) -> None:
    """The request's time against the exchange's clock.

    Raises
    ------
    VenueRefusal
        -1102 no timestamp, -1021 outside of the window, -1131 window too large.
    """
    if not timestamp or not _DIGITS.fullmatch(timestamp):
        raise VenueRefusal(
            -1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed."
        )
    window = DEFAULT_RECV_WINDOW
    if recv_window:
        if not _DIGITS.fullmatch(recv_window):
            raise VenueRefusal(-1130, "Data sent for parameter 'recvWindow' is not valid.")
        window = int(recv_window)
        if not 0 < window <= MAX_RECV_WINDOW:
            raise VenueRefusal(-1131, "recvWindow must be less than 60000")
    sent = int(timestamp)
    if sent >= now + AHEAD_MS:
        raise VenueRefusal(
            -1021, "Timestamp for this request was 1000ms ahead of the server's time."
        )
    if now - sent > window:
        raise VenueRefusal(-1021, "Timestamp for this request is outside of the recvWindow.")


def _unsigned(text: str) -> str:
    if "signature=" not in text:
        return text
    if "&signature=" in text:
        head, _, tail = text.rpartition("&signature=")
        _, more, rest = tail.partition("&")
        return head + more + rest
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))
