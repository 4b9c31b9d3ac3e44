"""Tokens of the application's identity for services of Azure; no key is ever used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.errors import ServiceUnavailable

#: What Azure AI services issue and take tokens for.
COGNITIVE_SCOPE = "https://cognitiveservices.azure.com/.default"


def bearer(client_id: str, scope: str = COGNITIVE_SCOPE) -> Callable[[], str]:
    """What gives a token; the credential keeps it until shortly before it ends.

    Parameters
    ----------
    client_id : str
        User-assigned identity; empty for the default chain (a developer's ``az login``).

    Raises
    ------
    ServiceUnavailable
        From the callable, where no token can be had.
    """
    kept: list[Any] = []

    def token() -> str:
        from azure.core.exceptions import AzureError
        from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

        if not kept:
            kept.append(
                ManagedIdentityCredential(client_id=client_id)
                if client_id
                else DefaultAzureCredential()
            )
        try:
            return str(kept[0].get_token(scope).token)
        except AzureError as error:
            # Its text lists every credential that was tried, with their endpoints.
            raise ServiceUnavailable(
                f"no token for {scope}: {type(error).__name__}; give the application an identity "
                "with the role Cognitive Services User, or run az login"
            ) from None

    return token
