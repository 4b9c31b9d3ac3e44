"""The item of the checklist that asks whether alerts reach a person: through whatever channel."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from desk import Floor

from shared.alerts import channels
from shared.bootstrap import Services
from shared.compliance.evidence import gather
from tests.opinions.remote_server import Remote, Reply, remote

TWILIO = "AC00000000000000000000000000000000:twilio-token-0123456789:+15005550006:+491701234567"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    """Every service that is sent to; takes what it gets unless told otherwise."""
    with remote() as running:
        running.always(lambda _: Reply())
        monkeypatch.setattr(channels, "TWILIO", running.url)
        yield running


def settings(server: Remote, **given: str) -> dict[str, str]:
    return {
        "DISCORD_WEBHOOK_URL": f"{server.url}/discord-token-0123456789",
        "PUSH_URL": f"{server.url}/topic",
        "TWILIO_SMS": TWILIO,
        **{name: value.replace("SERVER", server.url) for name, value in given.items()},
    }


def drilled(floor: Floor) -> None:
    assert floor.http("POST", "/api/emergency-stop?drill=true", {"operator": "ada"}).status == 200
    floor.run(5)


def item(floor: Floor) -> tuple[bool, str]:
    answer = floor.http("GET", "/api/checklist")
    assert answer.status == 200, answer.body
    (found,) = (i for i in json.loads(answer.body)["items"] if i["id"] == "alerts")
    assert "token-0123456789" not in found["evidence"]
    assert "127.0.0.1" not in found["evidence"]
    return found["passed"], found["evidence"]


LOGIC = {"ALERT_LOGIC_APP_URL": "SERVER/logic"}
#: Settings -> whether the item passes after a drill, and what it says.
REACHED = {
    "nobody": (
        {},
        False,
        "neither ALERT_LOGIC_APP_URL nor ALERT_CHANNELS leads to anybody: nobody is told at once",
    ),
    "the Logic App": (
        LOGIC,
        True,
        "goes to the Logic App (mail, Telegram); 0 not delivered; "
        "the last drill's was delivered to the Logic App (mail, Telegram)",
    ),
    "a channel alone": (
        {"ALERT_CHANNELS": "push"},
        True,
        "goes to push; 0 not delivered; the last drill's was delivered to push",
    ),
    "all of them": (
        {**LOGIC, "ALERT_CHANNELS": "discord,sms", "ALERT_ESCALATION": "push"},
        True,
        "goes to the Logic App (mail, Telegram), discord, sms; 0 not delivered; the last drill's "
        "was delivered to the Logic App (mail, Telegram), discord, sms; "
        "push only for critical alerts that nobody acknowledges",
    ),
    "late ones only": (
        {"ALERT_ESCALATION": "sms"},
        False,
        "neither ALERT_LOGIC_APP_URL nor ALERT_CHANNELS leads to anybody: nobody is told at once; "
        "sms only for critical alerts that nobody acknowledges",
    ),
    "a secret is missing": (
        {"ALERT_CHANNELS": "push", "PUSH_URL": ""},
        False,
        "neither ALERT_LOGIC_APP_URL nor ALERT_CHANNELS leads to anybody: nobody is told at once; "
        "push cannot be used: push-url is missing or wrong",
    ),
    "secrets are wrong": (
        {"ALERT_CHANNELS": "discord,sms", "DISCORD_WEBHOOK_URL": "x", "TWILIO_SMS": "AC1:a:b"},
        False,
        "neither ALERT_LOGIC_APP_URL nor ALERT_CHANNELS leads to anybody: nobody is told at once; "
        "discord cannot be used: discord-webhook-url is missing or wrong; "
        "sms cannot be used: twilio-sms is missing or wrong",
    ),
    "one of two cannot be used": (
        # What is named and does not work is repaired, or taken out, before there is money.
        {"ALERT_CHANNELS": "discord,push", "PUSH_URL": ""},
        False,
        "goes to discord; 0 not delivered; the last drill's was not; "
        "push cannot be used: push-url is missing or wrong",
    ),
}


@pytest.mark.parametrize("who", REACHED)
def test_whoever_is_told_is_named(open_floor, server: Remote, who: str) -> None:
    given, passed, text = REACHED[who]
    floor = open_floor(settings=settings(server, **given))
    drilled(floor)
    assert item(floor) == (passed, text)


def test_a_drill_is_sent_wherever_a_stop_is(open_floor, server: Remote) -> None:
    floor = open_floor(settings=settings(server, **LOGIC, ALERT_CHANNELS="push,sms"))
    drilled(floor)
    paths = [seen.path for seen in server.seen]
    assert [p.rpartition("/")[2] for p in paths] == ["logic", "topic", "Messages.json"]
    assert server.seen[1].headers["priority"] == "2", "nobody is woken"


def test_a_channel_that_takes_nothing_does_not_pass(open_floor, server: Remote) -> None:
    floor = open_floor(settings=settings(server, ALERT_CHANNELS="push"))
    server.always(lambda _: Reply(status=500))
    drilled(floor)
    assert item(floor) == (False, "goes to push; 0 not delivered; the last drill's was not")
    floor.minutes(11)
    assert item(floor) == (False, "goes to push; 1 not delivered; the last drill's was not")
    server.always(lambda _: Reply())
    floor.minutes(6)
    assert item(floor)[0]


def test_a_drill_of_before_proves_nothing_about_another_channel(open_floor, server: Remote) -> None:
    floor = open_floor(settings=settings(server, **LOGIC))
    drilled(floor)
    other = Services(
        {**floor.settings, "ALERT_LOGIC_APP_URL": "", "ALERT_CHANNELS": "push"},
        clock=floor.clock,
        store=floor.store,
        exchange_session=floor.session,
    )
    (found,) = (i for i in gather(floor.desk, other.deployment()).items if i.id == "alerts")
    assert not found.passed
    assert found.evidence == "goes to push; 0 not delivered; the last drill's was not"
