"""A Cosmos DB for the embedded platform: a server from npm, or one that is named."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import ConfigurationError, InvalidInput
from shared.storage.containers import CONTAINERS

if TYPE_CHECKING:
    from shared.clock import Clock
    from shared.storage.store import Store

#: The pinned server and its starter.
FOLDER = Path(__file__).with_name("cosmos-server")
#: Any base64 text; the server does not check signatures.
KEY = "bm90LWEtc2VjcmV0"
DATABASE = "borsa"

#: Environment variable with the account key of an emulator, as the application reads it.
KEY_SETTING = "CosmosDbConnection__accountKey"


@contextmanager
def cosmos_store(url: str = "") -> Iterator[Callable[[Clock], Store]]:
    """A maker of stores on Cosmos DB.

    Parameters
    ----------
    url : str
        Endpoint of a provisioned account or emulator; empty to start an empty local server for as
        long as the context lasts. The database is ``COSMOS_DATABASE`` (default ``borsa``); the
        credential is the key in ``CosmosDbConnection__accountKey`` or the signed-in identity.

    Raises
    ------
    InvalidInput
        When the local server cannot run here, or the address is none.
    """
    if url:
        yield _named(url)
        return
    with cosmos_server() as endpoint:
        provision(endpoint)

        def make(clock: Clock) -> Store:
            from shared.storage.cosmos import CosmosStore

            return CosmosStore(endpoint, DATABASE, key=KEY, clock=clock)

        yield make


def _named(url: str) -> Callable[[Clock], Store]:
    if not url.startswith(("https://", "http://")):
        raise InvalidInput(f"--cosmos {url!r} is no address; write https://NAME:443/")
    key = os.environ.get(KEY_SETTING)
    credential: Any = None
    if not key:
        from azure.identity import DefaultAzureCredential

        credential = DefaultAzureCredential()

    def make(clock: Clock) -> Store:
        from shared.storage.cosmos import CosmosStore

        database = os.environ.get("COSMOS_DATABASE", DATABASE)
        return CosmosStore(url, database, key=key or None, credential=credential, clock=clock)

    return make


def missing_because() -> str | None:
    """Why the local server cannot run here, ``None`` when it can."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            return f"Node.js is not installed ({tool} is not on the path)"
    return None


def install() -> Path:
    """Install the pinned packages once per checkout and lock file; returns the folder.

    Raises
    ------
    InvalidInput
        When npm fails, with its last words.
    """
    lock = (FOLDER / "package-lock.json").read_bytes()
    stamp = FOLDER / "node_modules" / ".installed-lock"
    # Processes run side by side: one installs, the others wait for it.
    with (FOLDER / "package.json").open() as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_bytes() != lock:
            done = subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=FOLDER,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                said = done.stderr.strip().splitlines() or ["nothing"]
                raise InvalidInput(
                    "the Cosmos DB server could not be installed from npm, which says: "
                    + " ".join(said[:3])
                )
            stamp.write_bytes(lock)
    return FOLDER


@contextmanager
def cosmos_server(tls: tuple[Path, Path] | None = None) -> Iterator[str]:
    """A running, empty server; yields its endpoint.

    Parameters
    ----------
    tls : (certificate, key), optional
        PEM files to serve https with; plain http otherwise.

    Raises
    ------
    InvalidInput
        When it cannot run here; says what to do.
    """
    reason = missing_because()
    if reason is not None:
        raise InvalidInput(
            f"a local Cosmos DB server cannot be started: {reason}; install Node.js, or name an "
            "account with --cosmos URL"
        )
    process = subprocess.Popen(
        ["node", "serve.js", *map(str, tls or ())],
        cwd=install(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # Ctrl-C is for us: the server goes when the last store on it is closed.
        start_new_session=True,
        env={**os.environ, "NODE_ENV": "test"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        if not port:
            raise InvalidInput(f"the Cosmos DB server did not start (exit {process.wait()})")
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        process.terminate()
        process.wait(10)
        process.stdout.close()


def provision(endpoint: str, database: str = DATABASE) -> None:
    """Create the database and every container, as Bicep does on Azure.

    Raises
    ------
    ConfigurationError
        When the server refuses.
    """
    from azure.cosmos import CosmosClient, PartitionKey
    from azure.cosmos.exceptions import CosmosHttpResponseError

    try:
        with CosmosClient(endpoint, KEY, enable_endpoint_discovery=False) as client:
            made = client.create_database(database)
            for container in CONTAINERS.values():
                made.create_container(
                    container.name,
                    PartitionKey(f"/{container.partition}"),
                    default_ttl=container.ttl,
                    unique_key_policy={
                        "uniqueKeys": [{"paths": [f"/{f}"]} for f in container.unique]
                    }
                    if container.unique
                    else None,
                )
    except CosmosHttpResponseError as error:
        raise ConfigurationError(
            [f"the Cosmos DB server at {endpoint} refused its containers: {error.message}"]
        ) from error
