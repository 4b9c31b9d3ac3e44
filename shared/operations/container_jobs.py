"""The training job as an Azure Container Apps job, started through Azure Resource Manager.

``POST <job>/start`` (api-version 2025-07-01) answers 200 or 202 and names the execution. The
application's identity may start that one job and change nothing about it.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from shared.errors import ConfigurationError, JobRefused, JobUnknown

API_VERSION = "2025-07-01"
#: Seconds for connecting and for the answer.
TIMEOUT = (5.0, 30.0)
_PARTS = ("subscriptions", "resourceGroups", "providers", "jobs")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ContainerJobs:
    """One Container Apps job.

    Parameters
    ----------
    url : str
        The job's resource id behind the address of Resource Manager:
        ``https://management.azure.com/subscriptions/.../providers/Microsoft.App/jobs/NAME``.
    token : callable
        An access token for an audience, for example ``https://management.azure.com``.

    Raises
    ------
    ConfigurationError
        When it is no such address. Plain HTTP is for this machine alone: the token would be read.
    """

    def __init__(self, url: str, token: Callable[[str], str]) -> None:
        parts = urlsplit(url)
        path = parts.path.rstrip("/").split("/")
        shape = tuple(path[1::2])
        if (
            len(path) != 9
            or shape != _PARTS
            or path[6].lower() != "microsoft.app"
            or not all(path[1:])
            or not parts.hostname
            or parts.query
        ):
            raise ConfigurationError(
                [
                    "RETRAINING_JOB must be https://management.azure.com/subscriptions/ID/"
                    "resourceGroups/NAME/providers/Microsoft.App/jobs/NAME"
                ]
            )
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise ConfigurationError(["RETRAINING_JOB must be an https address"])
        self._url = f"{parts.scheme}://{parts.netloc}{'/'.join(path)}/start"
        self._audience = f"{parts.scheme}://{parts.netloc}"
        self._local = parts.hostname in _LOOPBACK
        self._token = token

    def start(self) -> str:
        """Start one execution; its name.

        Raises
        ------
        JobRefused
            No token, no connection, or an answer 4xx: nothing was started.
        JobUnknown
            No answer, or one that the service itself may not stand by (5xx).
        """
        import requests

        try:
            token = self._token(self._audience)
        except Exception as error:  # noqa: BLE001
            # Whatever the identity service does: nothing was sent. Its text may have a secret.
            raise JobRefused(f"no token: {type(error).__name__}") from None
        with requests.Session() as session:
            session.trust_env = not self._local
            try:
                answer = session.post(
                    self._url,
                    params={"api-version": API_VERSION},
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=TIMEOUT,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                if _never_sent(error):
                    raise JobRefused(f"no connection: {type(error).__name__}") from None
                raise JobUnknown(f"no answer: {type(error).__name__}") from None
        if answer.status_code >= 500:
            raise JobUnknown(f"HTTP {answer.status_code}{_said(answer)}")
        if answer.status_code not in (200, 202):
            raise JobRefused(f"HTTP {answer.status_code}{_said(answer)}")
        try:
            return str(answer.json()["name"])[:100]
        except (ValueError, KeyError, TypeError):
            return ""


def _never_sent(error: Exception) -> bool:
    from requests import ConnectTimeout
    from urllib3.exceptions import NewConnectionError

    cause = error.args[0] if error.args else None
    refused = isinstance(getattr(cause, "reason", None), NewConnectionError)
    return refused or isinstance(error, ConnectTimeout)


def _said(answer: object) -> str:
    """Azure's own code of the error, where it gives one."""
    try:
        code = answer.json()["error"]["code"]  # type: ignore[attr-defined]
    except (ValueError, KeyError, TypeError):
        return ""
    return f" {str(code)[:80]}"


def managed_identity(client_id: str) -> Callable[[str], str]:
    """Tokens of the application's identity."""

    def token(audience: str) -> str:
        from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

        credential = (
            ManagedIdentityCredential(client_id=client_id)
            if client_id
            else DefaultAzureCredential()
        )
        return str(credential.get_token(f"{audience}/.default").token)

    return token
