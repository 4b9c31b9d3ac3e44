"""Opening the state of a run for reading commands."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from shared.clock import Clock, SystemClock
from shared.errors import InvalidInput
from shared.storage.sqlite import SqliteStore

ACCOUNT = "main"
#: Seconds; the exchange counts by the minute.
LONGEST_WAIT = 65


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
    folder: Path,
    method: str,
    path: str,
    body: Any = None,
    *,
    patience: float = 30.0,
    waits: bool = False,
) -> tuple[int, Any]:
    """Call an endpoint of the running application; status and JSON body.

    Parameters
    ----------
    patience : float
        Seconds to wait for its answer.
    waits : bool
        Of what only reads: where the application says "later", because views have had their part
        of the exchange's rate limit in this minute, wait as long as it says and ask once more.

    Raises
    ------
    InvalidInput
        When it does not answer.
    """
    import requests

    run = running(folder)
    with requests.Session() as session:
        session.trust_env = False

        def ask() -> requests.Response:
            return session.request(
                method,
                f"{run['url']}/api/{path}",
                json=body,
                headers={"x-functions-key": run["key"]},
                timeout=patience,
            )

        try:
            answer = ask()
            if waits and answer.status_code == 429:
                _wait(answer.headers.get("Retry-After", ""))
                answer = ask()
        except requests.RequestException:
            raise InvalidInput(
                f"the application at {run['url']} does not answer; is ./run still running?"
            ) from None
    try:
        return answer.status_code, answer.json()
    except ValueError:
        return answer.status_code, None


def _wait(told: str) -> None:
    seconds = min(int(told), LONGEST_WAIT) if told.isdecimal() else LONGEST_WAIT
    print(f"the application is at a rate limit; asking again in {seconds} s ...", file=sys.stderr)
    time.sleep(seconds)
