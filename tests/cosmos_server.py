"""Starts the Cosmos DB server from npm that tests run the Cosmos adapter against."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.storage.containers import CONTAINERS

FOLDER = Path(__file__).parent / "storage" / "cosmos-server"
#: Any base64 text; the server does not check signatures.
KEY = "bm90LWEtc2VjcmV0"
DATABASE = "borsa"


def missing_because() -> str | None:
    """Why the server cannot run here, ``None`` when it can."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            return f"Node.js is not installed ({tool} is not on the path)"
    return None


def install() -> Path:
    """Install the pinned packages once per checkout and lock file; returns the folder."""
    lock = (FOLDER / "package-lock.json").read_bytes()
    stamp = FOLDER / "node_modules" / ".installed-lock"
    # Test workers run side by side: one installs, the others wait for it.
    with open(FOLDER / "package.json") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_bytes() != lock:
            subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=FOLDER,
                check=True,
                capture_output=True,
                text=True,
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
    """
    folder = install()
    process = subprocess.Popen(
        ["node", "serve.js", *map(str, tls or ())],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "NODE_ENV": "test"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError(f"the Cosmos DB server did not start (exit {process.wait()})")
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        process.terminate()
        process.wait(10)
        process.stdout.close()


def provision(endpoint: str, database: str = DATABASE) -> None:
    """Create the database and every container, as Bicep does on Azure."""
    from azure.cosmos import CosmosClient, PartitionKey

    with CosmosClient(endpoint, KEY, enable_endpoint_discovery=False) as client:
        made = client.create_database(database)
        for container in CONTAINERS.values():
            made.create_container(
                container.name,
                PartitionKey(f"/{container.partition}"),
                default_ttl=container.ttl,
                unique_key_policy={"uniqueKeys": [{"paths": [f"/{f}"]} for f in container.unique]}
                if container.unique
                else None,
            )
