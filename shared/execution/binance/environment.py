"""Which Binance a client talks to, and the keys that belong to it, pinned together.

Demo and production keys are not interchangeable, and other systems have sent sandbox orders to
the live host. So an environment owns its host, keys name the environment they were made in, and
a pair that does not match is refused before the first request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from shared.errors import ConfigurationError

EnvironmentName = Literal["simulated", "demo", "production"]

_HOSTS: dict[EnvironmentName, str] = {
    "demo": "https://demo-fapi.binance.com",
    "production": "https://fapi.binance.com",
}
_BINANCE_DOMAINS = ("binance.com", "binance.us", "binancefuture.com", "binance.vision")


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A Binance host: ``base_url`` without the ``/fapi`` path."""

    name: EnvironmentName
    base_url: str


DEMO = Environment(name="demo", base_url=_HOSTS["demo"])
PRODUCTION = Environment(name="production", base_url=_HOSTS["production"])


def simulated(base_url: str) -> Environment:
    """A simulated exchange at an address of its own.

    Raises
    ------
    ConfigurationError
        When the address is no HTTP address, or is Binance's own.
    """
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.username:
        raise ConfigurationError(
            ["BINANCE_BASE_URL must be an http(s) address such as http://127.0.0.1:8080"]
        )
    if any(host == domain or host.endswith("." + domain) for domain in _BINANCE_DOMAINS):
        raise ConfigurationError(
            [f"BINANCE_BASE_URL names {host}: a simulated environment never uses Binance's hosts"]
        )
    return Environment(name="simulated", base_url=base_url.rstrip("/"))


def environment(name: str, base_url: str | None = None) -> Environment:
    """The environment of the settings ``BINANCE_ENVIRONMENT`` and ``BINANCE_BASE_URL``.

    Raises
    ------
    ConfigurationError
        For an unknown name, a missing address, or an address where the host is fixed.
    """
    if name == "simulated":
        if not base_url:
            raise ConfigurationError(
                ["BINANCE_BASE_URL is missing: set the address of the simulated exchange"]
            )
        return simulated(base_url)
    known = {"demo": DEMO, "production": PRODUCTION}.get(name)
    if known is None:
        raise ConfigurationError(
            [f"BINANCE_ENVIRONMENT is {name!r}; use simulated, demo or production"]
        )
    if base_url and base_url.rstrip("/") != known.base_url:
        raise ConfigurationError(
            [f"BINANCE_BASE_URL must not be set for {name}: its host is {known.base_url}"]
        )
    return known


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """An API key of one environment; neither part ever appears in a ``repr``.

    Parameters
    ----------
    environment : str
        Where the key was made: ``simulated``, ``demo`` or ``production``.
    key : str
        The API key (sent as ``X-MBX-APIKEY``).
    secret : str
        HMAC secret; empty when ``private_key`` is used.
    private_key : str
        PEM of an Ed25519 or RSA key, empty for HMAC keys.
    """

    environment: EnvironmentName
    key: str = field(repr=False)
    secret: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)


def is_stated(key: str) -> bool:
    """Whether a stored key says where it was made."""
    return key.strip().partition(":")[0] in ("simulated", "demo", "production")


def stored_credentials(name: EnvironmentName, key: str, secret: str) -> Credentials:
    """The key as it is stored: ``demo:KEY`` says itself where it was made.

    The text before the colon is the environment's name, written by whoever stored the key. On
    production it must be there: a setting alone never turns a key into one for real money.

    Raises
    ------
    ConfigurationError
        When a key for production does not say so.
    """
    label, _, rest = key.strip().partition(":")
    if is_stated(key):
        return Credentials(environment=label, key=rest, secret=secret)  # type: ignore[arg-type]
    if name == "production":
        raise ConfigurationError(
            [
                "the secret binance-api-key does not say that it is for production: store it as "
                "production:KEY"
            ]
        )
    return Credentials(environment=name, key=key, secret=secret)


def require_match(environment: Environment, credentials: Credentials) -> None:
    """Refuse keys of another environment, and keys that cannot sign.

    Raises
    ------
    ConfigurationError
    """
    problems = []
    if credentials.environment != environment.name:
        problems.append(
            f"the API key belongs to {credentials.environment} but BINANCE_ENVIRONMENT is "
            f"{environment.name}: set the key of that environment"
        )
    if not credentials.key.strip():
        problems.append("the Binance API key is empty: set it in Key Vault or the local settings")
    if not credentials.secret.strip() and not credentials.private_key.strip():
        problems.append("the Binance API secret is empty: set it beside the key")
    if problems:
        raise ConfigurationError(problems)
