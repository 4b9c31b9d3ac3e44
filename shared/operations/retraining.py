"""Starting the training job, at most once in so many days, and remembering that it was.

The claim is written before the call, under the ETag of what was known: two instances, or a timer
that runs twice, start one job. A call whose outcome is not known counts as a start: training costs
money, and nothing depends on it today rather than in some days.
"""

from __future__ import annotations

import logging
from typing import Literal, Protocol

import msgspec

from shared.clock import Clock, iso
from shared.errors import AlreadyExists, Conflict, JobRefused, JobUnknown, NotFound
from shared.market.timeframe import DAY_MS
from shared.storage.records import record_of
from shared.storage.store import Store

CONTAINER = "models"
PARTITION = "retraining"
_ID = "start:last"

State = Literal["claimed", "started", "refused", "unknown"]


class Jobs(Protocol):
    """Where training runs."""

    def start(self) -> str:
        """Start one execution; its name, or empty where it was not told.

        Raises
        ------
        JobRefused
            It was not started.
        JobUnknown
            It may have been.
        """
        ...


class Start(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The last start of the training job by the application.

    Parameters
    ----------
    at : int
        UTC milliseconds.
    state : str
        ``claimed``: the application ended before the answer came, so it is not known.
    reason : str
        Why, for people.
    execution : str
        What Azure calls it; empty where it is not known.
    error : str
        What was answered instead.
    """

    at: int
    state: State
    reason: str
    execution: str = ""
    error: str = ""


class Retraining:
    """The training job of one deployment.

    Parameters
    ----------
    store : Store
    clock : Clock
    jobs : Jobs
    least_days : int
        Between two starts; one that was refused does not count.
    """

    def __init__(self, store: Store, clock: Clock, jobs: Jobs, *, least_days: int) -> None:
        self._store = store
        self._clock = clock
        self._jobs = jobs
        self._least_ms = least_days * DAY_MS

    def start(self, reason: str) -> Start | None:
        """Start the job, unless one was started lately or somebody else is just doing it.

        Returns
        -------
        Start or None
            What became of it; ``None`` where it was not its time.

        Raises
        ------
        StoreError
            Nothing was started, or it cannot be noted what became of it.
        """
        etag = self._claim(reason)
        if etag is None:
            return None
        claimed = Start(at=self._clock.now_ms(), state="claimed", reason=reason)
        try:
            done = msgspec.structs.replace(claimed, state="started", execution=self._jobs.start())
        except JobRefused as error:
            done = msgspec.structs.replace(claimed, state="refused", error=str(error))
        except JobUnknown as error:
            done = msgspec.structs.replace(claimed, state="unknown", error=str(error))
        self._store.replace(CONTAINER, _body(done), etag=etag)
        logging.getLogger("borsa.models").warning("training job: %s", told(done))
        return done

    def _claim(self, reason: str) -> str | None:
        now = self._clock.now_ms()
        claim = _body(Start(at=now, state="claimed", reason=reason))
        found = self._store.get(CONTAINER, PARTITION, _ID)
        try:
            if found is None:
                return self._store.create(CONTAINER, claim).etag
            before = record_of(found.body, Start)
            if before.state != "refused" and now - before.at < self._least_ms:
                return None
            return self._store.replace(CONTAINER, claim, etag=found.etag).etag
        except (AlreadyExists, Conflict, NotFound):
            return None


def last_start(store: Store) -> Start | None:
    """The last start by the application, if there was one.

    Raises
    ------
    StoreError
        When it cannot be read.
    """
    found = store.get(CONTAINER, PARTITION, _ID)
    return None if found is None else record_of(found.body, Start)


def told(start: Start) -> str:
    """One sentence for people."""
    name = f" as {start.execution}" if start.execution else ""
    said = {
        "claimed": "began to start; whether it did is not known",
        "started": f"started{name}",
        "refused": f"not started: {start.error}",
        "unknown": f"it is not known whether it started: {start.error}",
    }[start.state]
    return f"{said} ({iso(start.at)}; {start.reason})"


def _body(start: Start) -> dict[str, object]:
    return {"id": _ID, "name": PARTITION, "kind": "start", **msgspec.to_builtins(start)}
