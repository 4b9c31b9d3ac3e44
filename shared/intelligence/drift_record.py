"""Reports of drift in the store, and how long a verdict has stood.

Container ``models``, partition: the model's name, one document per version and UTC day.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec

from shared.intelligence.drift_report import DriftReport, Verdict
from shared.storage.containers import DAY_SECONDS
from shared.storage.records import readable, record_of
from shared.storage.store import Body, Store, Where, every

CONTAINER = "models"
KIND = "drift"
#: How long a report is kept.
DAYS_KEPT = 400
#: Days that a verdict must have been better before a relapse is told again.
CALM_DAYS = 7

#: How bad a verdict is.
SEVERITY: dict[Verdict, int] = {
    "too_little_data": 0,
    "steady": 0,
    "drifting": 1,
    "failing": 2,
}


class Standing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How long a verdict has stood, and what people were told.

    Parameters
    ----------
    verdict : str
    since : str
        UTC day from which on it was the same.
    told : str
        The worst verdict that an alert was raised for and that has not been better for
        :data:`CALM_DAYS` since; ``steady`` for none.
    better_since : str
        Day from which on the verdict was better than that; empty while it is not.
    """

    verdict: Verdict
    since: str
    told: Verdict = "steady"
    better_since: str = ""


class Kept(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A report as it is kept: of the UTC day ``day``, made from scores until its end."""

    model: str
    version: str
    day: str
    standing: Standing
    report: DriftReport


def stand(before: Standing | None, verdict: Verdict, day: str) -> tuple[Standing, bool]:
    """The standing of a new verdict, and whether somebody has to be told.

    One is told when a verdict is worse than what was told last. A verdict that goes to and fro is
    told once: only after it has been better for :data:`CALM_DAYS` it counts as new.
    """
    if before is None:
        before = Standing(verdict="too_little_data", since=day)
    since = before.since if before.verdict == verdict else day
    told, better_since = before.told, before.better_since
    if better_since and _days(better_since, day) >= CALM_DAYS:
        # The worst since then is not known; what it was yesterday is.
        told, better_since = _milder(told, before.verdict), ""
    if SEVERITY[verdict] > SEVERITY[told]:
        return Standing(verdict=verdict, since=since, told=verdict), True
    if SEVERITY[verdict] == SEVERITY[told]:
        better_since = ""
    elif not better_since:
        better_since = day
    return Standing(verdict=verdict, since=since, told=told, better_since=better_since), False


def _milder(one: Verdict, other: Verdict) -> Verdict:
    found = one if SEVERITY[one] < SEVERITY[other] else other
    return "steady" if SEVERITY[found] == 0 else found


def _days(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


def report_id(version: str, day: str) -> str:
    """Deterministic: a version has one report a day."""
    return f"drift:{version}:{day}"


def find(store: Store, model: str, version: str, day: str) -> Kept | None:
    """The report of a day, if there is one.

    Raises
    ------
    StoreError
        When it cannot be read.
    """
    found = store.get(CONTAINER, model, report_id(version, day))
    return None if found is None else record_of(found.body, Kept)


def before(store: Store, model: str, version: str, day: str) -> Kept | None:
    """The newest report of a version from before a day."""
    where = (
        Where("kind", "=", KIND),
        Where("version", "=", version),
        Where("day", "<", day),
    )
    found = every(store, CONTAINER, model, where=where, order_by="day", descending=True, limit=1)
    return next(readable(found, Kept), None)


def newest(store: Store, model: str, since: str) -> Iterator[Kept]:
    """Reports of all versions of a model from a day on, the newest first."""
    where = (Where("kind", "=", KIND), Where("day", ">=", since))
    found = every(store, CONTAINER, model, where=where, order_by="day", descending=True)
    yield from readable(found, Kept)


def keep(store: Store, kept: Kept) -> None:
    """Keep a report.

    Raises
    ------
    AlreadyExists
        When the day has one; that counts.
    StoreError
    """
    store.create(CONTAINER, _body(kept), ttl=DAYS_KEPT * DAY_SECONDS)


def _body(kept: Kept) -> Body:
    fields: dict[str, Any] = msgspec.to_builtins(kept)
    return {
        "id": report_id(kept.version, kept.day),
        "name": kept.model,
        "kind": KIND,
        **fields,
    }
