"""The daily look at all models that are scored: reports, alerts, and training again.

Nothing here stands on the way of an order, and nothing is promoted or taken out: a person decides.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from shared.clock import day as day_of
from shared.errors import AlreadyExists, BorsaError, ConfigurationError, NotFound
from shared.execution.desk import Desk
from shared.intelligence import drift_record
from shared.intelligence.card import ModelCard
from shared.intelligence.drift import WINDOW_DAYS, judge
from shared.intelligence.drift_record import SEVERITY, Kept
from shared.intelligence.drift_report import DriftReport, Verdict
from shared.intelligence.labels import Barriers
from shared.intelligence.library import Library
from shared.intelligence.registry import Registry
from shared.intelligence.scored_bars import Kind, ScoredBars, scored_bars
from shared.intelligence.scores import read_scores
from shared.intelligence.slots import Slot
from shared.market.timeframe import DAY_MS
from shared.operations.retraining import Retraining, Start, told

#: Days without a score after which a model is not scored any more.
SILENT_DAYS = 3
_LOG = logging.getLogger("borsa.models")


def watch(
    desk: Desk,
    registry: Registry,
    shipped: Library,
    *,
    retraining: Retraining | None = None,
    retraining_on: Verdict = "failing",
    by_registry: bool = True,
) -> list[Kept]:
    """Judge every model that is scored, as of the last midnight; once a day, however often called.

    Parameters
    ----------
    retraining : Retraining, optional
        Starts the training job when the verdict on a champion is ``retraining_on`` or worse.
    by_registry : bool
        Whether champions are those of the registry; the shipped files are otherwise.

    Raises
    ------
    StoreError
        When scores or the registry cannot be read; what is done already is not done again.
    """
    until = desk.clock.now_ms() // DAY_MS * DAY_MS
    since = until - WINDOW_DAYS * DAY_MS
    day = day_of(until - DAY_MS)
    tables = scored_bars(read_scores(desk.store, since, until))
    slots = registry.slots() if by_registry else {}
    found: list[Kept] = []
    for kind, bars in tables.items():
        for key in _scored_lately(bars, until):
            card = _card(registry, shipped, key)
            if card is None or not _belongs(card, kind):
                continue
            report = judge(card, bars, key, since=since, until=until)
            found.append(_keep(desk, report, day))
    if not found:
        _nothing(desk, day)
        return found
    if retraining is not None:
        _train_again(desk, retraining, _champions(found, slots, shipped, until), retraining_on)
    return found


def _scored_lately(bars: ScoredBars, until: int) -> list[str]:
    import numpy as np

    late = bars.closed_at >= until - SILENT_DAYS * DAY_MS
    return [
        key
        for key, said in bars.probabilities.items()
        if bool(np.isfinite(said[late]).all(axis=1).any())
    ]


def _card(registry: Registry, shipped: Library, key: str) -> ModelCard | None:
    name, _, version = key.partition(":")
    try:
        if name in shipped.names() and shipped.card(name).version == version:
            return shipped.card(name)
        return registry.card(name, version)
    except (NotFound, ConfigurationError) as error:
        _LOG.error("drift of %s is not judged: %s", key, error)
        return None


def _belongs(card: ModelCard, kind: Kind) -> bool:
    barriers = Barriers(card.take_atr, card.stop_atr, card.horizon_bars)
    return (card.timeframe, card.feature_set, barriers) == kind


def _keep(desk: Desk, report: DriftReport, day: str) -> Kept:
    """Keep a report and tell what is new about it; told twice rather than never."""
    there = drift_record.find(desk.store, report.model, report.version, day)
    if there is not None:
        return there
    earlier = drift_record.before(desk.store, report.model, report.version, day)
    before = None if earlier is None else earlier.standing
    standing, tell = drift_record.stand(before, report.verdict, day)
    kept = Kept(
        model=report.model, version=report.version, day=day, standing=standing, report=report
    )
    correlation = f"{report.model}:{report.version}"
    if before is None or before.verdict != report.verdict:
        desk.note(
            "model",
            {
                "event": "drift",
                "model": report.model,
                "version": report.version,
                "day": day,
                "verdict": report.verdict,
                "reasons": report.reasons,
            },
            correlation=correlation,
        )
    if tell:
        desk.alert(
            "warning",
            "model-drift",
            f"Model {report.model} {report.version} is {report.verdict}",
            f"{'; '.join(report.reasons)}. {report.labelled} labelled bars of "
            f"{', '.join(report.symbols)} in {report.days:.0f} days. It goes on voting where the "
            "plan names it.",
            correlation=correlation,
            once=f"{report.verdict}-{day}",
        )
    try:
        drift_record.keep(desk.store, kept)
    except AlreadyExists:
        return drift_record.find(desk.store, report.model, report.version, day) or kept
    return kept


def _nothing(desk: Desk, day: str) -> None:
    """Once a month, so that a monitor that sees nothing is not taken for one that finds nothing."""
    desk.alert(
        "warning",
        "model-drift",
        "No model is scored",
        f"MODEL_DRIFT is on, and no model that is known was scored in the {SILENT_DAYS} days to "
        f"{day}: nothing can be judged. MODEL_SCORING makes the scores.",
        correlation="model-drift",
        once=f"silent-{day[:7]}",
    )


def _champions(
    found: list[Kept], slots: Mapping[str, Slot], shipped: Library, until: int
) -> list[Kept]:
    champions = []
    for kept in found:
        version = slots[kept.model].champion(until) if kept.model in slots else ""
        if not version and kept.model in shipped.names():
            try:
                version = shipped.card(kept.model).version
            except ConfigurationError:
                continue
        if kept.version == version:
            champions.append(kept)
    return champions


def _train_again(desk: Desk, retraining: Retraining, champions: list[Kept], least: Verdict) -> None:
    bad = [
        f"{kept.model} is {kept.report.verdict}"
        for kept in champions
        if SEVERITY[kept.report.verdict] >= SEVERITY[least]
    ]
    if not bad:
        return
    try:
        start = retraining.start(", ".join(bad)[:300])
    except BorsaError as error:
        _LOG.error("training job: %s", error)
        return
    if start is not None:
        _tell_start(desk, start)


def _tell_start(desk: Desk, start: Start) -> None:
    desk.note(
        "model", {"event": "retraining", **msgspec.to_builtins(start)}, correlation="retraining"
    )
    text = (
        f"Training job {told(start)}. What it makes is scored beside the champions if it is better "
        "than nothing; nothing is promoted."
    )
    once = str(start.at)
    if start.state == "started":
        desk.alert(
            "info",
            "model-retraining",
            "Models are trained again",
            text,
            correlation="retraining",
            once=once,
        )
    else:
        desk.alert(
            "warning",
            "model-retraining-failed",
            "The training job may not have started",
            text,
            correlation="retraining",
            once=once,
        )
