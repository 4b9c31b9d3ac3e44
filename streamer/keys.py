"""The API key for listen keys, from the vault, and only if it belongs to the environment."""

from __future__ import annotations

import asyncio

from shared.errors import ConfigurationError, ExchangeHalted
from shared.execution.binance.environment import stored_credentials
from shared.security.secrets import Secrets
from streamer.rest import ApiKey
from streamer.settings import Settings


def api_key(settings: Settings, secrets: Secrets) -> ApiKey:
    """A way to the key. A listen key needs no signature, so the secret is never read.

    The callable raises :class:`~shared.errors.ExchangeHalted` when there is no key that may be
    used here; the reason names no part of it.
    """

    async def get() -> str:
        # The vault's client is synchronous; it answers from its cache for ten minutes.
        try:
            stored = await asyncio.to_thread(secrets.get, "binance-api-key")
            found = stored_credentials(settings.binance_environment, stored, "")
        except ConfigurationError as error:
            raise ExchangeHalted(str(error)) from None
        except Exception as error:  # noqa: BLE001 - told by its type, and tried again
            raise ExchangeHalted(f"the API key cannot be read: {type(error).__name__}") from None
        if found.environment != settings.binance_environment:
            raise ExchangeHalted(
                f"the API key belongs to {found.environment}, not {settings.binance_environment}"
            )
        return found.key

    return get
