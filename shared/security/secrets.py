"""Secrets at run time: from Key Vault through azure-identity, or from the environment locally.

Values are cached briefly, so a rotated key is picked up without a restart, and never appear in
``repr``, logs or errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from shared.clock import Clock
from shared.errors import ConfigurationError

#: Every secret the application uses, by its Key Vault name.
SECRETS = ("binance-api-key", "binance-api-secret", "totp-secret")

CACHE_SECONDS = 600


def environment_name(secret: str) -> str:
    """``binance-api-key`` is ``BINANCE_API_KEY`` in the environment."""
    return secret.upper().replace("-", "_")


class Secrets(Protocol):
    """Where secrets come from."""

    def get(self, name: str) -> str:
        """The secret's value.

        Raises
        ------
        ConfigurationError
            When it is absent, saying where to put it.
        """
        ...


class EnvironmentSecrets:
    """Secrets of a development machine, from ``local.settings.json`` or the environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def get(self, name: str) -> str:
        value = self._environment.get(environment_name(name), "")
        if not value:
            raise ConfigurationError(
                [
                    f"secret {name} is missing; set {environment_name(name)} in the environment "
                    "before ./run, in local.settings.json for the functions host, or KEY_VAULT_URI "
                    "to read it from a vault"
                ]
            )
        return value

    def __repr__(self) -> str:
        return "EnvironmentSecrets(...)"


class KeyVaultSecrets:
    """Secrets of the deployed application.

    Parameters
    ----------
    uri : str
        The vault, ``https://name.vault.azure.net``.
    clock : Clock
    client_id : str
        User-assigned identity; empty for the default credential chain.
    client : optional
        A ready ``SecretClient``, for tests against a local vault.
    """

    def __init__(self, uri: str, clock: Clock, client_id: str = "", client: Any = None) -> None:
        self._uri = uri
        self._clock = clock
        self._client_id = client_id
        self._client = client
        self._cache: dict[str, tuple[int, str]] = {}

    def get(self, name: str) -> str:
        now = self._clock.now_ms()
        cached = self._cache.get(name)
        if cached is not None and now - cached[0] < CACHE_SECONDS * 1000:
            return cached[1]
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            value = self._connect().get_secret(name).value
        except ResourceNotFoundError:
            value = None
        except AzureError:
            # A vault that is briefly away must not stop protection: the last value still signs.
            if cached is not None:
                return cached[1]
            raise
        if not value:
            raise ConfigurationError(
                [f"secret {name} is missing in {self._uri}; add it to the vault"]
            )
        self._cache[name] = (now, value)
        return str(value)

    def _connect(self) -> Any:
        if self._client is None:
            from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
            from azure.keyvault.secrets import SecretClient

            credential: Any = (
                ManagedIdentityCredential(client_id=self._client_id)
                if self._client_id
                else DefaultAzureCredential()
            )
            self._client = SecretClient(vault_url=self._uri, credential=credential)
        return self._client

    def __repr__(self) -> str:
        return f"KeyVaultSecrets({self._uri!r})"
