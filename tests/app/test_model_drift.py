"""The drift monitor in the application: off by default, told once, and off the order path."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from desk import START, Floor

from local.clock import VirtualClock
from local.platform import app_settings
from shared.bootstrap import Services
from shared.clock import day
from shared.errors import JobRefused
from shared.intelligence import drift_record
from shared.intelligence.card import ModelCard
from shared.intelligence.features import FEATURE_SET
from shared.intelligence.library import Library, library
from shared.intelligence.registry import Registry
from shared.intelligence.scores import save_score
from shared.intelligence.scoring import CATCH_UP
from shared.intelligence.slots import Tenure, promoted
from shared.operations.drift_view import view
from shared.operations.drift_watch import watch
from shared.operations.retraining import Retraining, last_start
from shared.storage.sqlite import SqliteStore
from tests.intelligence.made_onnx import constant, lstm, mlp, save, serving
from tests.intelligence.made_scores import DAY, UNTIL, Made

Open = Callable[..., Floor]
MIDNIGHT = START // DAY * DAY
CARD = ("figures", "splits", "holdout", "calibration", "histograms", "timeframe", "horizon_bars")


def model(folder: Path, made: Made, name: str = "svm_rbf", onnx: bytes = b"") -> ModelCard:
    """A model of the folder whose card is that of a made-up one."""
    source = onnx or constant(0.25, 0.5, 0.25)
    fields = {field: getattr(made.card(onnx=source), field) for field in CARD}
    return save(folder, name, source, **fields)


def broken(made: Made) -> Made:
    """What comes has nothing to do with what it says."""
    made.label = made.random.permutation(made.label)
    return made


def put(store: Any, made: Made, card: ModelCard, until: int) -> None:
    """Scores of a model that end with a time."""
    key = f"{card.name}:{card.version}"
    for score in made.scores(key, FEATURE_SET):
        moved = score.closed_at + until - UNTIL
        assert save_score(store, msgspec.structs.replace(score, closed_at=moved))


def drift(floor: Floor, query: str = "") -> dict[str, Any]:
    answer = floor.http("GET", f"/api/models/drift{query}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


def test_off_by_default_nothing_is_read_or_written(open_floor: Open, tmp_path: Path) -> None:
    made = broken(Made(days=8))
    with serving(tmp_path):
        card = model(tmp_path, made)
        floor = open_floor()
        put(floor.store, made, card, MIDNIGHT)
        floor.timer("watch_drift")
        assert drift(floor) == {
            "on": False,
            "windowDays": 90,
            "trainingJob": False,
            "lastStart": None,
            "models": [],
        }
        assert floor.alerts() == []


def test_a_failing_model_is_told_once_and_training_begins(open_floor: Open, tmp_path: Path) -> None:
    made = broken(Made(days=8))
    with serving(tmp_path):
        card = model(tmp_path, made)
        floor = open_floor(settings={"MODEL_DRIFT": "on"})
        jobs = Jobs()
        floor.services.__dict__["retraining"] = Retraining(
            floor.store, floor.services.clock, jobs, least_days=14
        )
        put(floor.store, made, card, MIDNIGHT)
        for _ in range(2):
            floor.timer("watch_drift")
        (told,) = [a for a in floor.documents("alerts") if a["kind"] == "model-drift"]
        assert told["severity"] == "warning"
        assert told["title"] == f"Model svm_rbf {card.version} is failing"
        assert "log loss beats the base rates by -0." in told["text"]
        assert floor.alerts().count("model-retraining") == 1
        assert jobs.starts == 1
        # The alert goes the way of all others.
        assert "model-drift" in [e.get("kind") for e in floor.events("risk")]

        found = drift(floor, "?days=30")
        assert found["on"] is True
        assert found["lastStart"]["state"] == "started"
        (one,) = found["models"]
        assert (one["model"], one["version"]) == ("svm_rbf", card.version)
        assert (one["day"], one["since"]) == (day(MIDNIGHT - DAY),) * 2
        assert one["report"]["verdict"] == "failing"
        assert [h["verdict"] for h in one["history"]] == ["failing"]
        assert drift(floor, "?model=svm_rbf")["models"] == [{**one, "history": []}]
        assert drift(floor, "?model=gru")["models"] == []
        (noted, started) = floor.audit("model")
        assert (noted["event"], noted["verdict"]) == ("drift", "failing")
        assert started["event"] == "retraining"


def test_bars_that_the_application_scored_are_judged(open_floor: Open, tmp_path: Path) -> None:
    """From candles to scores, labels and the report of the next night."""
    walk = np.cumsum(np.random.default_rng(8).normal(0.0, 0.0008, 900))
    path = [(float(minute), float(move)) for minute, move in enumerate(walk, 1)]
    own = {"horizon_bars": 6, "take_atr": 1.5, "stop_atr": 1.0}
    cards = [save(tmp_path, "mlp", mlp(), **own), save(tmp_path, "lstm", lstm(), **own)]
    with serving(tmp_path):
        floor = open_floor(
            {"BTCUSDT": path},
            settings={"MODEL_SCORING": "on"},
            durable=False,
        )

        def wait(minutes: float) -> None:
            floor.clock.sleep(minutes * 60)
            floor.venue.advance(floor.clock.now_ms())

        wait(560)
        for _ in range(14):
            wait(20)
            floor.services.scorer.run()
        watch(floor.services.desk(), floor.services.registry, library())
        found = view(floor.services, "", 0).models
        assert {(one.model, one.version) for one in found} == {
            (card.name, card.version) for card in cards
        }
        for one in found:
            # What the first run catches up with and 13 times 20 bars, the last at half past
            # midnight: 31 of them close on the day after.
            bars = CATCH_UP + 13 * 20 - 31
            assert (one.report.rows, one.report.labelled) == (bars, bars)
            assert one.report.performance is not None
            assert one.report.performance.figures.rows == bars
            assert one.report.verdict != "too_little_data"
            assert one.day == day(MIDNIGHT)


@pytest.mark.parametrize("query", ["?model=gpt", "?days=-1", "?days=366", "?days=x"])
def test_a_parameter_that_cannot_be_used_is_refused(open_floor: Open, query: str) -> None:
    assert open_floor().http("GET", f"/api/models/drift{query}").status == 400


class Jobs:
    """Counts starts."""

    def __init__(self) -> None:
        self.starts = 0
        self.refuses = False

    def start(self) -> str:
        if self.refuses:
            raise JobRefused("HTTP 403 AuthorizationFailed")
        self.starts += 1
        return f"run-{self.starts}"


class Days:
    """The monitor alone, day after day."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock(MIDNIGHT + DAY // 6)
        self.store = SqliteStore(":memory:", clock=self.clock)
        self.services = Services(
            app_settings("http://exchange.invalid"), clock=self.clock, store=self.store
        )
        self.registry = Registry(self.store, self.clock)
        self.library = Library(folder)
        self.jobs = Jobs()
        self.retraining = Retraining(self.store, self.clock, self.jobs, least_days=14)

    def watch(self, **options: Any) -> list[tuple[str, str]]:
        desk = self.services.exit_desk()
        found = watch(desk, self.registry, self.library, retraining=self.retraining, **options)
        return [(kept.model, kept.report.verdict) for kept in found]

    def next(self, days: int = 1) -> None:
        self.clock.sleep(days * DAY / 1000)

    def alerts(self, kind: str = "model-drift") -> list[str]:
        page = self.store.query("alerts", "main", limit=1000)
        return [d.body["title"] for d in page.documents if d.body["kind"] == kind]


