"""What loosens is not done before it is told; what tightens is done, and told as soon as it can be.

The container of alerts fails, at the one moment that an alert is stored: nothing may be promoted,
closed or taken away of which nobody hears.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import test_model_registry as registry
import test_promotion as stages
import test_violations as tracker
from desk import Floor

from shared.compliance import calendar
from shared.errors import StoreUnavailable
from shared.execution import guardian
from tests.intelligence.made_onnx import save, serving

Open = Callable[..., Floor]
Act = Callable[[], tuple[int, str]]


@contextmanager
def no_alerts(floor: Floor, kind: str) -> Iterator[None]:
    """Alerts of a kind cannot be stored."""

    def refuse(name: str, args: tuple[Any, ...]) -> None:
        if args[0] == "alerts" and args[1].get("kind") == kind:
            raise StoreUnavailable("alerts cannot be stored")

    floor.store.before = refuse
    try:
        yield
    finally:
        floor.store.before = lambda name, args: None


def refused_until_told(floor: Floor, kind: str, act: Act, done: Callable[[], bool]) -> None:
    """503 and nothing done while alerts cannot be stored; done and told afterwards, once."""
    with no_alerts(floor, kind):
        status, said = act()
    assert (status, "alerts cannot be stored" in said) == (503, True)
    assert not done()
    floor.run(31)  # a code is good once
    assert act() == (200, "")
    assert done()
    assert floor.alerts().count(kind) == 1


def test_a_promotion_of_the_stage(open_floor: Open) -> None:
    floor = stages.proven(open_floor)

    def allowed() -> bool:
        return stages.production(floor).desk().stage_problems == ()

    refused_until_told(floor, "stage-promoted", lambda: stages.promote(floor), allowed)


def test_the_closing_of_a_critical_violation(open_floor: Open) -> None:
    floor = open_floor()
    id_ = tracker.raised(floor)

    def close() -> tuple[int, str]:
        path = f"/violations/{id_}/close"
        status, said = tracker.ask(floor, "POST", path, tracker.closing(floor))
        return status, said.get("error", {}).get("message", "")

    def closed() -> bool:
        return tracker.ask(floor, "GET", f"/violations/{id_}")[1]["state"] == "closed"

    refused_until_told(floor, "compliance-closed", close, closed)


def test_the_removal_of_a_restricted_window(open_floor: Open) -> None:
    floor = open_floor()
    made = tracker.ask(floor, "POST", "/events", tracker.event(floor))[1]

    def remove() -> tuple[int, str]:
        path = f"/events/{made['id']}/remove"
        status, said = tracker.ask(floor, "POST", path, tracker.closing(floor))
        return status, said.get("error", {}).get("message", "")

    def removed() -> bool:
        return calendar.read(floor.desk) == ()

    refused_until_told(floor, "compliance-event-removed", remove, removed)


@pytest.mark.parametrize("how", ["promote", "rollback"])
def test_another_model_that_votes(open_floor: Open, tmp_path: Path, how: str) -> None:
    save(tmp_path, "svm_rbf", registry.FLAT)
    with serving(tmp_path):
        floor = open_floor(settings=registry.plan())
        two = registry.register(floor.services, registry.LONG)
        asked = {"version": two, "override": True}
        if how == "rollback":
            body = registry.body(floor, **asked)
            registry.ask(floor, "POST", "models/svm_rbf/promote", body)
            floor.store.delete("alerts", "main", floor.documents("alerts")[-1]["id"])
            asked = {}

        def act() -> tuple[int, str]:
            body = registry.body(floor, **asked)
            answer = floor.http("POST", f"/api/models/svm_rbf/{how}", body)
            return answer.status, "" if answer.status == 200 else answer.body.decode()

        def voting() -> str:
            return floor.services.registry.slot("svm_rbf").latest()

        wanted = two if how == "promote" else registry.card(registry.FLAT).version
        refused_until_told(floor, "model-champion", act, lambda: voting() == wanted)


def test_a_stage_is_withdrawn_all_the_same_and_told_later(open_floor: Open) -> None:
    floor = stages.proven(open_floor)
    assert stages.promote(floor)[0] == 200
    live = stages.production(floor)

    def sweep() -> None:
        floor.run(300 - floor.clock.now_ms() / 1000 % 300 + 2)
        guardian.guard(live.desk())  # minute 0 of five

    sweep()
    live.desk().alert("critical", "close-failed", "x", "y", correlation="here")
    with no_alerts(floor, "stage-demoted"):
        sweep()
        assert live.desk().stage_problems[0].startswith("stage limited was withdrawn")
        sweep()
        assert "stage-demoted" not in floor.alerts()
    sweep()
    sweep()
    assert floor.alerts().count("stage-demoted") == 1
    # Told of that withdrawal, with its reason.
    (told,) = [a for a in floor.documents("alerts") if a["kind"] == "stage-demoted"]
    assert "close-failed" in told["text"]
