"""The Azure Resource Manager and the blob storage, as far as an AutoML job needs them.

Plain REST: a job is six kinds of requests, and the SDK for them (``azure-ai-ml``) wants some forty
packages of its own. Paths, fields and states are those of the public description of the API
``Microsoft.MachineLearningServices`` 2024-10-01 and of Put Blob and Get Blob.

Every request is safe to repeat: a job has a name that follows from what it is made of, and a blob
holds what its name says.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import requests

from shared.clock import Clock
from training.automl.failures import AzureRefused, AzureUnavailable
from training.automl.workspace import Datastore, Workspace

#: Versions of the two interfaces.
API, BLOB_API = "2024-10-01", "2021-12-02"
#: Where the public cloud is managed.
MANAGEMENT = "https://management.azure.com"
STORAGE_SCOPE = "https://storage.azure.com/.default"

#: Seconds to connect, and between two packets.
TIMEOUT = (10, 120)
#: Tries of one request, with pauses of 1, 2, 4 ... seconds between them.
ATTEMPTS = 6
#: Longest wait that an answer 429 or 503 may ask for.
PATIENCE_S = 300
#: Largest file that is fetched; a model beyond it is not one to serve.
LARGEST = 64 << 20
#: A token is renewed so long before it ends.
_RENEW_S = 300

T = TypeVar("T")


class Token(Protocol):
    """What azure-identity hands out."""

    @property
    def token(self) -> str: ...

    @property
    def expires_on(self) -> int:
        """UTC seconds."""
        ...


class Credential(Protocol):
    """Any credential of azure-identity."""

    def get_token(self, *scopes: str) -> Token: ...


class _Again(Exception):
    """This try failed in a way that another may not.

    Parameters
    ----------
    wait : float or None
        Seconds that the answer asked for.
    """

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Azure:
    """Requests to one workspace.

    Parameters
    ----------
    workspace : Workspace
    credential : Credential
    clock : Clock
    management : str
        Address of the Resource Manager; sovereign clouds have others.
    blob : str
        Address of a storage account, with ``{protocol}``, ``{account}`` and ``{endpoint}`` of the
        datastore.
    """

    def __init__(
        self,
        workspace: Workspace,
        credential: Credential,
        clock: Clock,
        *,
        management: str = MANAGEMENT,
        blob: str = "{protocol}://{account}.blob.{endpoint}",
    ) -> None:
        self.workspace = workspace
        self._credential = credential
        self._clock = clock
        self._management = management.rstrip("/")
        self._blob = blob
        self._tokens: dict[str, Token] = {}
        self._session = requests.Session()

    def job(self, name: str) -> dict[str, Any] | None:
        """A job as Azure has it, or ``None`` where there is none of that name."""
        return self._arm("GET", f"jobs/{name}", missing_ok=True)

    def create(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Start a job; one of that name that exists already is left as it is.

        An answer that was lost is not guessed at: before every further try Azure is asked whether
        the job is there.
        """
        found = self.job(name)
        if found is not None:
            return found

        def once() -> dict[str, Any]:
            nonlocal found
            if found is not None:
                return found
            try:
                return self._json(self._arm_once("PUT", f"jobs/{name}", body))
            except _Again as failure:
                found = self.job(name)
                raise failure from None

        return self._patiently(once, f"the job {name}")

    def cancel(self, name: str) -> None:
        """Ask that a job ends; it does so after a while."""
        self._arm("POST", f"jobs/{name}/cancel")

    def datastore(self, name: str) -> Datastore:
        """Where a datastore is.

        Raises
        ------
        AzureRefused
            When it is not a blob container, or says too little.
        """
        found = self._arm("GET", f"datastores/{name}") or {}
        properties = found.get("properties", {})
        try:
            if properties["datastoreType"] != "AzureBlob":
                raise KeyError("AzureBlob")
            return Datastore(
                name=name,
                account=properties["accountName"],
                container=properties["containerName"],
                protocol=properties.get("protocol") or "https",
                endpoint=properties.get("endpoint") or "core.windows.net",
            )
        except KeyError as missing:
            raise AzureRefused(
                f"the datastore {name} is no blob container that can be used: {missing} is missing",
                status=200,
            ) from missing

    def upload(self, store: Datastore, path: str, content: bytes) -> None:
        """Write a blob whole, over whatever is there."""
        checksum = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest())
        headers = {"x-ms-blob-type": "BlockBlob", "Content-MD5": checksum.decode()}
        self._patiently(
            lambda: self._blob_once("PUT", store, path, content=content, headers=headers), path
        )

    def download(self, store: Datastore, path: str) -> bytes | None:
        """A blob, or ``None`` where there is none.

        Raises
        ------
        AzureRefused
            When it is larger than any model that could be served.
        """

        def once() -> bytes | None:
            response = self._blob_once("GET", store, path, missing_ok=True)
            return None if response is None else _body(response, path)

        return self._patiently(once, path)

    # ------------------------------------------------------------------------------ requests

    def _arm(self, method: str, path: str, *, missing_ok: bool = False) -> dict[str, Any] | None:
        def once() -> dict[str, Any] | None:
            response = self._arm_once(method, path, missing_ok=missing_ok)
            if response is None or not response.content:
                return None
            return self._json(response)

        return self._patiently(once, path)

    def _arm_once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        missing_ok: bool = False,
    ) -> requests.Response | None:
        return self._once(
            method,
            f"{self._management}{self.workspace.id}/{path}",
            scope=f"{self._management}/.default",
            params={"api-version": API},
            json=body,
            # Azure has several codes for it.
            missing=lambda code: missing_ok,
        )

    def _blob_once(
        self,
        method: str,
        store: Datastore,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        missing_ok: bool = False,
    ) -> requests.Response | None:
        address = self._blob.format(
            protocol=store.protocol, account=store.account, endpoint=store.endpoint
        )
        return self._once(
            method,
            f"{address}/{store.container}/{path}",
            scope=STORAGE_SCOPE,
            headers={"x-ms-version": BLOB_API, **(headers or {})},
            data=content,
            stream=method == "GET",
            # Not so a container that is not there.
            missing=lambda code: missing_ok and code == "BlobNotFound",
        )

    def _once(
        self,
        method: str,
        url: str,
        *,
        scope: str,
        missing: Callable[[str], bool],
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> requests.Response | None:
        """One try; ``None`` where the answer is that there is no such thing."""
        kept = scope in self._tokens
        headers = {**(headers or {}), "Authorization": f"Bearer {self._token(scope)}"}
        try:
            response = self._session.request(
                method, url, headers=headers, timeout=TIMEOUT, allow_redirects=False, **options
            )
        except requests.RequestException as error:
            raise _Again(f"{type(error).__name__}: {error}") from error
        if response.status_code in (200, 201, 202, 204):
            return response
        code, message = _error(response)
        if response.status_code == 404 and missing(code):
            return None
        told = f"{response.status_code} {code}: {message}".strip()
        if response.status_code == 401:
            self._tokens.pop(scope, None)
            if kept:  # a fresh one may be taken
                raise _Again(told, wait=0.0)
        if response.status_code in (408, 429) or response.status_code >= 500:
            raise _Again(told, wait=_seconds(response.headers.get("Retry-After")))
        raise AzureRefused(
            f"{method} {url.partition('?')[0]}: {told}", status=response.status_code, code=code
        )

    def _token(self, scope: str) -> str:
        """Kept until shortly before it ends: asking the Azure CLI for one takes a second."""
        now = self._clock.now_ms() / 1000
        held = self._tokens.get(scope)
        if held is None or held.expires_on - _RENEW_S <= now:
            from azure.core.exceptions import AzureError

            try:
                held = self._tokens[scope] = self._credential.get_token(scope)
            except AzureError as error:
                raise AzureRefused(
                    f"no token for {scope}: {str(error).partition(chr(10))[0]}; log in with az "
                    "login, or set AZURE_CLIENT_ID where a managed identity is to be used",
                    status=401,
                ) from error
        return held.token

    def _patiently(self, once: Callable[[], T], what: str) -> T:
        pause = 1.0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return once()
            except _Again as failure:
                wait = pause if failure.wait is None else failure.wait
                if attempt == ATTEMPTS or wait > PATIENCE_S:
                    raise AzureUnavailable(
                        f"{what}: {failure} ({attempt} tries); give the same command again later"
                    ) from failure
                self._clock.sleep(wait)
                pause = min(2 * pause, 30.0)
        raise AssertionError("unreachable")

    @staticmethod
    def _json(response: requests.Response | None) -> dict[str, Any]:
        try:
            found = None if response is None else response.json()
        except requests.JSONDecodeError as error:
            raise _Again(f"the answer is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise _Again("the answer is no JSON object")
        return found


def _body(response: requests.Response, path: str) -> bytes:
    """The content of a blob, whole and of a size that can be a model."""
    size = int(response.headers.get("Content-Length", "0"))
    if size > LARGEST:
        raise AzureRefused(
            f"{path} has {size:,} bytes; a model has at most {LARGEST:,}", status=200
        )
    try:
        # Fewer bytes than were announced are an error of the connection.
        return response.content
    except requests.RequestException as error:
        raise _Again(f"{type(error).__name__}: {error}") from error


def _error(response: requests.Response) -> tuple[str, str]:
    """Azure's code and message; blobs have the code in a header and the rest in XML."""
    code = response.headers.get("x-ms-error-code", "")
    try:
        error = response.json()["error"]
        return str(error.get("code") or code), str(error.get("message") or "")[:500]
    except (ValueError, KeyError, TypeError, AttributeError):
        return code, response.text[:200].strip()


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.strip().isdigit() else None
