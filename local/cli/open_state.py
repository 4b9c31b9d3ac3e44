"""Opening the state of a run for reading commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared.clock import Clock, SystemClock
from shared.errors import InvalidInput
from shared.storage.sqlite import SqliteStore

ACCOUNT = "main"


def open_store(folder: Path, clock: Clock | None = None) -> SqliteStore:
    """The store of a run under ``folder``.

    Parameters
    ----------
    clock : Clock, optional
        What has outlived its time to live is not seen; by default as of now. A run's time is not
        this machine's.

    Raises
    ------
    InvalidInput
        When nothing was run there.
    """
    path = folder / "state.db"
    if not path.exists():
        raise InvalidInput(f"{folder} holds no run; start one with ./run, or name --state DIR")
    return SqliteStore(str(path), clock=clock or SystemClock())


def running(folder: Path) -> dict[str, Any]:
    """Address and keys of the application that runs on ``folder``.

    Raises
    ------
    InvalidInput
        When none does.
    """
    path = folder / "run.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        raise InvalidInput(f"nothing runs on {folder}; start it with ./run") from None
    return found


def call(
    folder: Path, method: str, path: str, body: Any = None, *, patience: float = 30.0
) -> tuple[int, Any]:
    """Call an endpoint of the running application; status and JSON body.

    Parameters
    ----------
    patience : float
        Seconds to wait for its answer.

    Raises
    ------
    InvalidInput
        When it does not answer.
    """
    import requests

    run = running(folder)
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.request(
                method,
                f"{run['url']}/api/{path}",
                json=body,
                headers={"x-functions-key": run["key"]},
                timeout=patience,
            )
        except requests.RequestException:
            raise InvalidInput(
                f"the application at {run['url']} does not answer; is ./run still running?"
            ) from None
    try:
        return answer.status_code, answer.json()
    except ValueError:
        return answer.status_code, None
