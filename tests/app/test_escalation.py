"""Escalation by the running application: the guardian takes the steps, people end them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from shared.alerts import channels
from tests.alerts.test_channels import TWILIO, World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    running = World()
    monkeypatch.setattr(channels, "TWILIO", running.url)
    yield running
    running.close()


def test_an_alert_that_nobody_sees_goes_to_the_next_channel(open_floor, world: World) -> None:
    floor = open_floor(
        settings={
            "ALERT_ESCALATION": "push,sms",
            "ALERT_ESCALATION_MINUTES": "5",
            "PUSH_URL": f"{world.url}/topic",
            "TWILIO_SMS": TWILIO,
        }
    )
    floor.http("POST", "/api/emergency-stop", {"operator": "eva"})
    floor.minutes(4)
    assert world.took() == []
    (latched,) = [a for a in floor.documents("alerts") if a["kind"] == "kill-switch"]
    floor.minutes(3)
    assert world.took() == ["push"]
    path = f"/api/alerts/{latched['id']}/acknowledge"
    answer = floor.http("POST", path, {"operator": "anna", "note": "on it"})
    assert (answer.status, json.loads(answer.body)["acknowledgedBy"]) == (200, "anna")
    floor.minutes(20)
    assert world.took() == ["push"]
    listed = json.loads(floor.http("GET", "/api/alerts?kind=kill-switch").body)["alerts"]
    assert [(a["state"], a["sent"]) for a in listed] == [("delivered", ["logic-app", "push"])]
    assert floor.http("POST", path, {"operator": "anna"}).status == 409
    assert floor.http("POST", "/api/alerts/none/acknowledge", {"operator": "a"}).status == 404
    assert floor.http("POST", path, {"operator": " "}).status == 400
