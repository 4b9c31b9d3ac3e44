"""The way in for people as the settings say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from shared.access.directory import Directory
from shared.access.door import Door
from shared.access.lockout import Lockout
from shared.access.sessions import Sessions
from shared.errors import IdentityUnavailable, NotFound

if TYPE_CHECKING:
    from shared.clock import Clock
    from shared.security.secrets import Secrets
    from shared.settings import Settings
    from shared.storage.store import Store

#: The page that people come back to; registered in the directory.
PAGE = "/api/ui"
#: For whom the identity's own token is that proves the application to the directory.
EXCHANGE = "api://AzureADTokenExchange/.default"
_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def door(settings: Settings, store: Store, clock: Clock, secrets: Secrets) -> Door:
    """The door of this deployment.

    Raises
    ------
    NotFound
        While people cannot sign in.
    """
    if settings.access != "entra":
        raise NotFound("nobody can sign in here: ACCESS is keys; use a function key")
    directory = Directory(
        settings.entra_authority,
        settings.entra_tenant_id,
        settings.entra_client_id,
        settings.public_url + PAGE,
        _proof(settings.azure_client_id, secrets),
        clock,
    )
    account = settings.account_id
    idle, absolute = settings.session_idle_minutes * 60_000, settings.session_hours * 3_600_000
    return Door(
        directory,
        Sessions(store, clock, account, idle, absolute),
        Lockout(store, clock, account),
        clock,
    )


def _proof(client_id: str, secrets: Secrets) -> Callable[[], Mapping[str, str]]:
    """How the application proves itself: deployed by its identity, so that there is no secret that
    could be stolen or run out; elsewhere by ``entra-client-secret``."""

    def by_secret() -> Mapping[str, str]:
        return {"client_secret": secrets.get("entra-client-secret")}

    def by_identity() -> Mapping[str, str]:
        from azure.core.exceptions import AzureError
        from azure.identity import ManagedIdentityCredential

        try:
            with ManagedIdentityCredential(client_id=client_id) as identity:
                token = identity.get_token(EXCHANGE).token
        except AzureError as error:
            raise IdentityUnavailable(
                f"the application's identity has no token for the sign-in: {type(error).__name__}"
            ) from None
        return {"client_assertion_type": _BEARER, "client_assertion": token}

    return by_identity if client_id else by_secret
