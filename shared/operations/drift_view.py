"""What the endpoint answers of drift: the newest report of each version, and its days before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from shared.clock import day
from shared.intelligence import drift_record
from shared.intelligence.drift import WINDOW_DAYS
from shared.intelligence.drift_record import Kept
from shared.intelligence.drift_report import DriftReport, Verdict
from shared.intelligence.library import SLOTS
from shared.market.timeframe import DAY_MS
from shared.operations.retraining import Start, last_start

if TYPE_CHECKING:
    from shared.bootstrap import Services

#: Days after which a version without a new report is no longer listed.
LISTED_DAYS = 7


class DriftDay(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A report in short."""

    day: str
    verdict: Verdict
    labelled: int
    shifted: int
    gain: float | None
    gain_error: float | None
    hits_beyond: float | None
    hits_beyond_error: float | None
    calibration_error: float | None
    calibration_noise: float | None


class ModelDrift(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The newest report of a version, and the verdict's age: since which day it is the same."""

    model: str
    version: str
    day: str
    since: str
    report: DriftReport
    history: list[DriftDay]


class DriftView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All versions that were judged lately.

    Parameters
    ----------
    on : bool
        Whether models are judged once a day (``MODEL_DRIFT``).
    training_job : bool
        Whether there is a job that the application may start.
    last_start : Start or None
        Of that job by the application.
    """

    on: bool
    window_days: int
    training_job: bool
    last_start: Start | None
    models: list[ModelDrift]


def view(services: Services, model: str, days: int) -> DriftView:
    """The answer.

    Parameters
    ----------
    model : str
        Only this one; all when empty.
    days : int
        Of history, 0 for none.

    Raises
    ------
    StoreError
        When the reports cannot be read.
    """
    store, now = services.store, services.clock.now_ms()
    lately = day(now - LISTED_DAYS * DAY_MS)
    since = min(lately, day(now - days * DAY_MS))
    found: list[ModelDrift] = []
    for name in (model,) if model else SLOTS:
        versions: dict[str, list[Kept]] = {}
        for kept in drift_record.newest(store, name, since):
            versions.setdefault(kept.version, []).append(kept)
        found += [_of(reports, days) for reports in versions.values() if reports[0].day >= lately]
    return DriftView(
        on=services.settings.model_drift,
        window_days=WINDOW_DAYS,
        training_job=bool(services.settings.retraining_job),
        last_start=last_start(store),
        models=found,
    )


def _of(reports: list[Kept], days: int) -> ModelDrift:
    newest = reports[0]
    return ModelDrift(
        model=newest.model,
        version=newest.version,
        day=newest.day,
        since=newest.standing.since,
        report=newest.report,
        history=[short(kept.day, kept.report) for kept in reversed(reports)] if days else [],
    )


def short(day: str, report: DriftReport) -> DriftDay:
    """A report in short."""
    known = report.performance
    return DriftDay(
        day=day,
        verdict=report.verdict,
        labelled=report.labelled,
        shifted=report.shifted,
        gain=None if known is None else known.gain,
        gain_error=None if known is None else known.gain_error,
        hits_beyond=None if known is None else known.hits_beyond,
        hits_beyond_error=None if known is None else known.hits_beyond_error,
        calibration_error=None if known is None else known.calibration_error,
        calibration_noise=None if known is None else known.calibration_noise,
    )