@pytest.fixture
def days(tmp_path: Path) -> Iterator[Days]:
    found = Days(tmp_path)
    yield found
    found.store.close()


def test_a_challenger_that_fails_is_told_and_starts_nothing(days: Days, tmp_path: Path) -> None:
    made = broken(Made(days=8))
    source = constant(0.5, 0.25, 0.25)
    fields = {field: getattr(made.card(onnx=source), field) for field in CARD}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    card = save(elsewhere, "svm_rbf", source, **fields)
    days.registry.register(card, source, "a test", challenge=True)
    put(days.store, made, card, MIDNIGHT)
    assert days.watch() == [("svm_rbf", "failing")]
    assert len(days.alerts()) == 1
    assert days.jobs.starts == 0

    # Promoted, it starts training; but not where the registry does not decide who votes.
    now = MIDNIGHT - DAY
    tenure = Tenure(
        version=card.version, since=now, at=now, how="promotion", operator="eva", reason="a test"
    )
    days.registry.change("svm_rbf", lambda slot: promoted(slot, tenure))
    days.watch(by_registry=False)
    assert days.jobs.starts == 0
    days.watch()
    assert days.jobs.starts == 1


def test_verdicts_at_which_training_begins(days: Days, tmp_path: Path) -> None:
    # It knows about half of what its card says.
    made = Made(days=20)
    made.label = np.where(
        made.random.uniform(size=len(made.label)) < 0.45,
        made.random.permutation(made.label),
        made.label,
    )
    made.p = 0.55 * made.p + 0.45 * made.p.mean(axis=0)
    card = model(tmp_path, made)
    put(days.store, made, card, MIDNIGHT)
    assert days.watch() == [("svm_rbf", "drifting")]
    assert days.jobs.starts == 0
    days.next()
    assert days.watch(retraining_on="drifting") == [("svm_rbf", "drifting")]
    assert days.jobs.starts == 1
    # Still drifting: nothing new is told, and nothing is started again.
    days.next()
    assert days.watch(retraining_on="drifting") == [("svm_rbf", "drifting")]
    assert (len(days.alerts()), days.jobs.starts) == (1, 1)
    stood = drift_record.before(days.store, "svm_rbf", card.version, "2999-01-01")
    assert stood is not None
    assert stood.standing.since == day(MIDNIGHT - DAY)


