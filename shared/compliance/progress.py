"""What a deployment has shown on the way to production: one document, changed under its ETag.

``control``, id ``stage``: for each stage and venue since when and on which days it ran, which
stages a person has promoted to on what evidence, and which were withdrawn again.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from shared.clock import day
from shared.compliance.stages import ChecklistItem, StageEvidence
from shared.errors import AlreadyExists, Conflict, NotFound
from shared.execution.desk import Desk
from shared.storage.records import record_of
from shared.storage.store import Body, Document

CONTAINER = "control"
PROGRESS_ID = "stage"
#: Days remembered of a run; more than any stage asks for.
DAYS = 60
#: Withdrawals remembered here; the audit has all.
WITHDRAWN = 20


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One stage on one venue: since when (UTC ms), and the UTC days on which the guardian ran."""

    since: int
    days: tuple[str, ...] = ()


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A person's promotion to a stage with the evidence it was judged on."""

    stage: str
    at: int
    operator: str
    reason: str
    evidence: tuple[StageEvidence, ...]
    checklist: tuple[ChecklistItem, ...]


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion taken back by the application itself."""

    stage: str
    at: int
    reason: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Runs by ``stage-venue``, promotions by stage, withdrawals oldest first.

    ``last`` names the run that was noted last. Orders carry no venue: what counts for a run is what
    happened since it began, so it begins anew once another has been in between.
    """

    runs: dict[str, Run] = {}
    last: str = ""
    grants: dict[str, Grant] = {}
    withdrawn: tuple[Withdrawal, ...] = ()

    def run(self, stage: str, environment: str) -> Run | None:
        """When a stage has run on a venue, ``None`` where it never did, or another has since."""
        key = run_key(stage, environment)
        return self.runs.get(key) if self.last in ("", key) else None


def run_key(stage: str, environment: str) -> str:
    """Under which name the run of a stage on a venue is kept."""
    return f"{stage}-{environment}"


def read(desk: Desk) -> Progress:
    """What is stored; empty where nothing is."""
    document = desk.store.get(CONTAINER, desk.account, PROGRESS_ID)
    return _decoded(document)


def _decoded(document: Document | None) -> Progress:
    """What the document says.

    Raises
    ------
    StoreError
        When it is not what this version, or any, would have written.
    """
    return Progress() if document is None else record_of(document.body, Progress)


def change(desk: Desk, how: Callable[[Progress], Progress]) -> Progress:
    """Apply a change to exactly the version it was judged on."""
    while True:
        document = desk.store.get(CONTAINER, desk.account, PROGRESS_ID)
        known = _decoded(document)
        changed = how(known)
        if changed == known:
            return known
        body: Body = {
            **msgspec.to_builtins(changed),
            "id": PROGRESS_ID,
            "scope": desk.account,
        }
        try:
            if document is None:
                desk.store.create(CONTAINER, body)
            else:
                desk.store.replace(CONTAINER, body, etag=document.etag)
        except (AlreadyExists, Conflict, NotFound):
            continue
        return changed


def note_day(desk: Desk) -> Progress:
    """The guardian ran today in this stage, on this venue: written once a day."""
    now, key = desk.clock.now_ms(), run_key(desk.stage.name, desk.environment)
    today = day(now)
    known = read(desk)
    run = known.runs.get(key)
    if run is not None and today in run.days and known.last == key:
        return known

    def add(progress: Progress) -> Progress:
        run = progress.run(desk.stage.name, desk.environment) or Run(since=now)
        if today not in run.days:
            run = msgspec.structs.replace(run, days=(*run.days, today)[-DAYS:])
        return msgspec.structs.replace(progress, runs=progress.runs | {key: run}, last=key)

    return change(desk, add)