def test_a_refused_start_is_told_and_tried_again_the_next_day(days: Days, tmp_path: Path) -> None:
    made = broken(Made(days=8))
    put(days.store, made, model(tmp_path, made), MIDNIGHT)
    days.jobs.refuses = True
    days.watch()
    assert days.alerts("model-retraining-failed") == ["The training job may not have started"]
    days.jobs.refuses = False
    days.next()
    days.watch()
    assert days.jobs.starts == 1
    found = last_start(days.store)
    assert found is not None
    assert found.state == "started"


def test_a_monitor_that_sees_nothing_says_so_once_a_month(days: Days, tmp_path: Path) -> None:
    made = Made(days=8)
    put(days.store, made, model(tmp_path, made), MIDNIGHT)
    # Of a model that nobody knows, and of one that is no longer scored.
    unknown = model(tmp_path, made, onnx=constant(0.5, 0.25, 0.25))
    assert days.watch() == []
    assert days.alerts() == ["No model is scored"]
    put(days.store, Made(seed=5, days=8), unknown, MIDNIGHT - 20 * DAY)
    days.next()
    assert days.watch() == []
    assert len(days.alerts()) == 1
    days.next(31)
    days.watch()
    assert len(days.alerts()) == 2


def test_the_report_of_a_day_stays_as_it_was_made(days: Days, tmp_path: Path) -> None:
    made = Made(days=8)
    card = model(tmp_path, made)
    put(days.store, made, card, MIDNIGHT)
    assert days.watch() == [("svm_rbf", "steady")]
    kept = drift_record.find(days.store, "svm_rbf", card.version, day(MIDNIGHT - DAY))
    page = days.store.query("models", "scores-" + day(MIDNIGHT - DAY)[:7], limit=50)
    for document in page.documents:
        days.store.delete("models", document.body["name"], document.body["id"])
    assert days.watch() == [("svm_rbf", "steady")]
    assert drift_record.find(days.store, "svm_rbf", card.version, kept.day) == kept  # type: ignore[union-attr]
